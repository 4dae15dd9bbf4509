"""The baseline of transfer: a plain forest and podlab as it is, by what training has not seen and by columns.

What training has not seen is a deployment, a profile (a configuration never met), a site, or another recording. The
plain forest is one extremely randomised forest on the statistics of one window
(:data:`podlab.features.features.STATISTICS`) with scikit-learn's defaults; podlab is what ``podlab fit`` makes. Nothing
here is tuned, so that the table can be the baseline of later work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from podlab import identify
from podlab.data.catalogue import MEASURED_METRICS, ORIGINAL_METRICS
from podlab.evaluation.dataset import Dataset, read_dataset, thin_deployments
from podlab.evaluation.scores import score
from podlab.evaluation.splits import IntArray, plan_splits
from podlab.features.features import feature_matrix, feature_names
from podlab.features.rows import observation_spans, read_rows
from podlab.features.windows import make_windows, series_of
from podlab.parallel import side_by_side
from podlab.progress import Progress

FloatArray = NDArray[np.float64]

#: The two windows.
BIRTH, MIDLIFE = "from birth", "mid-life"
#: What the forest sees, by the name of the columns.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "original": ORIGINAL_METRICS,
    "original + further": MEASURED_METRICS,
    "further only": tuple(name for name in MEASURED_METRICS if name not in ORIGINAL_METRICS),
}
FOREST: Final = "plain extra-trees"
PODLAB: Final = "podlab"
PODLAB_GUESS: Final = "podlab, most probable service"
#: Splits within a recording: the column, and how many folds at most (sites are left out one by one).
_SPLITS: Final = {"deployment": "deployment", "profile": "profile left out", "site": "site left out"}
#: Beside the answer's own horizon, the one that keeps its vote then, as
#: :data:`podlab.identify.observation.COMPANION_MIN_FRACTION` has it.
_HORIZON_SHARES: Final = (0.5, 1.0)


@dataclass(frozen=True)
class Trial:
    """How the baseline is measured.

    Attributes
    ----------
    length_s : float
        Seconds observed, from birth and of mid-life.
    settled_s : float
        No window of mid-life begins sooner after the start.
    folds : int
        Into which deployments, and profiles, are dealt.
    trees : int
        Of the plain forest.
    per_service : int
        Only so many deployments of each service, drawn at random; 0 for all.
    with_podlab : bool
        Whether podlab is trained as well, which takes most of the time.
    seed : int
        The same recordings and trial give the same table.
    jobs : int, optional
        How many trainings at once; by default as many as there are cores.
    """

    length_s: float = 60.0
    settled_s: float = 60.0
    folds: int = 5
    trees: int = 200
    per_service: int = 0
    with_podlab: bool = True
    seed: int = 0
    jobs: int | None = None


@dataclass(frozen=True)
class _Seen:
    """A recording as it is asked about: features of one window of each container, and where the windows begin.

    Attributes
    ----------
    dataset : Dataset
    X : dict of str to array (n_containers, n_features)
        By window, of all series; NaN where a series is missing.
    names : tuple of str
        Of the features.
    begin_s : dict of str to array (n_containers,)
        By window, seconds since the start; NaN for a container that does not show it.
    """

    dataset: Dataset
    X: dict[str, NDArray[np.float32]]
    names: tuple[str, ...]
    begin_s: dict[str, FloatArray]

    def chosen(self, columns: tuple[str, ...]) -> IntArray:
        """Positions of the features that can be made from these metric columns."""
        wanted = set(feature_names(series_of(columns)))
        return np.flatnonzero([name in wanted for name in self.names])


@dataclass(frozen=True)
class _Asked:
    """One training and its test."""

    split: str
    train: tuple[_Seen, IntArray]
    test: tuple[_Seen, IntArray]


def transfer_table(
    samples: pd.DataFrame,
    others: Mapping[str, pd.DataFrame] | None = None,
    *,
    trial: Trial | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score a plain forest and podlab on what training has not seen.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service`` and ``deployment``; with ``profile`` and ``site`` for those splits.
    others : mapping of str to DataFrame, optional
        Other recordings by name: each is tested, on the services in common, by what learned from all of ``samples``.
    trial : Trial, optional
    progress : callable, optional
        Called after each training.

    Returns
    -------
    DataFrame
        One line per split, window, method and columns: ``split``, ``window``, ``method`` (:data:`FOREST`,
        :data:`PODLAB`, in which "unknown" is wrong, or :data:`PODLAB_GUESS`), ``columns`` (a key of :data:`COLUMNS`;
        podlab learns from the original ones), ``macro_f1``, ``low``, ``high`` (95 %, by bootstrap over deployments),
        ``deployments`` and ``services`` (tested), ``chance``.

    Raises
    ------
    InputError
        If there are not two services, or no service has two deployments.
    """
    trial = trial or Trial()
    own = _see(read_dataset(thin_deployments(samples, trial.per_service, seed=trial.seed)), trial)
    asked = [_Asked(name, (own, train), (own, test)) for name, train, test in _splits(own.dataset, trial)]
    for name, other in (others or {}).items():
        pair = _in_common(own, other, trial)
        if pair is not None:
            asked.append(_Asked(f"tested on {name}", *pair))
    found = [_ask_forest(each, trial) for each in asked]
    if trial.with_podlab:
        work = (delayed(_ask_podlab)(each, trial) for each in asked)
        found += side_by_side(work, [each.split for each in asked], jobs=trial.jobs, progress=progress)
    return _score(pd.concat(found, ignore_index=True), trial.seed)


def _see(dataset: Dataset, trial: Trial) -> _Seen:
    rows = read_rows(dataset.samples, metrics=MEASURED_METRICS)
    spans = observation_spans(rows)
    # Each container's own draw: it shows the same stretch whatever it is tested with.
    rng = np.random.default_rng(trial.seed)
    latest_s = spans.until_s * 1.02 - trial.length_s
    middle_s = rng.uniform(trial.settled_s, np.maximum(latest_s, trial.settled_s))
    begin_s = {
        BIRTH: np.where(spans.start_observed, 0.0, np.nan),
        MIDLIFE: np.where(latest_s >= trial.settled_s, middle_s, np.nan),
    }
    X: dict[str, NDArray[np.float32]] = {}
    names: tuple[str, ...] = ()
    for window, begins in begin_s.items():
        cells = make_windows(rows, horizon_s=trial.length_s, begin_s=np.nan_to_num(begins), columns=MEASURED_METRICS)
        X[window], names = feature_matrix(cells)
        begin_s[window] = np.where(cells.usable, begins, np.nan)
    return _Seen(dataset, X, names, begin_s)


def _splits(dataset: Dataset, trial: Trial) -> list[tuple[str, IntArray, IntArray]]:
    found = []
    for group, name in _SPLITS.items():
        if group not in dataset.containers or dataset.containers[group].isna().any():
            continue
        if group == "site" and len(dataset.containers["site"].unique()) < 2:
            continue
        plan = plan_splits(dataset.containers, group=group, folds=trial.folds, seed=trial.seed)
        found += [(name, split.train, split.test) for split in plan.splits]
    return found


def _in_common(
    own: _Seen, other: pd.DataFrame, trial: Trial
) -> tuple[tuple[_Seen, IntArray], tuple[_Seen, IntArray]] | None:
    common = sorted(set(own.dataset.containers["service"]) & set(other["service"].dropna()))
    if len(common) < 2:
        return None
    learned = np.flatnonzero(own.dataset.containers["service"].isin(common))
    thinned = thin_deployments(other, trial.per_service, seed=trial.seed)
    tested = _see(read_dataset(thinned, common), trial)
    return (own, learned), (tested, np.arange(len(tested.dataset.containers)))


def _ask_forest(asked: _Asked, trial: Trial) -> pd.DataFrame:
    (train, learned), (test, tested) = asked.train, asked.test
    found = []
    for window in (BIRTH, MIDLIFE):
        here = learned[np.isfinite(train.begin_s[window][learned])]
        there = tested[np.isfinite(test.begin_s[window][tested])]
        services = train.dataset.containers["service"].to_numpy(object)[here].astype(str)
        if not there.size or len(set(services)) < 2:
            continue
        for name, columns in COLUMNS.items():
            chosen = train.chosen(columns)
            # What either side lacks as a whole teaches nothing.
            chosen = chosen[_has_values(train.X[window][here], chosen) & _has_values(test.X[window][there], chosen)]
            if not chosen.size or (name != "original" and _adds_nothing(train, chosen)):
                continue
            model: Any = ExtraTreesClassifier(trial.trees, random_state=trial.seed, n_jobs=trial.jobs or -1)
            model.fit(train.X[window][here][:, chosen], services)
            said = model.predict(test.X[window][there][:, chosen])
            found.append(_answers(asked, window, FOREST, name, there, said))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _has_values(X: NDArray[np.float32], chosen: IntArray) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(X[:, chosen]).any(axis=0))


def _adds_nothing(seen: _Seen, chosen: IntArray) -> bool:
    return set(chosen) <= set(seen.chosen(COLUMNS["original"]))


def _ask_podlab(asked: _Asked, trial: Trial) -> pd.DataFrame:
    (train, learned), (test, tested) = asked.train, asked.test
    horizons_s = [share * trial.length_s for share in _HORIZON_SHARES]
    model = identify.fit(train.dataset.take(learned), horizons_s=horizons_s, seed=trial.seed, jobs=1)
    found = []
    for window, begins in test.begin_s.items():
        there = tested[np.isfinite(begins[tested])]
        if not there.size:
            continue
        offset_s, begin_s = test.dataset.offset_s(), begins[test.dataset.code]
        shown = np.isin(test.dataset.code, there) & (offset_s < begin_s + trial.length_s)
        # From birth also rows that a skewed clock puts before the start.
        shown &= (offset_s >= begin_s) | (begin_s == 0)
        answers = model.identify(test.dataset.samples[shown].reset_index(drop=True))
        there = pd.unique(test.dataset.code[shown])
        answered = [answer.service for answer in answers]
        guessed = [next(iter(answer.candidates), None) for answer in answers]
        found.append(_answers(asked, window, PODLAB, "original", there, answered))
        found.append(_answers(asked, window, PODLAB_GUESS, "original", there, guessed))
    return pd.concat(found, ignore_index=True)


def _answers(asked: _Asked, window: str, method: str, columns: str, positions: IntArray, said: Any) -> pd.DataFrame:
    containers = asked.test[0].dataset.containers.iloc[positions]
    return pd.DataFrame(
        {
            "split": asked.split,
            "window": window,
            "method": method,
            "columns": columns,
            "position": positions,
            "unit": containers["deployment"].to_numpy(object),
            "service": containers["service"].to_numpy(object),
            "answer": pd.array(list(said), dtype="str"),
        }
    )


def _score(answers: pd.DataFrame, seed: int) -> pd.DataFrame:
    rows = []
    for (split, window, method, columns), own in answers.groupby(["split", "window", "method", "columns"], sort=False):
        said = [None if pd.isna(answer) else str(answer) for answer in own["answer"]]
        found = score(own["service"].to_list(), said, own["unit"].to_list(), seed=seed)
        services = own["service"].nunique()
        rows.append(
            {
                "split": split,
                "window": window,
                "method": method,
                "columns": columns,
                "macro_f1": found.macro_f1.value,
                "low": found.macro_f1.low,
                "high": found.macro_f1.high,
                "deployments": found.n_deployments,
                "services": services,
                "chance": 1 / services,
            }
        )
    return pd.DataFrame(rows)
