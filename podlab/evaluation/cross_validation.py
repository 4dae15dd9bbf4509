"""The one cross-validation: a model of each fold is trained and predicts containers that it has not seen.

All scores, tables, curves, ablations and controls of identification are made from the table that
:func:`cross_validate` returns. Podlab's :class:`podlab.identify.Identifier` takes part, and any scikit-learn classifier
on podlab's features (:class:`FeatureClassifier`).
"""

from __future__ import annotations

import copy
import hashlib
import pickle
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache as once
from pathlib import Path
from typing import Any, Protocol, Self

import joblib
import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray

import podlab
from podlab.data.catalogue import FEATURE_METRICS
from podlab.data.draws import KNOB_PREFIX
from podlab.evaluation.dataset import LabelledSamples, activity_of, read_dataset
from podlab.evaluation.scenarios import Scenario, apply_scenario, from_start, move_to_another_machine
from podlab.evaluation.splits import Plan, Split, plan_splits, unit_column
from podlab.features.features import extract_features
from podlab.features.rows import observation_spans, read_rows
from podlab.features.windows import Windows, make_windows
from podlab.files import atomic_file
from podlab.identify import Identifier
from podlab.parallel import ignore_training_warnings, is_spread, side_by_side
from podlab.progress import Progress

#: Probability columns are called this and the service's name.
PROBABILITY = "p_"
#: Kept models and predictions may take so much of the disk; the ones not used for longest go first.
CACHE_BYTES = 2 * 2**30
#: What a prediction may have next to probabilities; missing where a model does not give it.
_OPTIONAL: dict[str, Any] = {"novelty": np.nan, "prediction_set": None, "coverage": None, "similar": None,
                             "seconds_observed": np.nan, "rule": None}  # fmt: skip

#: Makes features (n_containers, n_features) from windows.
View = Callable[[Windows], pd.DataFrame]


class Model(Protocol):
    """What can be cross-validated; it is copied before each training."""

    def fit(self, samples: pd.DataFrame, /) -> Self:
        """Learn from a labelled samples table."""

    def predict(self, samples: pd.DataFrame, /, *, horizon_s: float | None = None) -> pd.DataFrame:
        """Predict each container of a samples table from its first seconds (None: from all).

        Returns
        -------
        DataFrame
            One row for each container, in order of appearance; no row at all where the samples lack every column that
            the model knows. A column ``p_SERVICE`` for each service, all missing where a container shows nothing; may
            have ``known`` (by default: whether there are probabilities), ``novelty``, ``prediction_set``,
            ``coverage``, ``similar``, ``seconds_observed``, ``rule``.
        """


@dataclass
class FeatureClassifier:
    """A scikit-learn classifier on podlab's features of a container's first seconds.

    Parameters
    ----------
    estimator : object
        Has ``fit``, and ``predict_proba`` or ``predict``. It gets a DataFrame with named features, in which a value
        is missing (NaN) where a container does not show that metric.
    horizon_s : float, optional
        Seconds since the start that it learns from and, at most, predicts from; None: all.
    columns : sequence of str, optional
        Metric columns; by default all.
    view : callable
        Makes features from windows; by default podlab's own.
    since_start : bool
        Whether a window begins at the container's start, or else with its first sample.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> FeatureClassifier(RandomForestClassifier(random_state=0), horizon_s=30)
    FeatureClassifier(estimator=RandomForestClassifier(random_state=0), horizon_s=30, columns=None)
    """

    estimator: Any
    horizon_s: float | None = 60.0
    columns: Sequence[str] | None = None
    view: View = field(default=extract_features, repr=False)
    since_start: bool = field(default=True, repr=False)
    columns_: tuple[str, ...] = field(init=False, repr=False, default=())
    estimator_: Any = field(init=False, repr=False, default=None)
    features_: tuple[str, ...] = field(init=False, repr=False, default=())
    fit_cpu_s: float = field(init=False, repr=False, default=0.0)

    def fit(self, samples: pd.DataFrame, /) -> Self:
        """Fit a copy of the estimator on the containers that show any value; without any it answers nothing."""
        wanted = tuple(self.columns or FEATURE_METRICS)
        # What a recording lacks would be a feature without a value.
        self.columns_ = tuple(name for name in wanted if name in samples and samples[name].notna().any()) or wanted
        X, usable, windows = self.features(samples, self.horizon_s)
        self.features_ = tuple(X.columns)
        self.estimator_ = None
        began_s = time.process_time()
        if usable.any():
            services = windows.containers["service"].to_numpy(object)[usable].astype(str)
            with ignore_training_warnings():
                self.estimator_ = copy.deepcopy(self.estimator).fit(X[usable], services)
        self.fit_cpu_s = time.process_time() - began_s
        return self

    def predict(self, samples: pd.DataFrame, /, *, horizon_s: float | None = None) -> pd.DataFrame:
        """See :meth:`Model.predict`."""
        if not any(column in samples for column in self.columns_):
            return pd.DataFrame()
        known_s = [each for each in (self.horizon_s, horizon_s) if each is not None]
        X, usable, windows = self.features(samples, min(known_s, default=None))
        services = [] if self.estimator_ is None else list(self.estimator_.classes_)
        probability = np.full((len(X), len(services)), np.nan)
        shown = X.reindex(columns=list(self.features_))[usable]
        began_s = time.process_time()
        if len(shown) and services:
            if hasattr(self.estimator_, "predict_proba"):
                probability[usable] = self.estimator_.predict_proba(shown)
            else:
                probability[usable] = self.estimator_.predict(shown)[:, None] == np.array(services)
        return pd.DataFrame(probability, columns=[f"{PROBABILITY}{name}" for name in services]).assign(
            seconds_observed=windows.spans.observed_s,
            rule=getattr(self.estimator_, "metric_", None),
            predict_cpu_s=(time.process_time() - began_s) / max(1, len(X)),
        )

    def features(
        self, samples: pd.DataFrame, horizon_s: float | None
    ) -> tuple[pd.DataFrame, NDArray[np.bool_], Windows]:
        """Make the features (n_containers, n_features), and say which containers show any value."""
        rows = read_rows(samples, metrics=self.columns_)
        begin_s = 0.0 if self.since_start else np.nan_to_num(observation_spans(rows).first_s)
        windows = make_windows(rows, horizon_s=horizon_s, begin_s=begin_s, columns=self.columns_)
        return self.view(windows), windows.usable, windows


def cross_validate(
    samples: pd.DataFrame | LabelledSamples,
    splits: str | Plan | Sequence[Split] = "deployment",
    scenarios: Sequence[Scenario | float] = (10.0, 30.0, 60.0, 120.0),
    model: Identifier | Model | Mapping[str, Identifier | Model] | None = None,
    *,
    tested: pd.DataFrame | LabelledSamples | None = None,
    train_as: Scenario | None = None,
    seed: int = 0,
    jobs: int | None = None,
    cache: Path | str | None = None,
    progress: Progress | None = None,
    what: str = "fold",
) -> pd.DataFrame:
    """Train a model for each split and let it predict the containers that it has not seen.

    Parameters
    ----------
    samples : DataFrame or LabelledSamples
        A checked samples table with labels, or what :func:`podlab.evaluation.dataset.read_dataset` made of one.
    splits : str, Plan or sequence of Split
        Which containers train and which are predicted. A text is what :func:`podlab.evaluation.splits.plan_splits`
        splits by: ``deployment``, ``profile``, ``site``, ``version``, ``load``, ...
    scenarios : sequence of Scenario or float
        How the containers are shown; a number is seconds since the start.
    model : Identifier, Model or mapping of str to these, optional
        One, or several by name; by default ``Identifier()``. An identifier of one's own classifier takes part as well
        as a :class:`FeatureClassifier`; none is changed, since each training begins with a copy.
    tested : DataFrame or LabelledSamples, optional
        Another recording, in which the splits' tested positions count; by default the same samples.
    train_as : Scenario, optional
        How the containers trained on are shown, except for its horizon; by default as they are.
    seed : int
        Of what scenarios draw.
    jobs : int, optional
        Trainings at once, each a process of its own; by default as many as there are cores.
    cache : Path or str, optional
        Folder in which models and predictions are kept, by digest of samples, split, model and podlab's code, so that
        nothing is trained twice; except for models whose class is defined in a notebook. It never grows beyond
        :data:`CACHE_BYTES`, and may be removed.
    progress : callable, optional
        Called after each training.
    what : str
        What progress calls one training.

    Returns
    -------
    DataFrame
        One row for each container, fold, scenario and machine drawn: ``model, fold, iteration``; ``scenario_group,
        scenario, horizon_s`` (NaN: all seconds), ``draw``; ``position`` (the container's place in the data set),
        ``unit`` (what is never split, the deployment), ``activity`` (``idle`` or ``loaded``) and the container's
        identity and labels; ``service``, the truth, and ``unknown``, whether the training lacked it; ``known``,
        ``predicted`` (missing where not known), ``best_guess``, ``confidence``, ``novelty``, ``prediction_set``,
        ``coverage`` (nominal, of the set), ``similar``, ``seconds_observed``, ``fit_cpu_s`` (of the training),
        ``predict_cpu_s`` (of this prediction), ``rule`` (the metric of a one-metric rule), and a probability
        ``p_SERVICE`` for each service. A container of which a scenario shows nothing has no row. ``attrs["split"]``
        says how it was split.

    Raises
    ------
    InputError
        If the samples cannot be split, a model cannot learn from them, or the cache cannot be written.
    """
    dataset = samples if isinstance(samples, LabelledSamples) else read_dataset(samples)
    tested_on = dataset if tested is None else tested if isinstance(tested, LabelledSamples) else read_dataset(tested)
    plan = plan_splits(dataset.containers, group=splits, seed=seed) if isinstance(splits, str) else splits
    description = plan.description if isinstance(plan, Plan) else {"group": "deployment"}
    group = str(description["group"])
    sides: Sequence[Split] = plan.splits if isinstance(plan, Plan) else plan
    if model is None:
        model = Identifier(group=unit_column(dataset.containers, group), seed=seed)
    given = model if isinstance(model, Mapping) else {"": model}
    asked = tuple(each if isinstance(each, Scenario) else from_start([each])[0] for each in scenarios)
    # One process trains each, since folds run side by side; for columns that all are there no smaller set is needed.
    changes: dict[str, Any] = {"jobs": 1}
    if _metrics_of(dataset) <= _metrics_of(tested_on) and not any(each.columns for each in asked):
        changes["column_sets"] = False
    models = {
        name: Identifier(**own.get_params() | changes) if isinstance(own, Identifier) else own
        for name, own in given.items()
    }
    kept = None if cache is None else Kept(Path(cache))

    described = _describe(tested_on, group)
    tables: dict[tuple[str, int], pd.DataFrame] = {}
    missing = []
    for name, own in models.items():
        for number, split in enumerate(sides):
            keys = _keys(dataset, tested_on, split, own, train_as, asked, [seed, number]) if kept else None
            table = kept.load(keys[1]) if kept and keys else None
            if table is None:
                missing.append((name, number, keys))
            else:
                tables[name, number] = table

    def work() -> Iterator[Any]:
        """Cut out the samples of one training at a time: all together would fill the memory."""
        near = None if is_spread() else kept  # the workers of a scheduler have other disks
        for name, number, keys in missing:
            train, test = dataset.take(sides[number].train), tested_on.part(sides[number].test)
            if train_as is not None:
                own = dataset.part(sides[number].train)
                train = apply_scenario(own, train_as, np.random.default_rng([seed, number])).reset_index(drop=True)
            yield joblib.delayed(_train_and_predict)(models[name], train, test, asked, [seed, number], keys, near)

    whats = [f"{name} {what}".strip() for name, *_ in missing]
    done = side_by_side(work(), whats, jobs=jobs, progress=progress)
    tables |= {(name, number): table for (name, number, _), table in zip(missing, done, strict=True)}
    if kept and missing:
        kept.prune(CACHE_BYTES)

    found = []
    for name in models:
        for number, split in enumerate(sides):
            own_table = tables[name, number]
            positions = split.test[own_table["position"].to_numpy(np.int64)]
            known = set(dataset.containers["service"].iloc[split.train])
            labels = described.iloc[positions].reset_index(drop=True)
            head = {"model": name, "fold": number, "iteration": split.iteration}
            unknown = ~labels["service"].isin(known)
            found.append(
                pd.concat([labels.assign(**head, unknown=unknown), own_table.drop(columns="position")], axis=1)
            )
    table = _in_order(pd.concat(found, ignore_index=True))
    table.attrs["split"] = description
    return table


def probabilities(predictions: pd.DataFrame) -> pd.DataFrame:
    """Give the probabilities alone: a column for each service, by its name, 0 where a model did not know a service."""
    names = [name for name in predictions if str(name).startswith(PROBABILITY)]
    return predictions[names].rename(columns=lambda name: str(name).removeprefix(PROBABILITY)).fillna(0.0)


def _train_and_predict(
    model: Model, train: pd.DataFrame, test: LabelledSamples, scenarios: Sequence[Scenario], seeds: list[int],
    keys: tuple[str, str] | None, kept: Kept | None,
) -> pd.DataFrame:  # fmt: skip
    """Train one model, unless it is kept, and let it predict; without a training nothing."""
    if train.empty:
        return pd.DataFrame({"position": []})
    trained: tuple[Model, float] | None = kept.load(keys[0]) if kept and keys else None
    if trained is None:
        began_s = time.process_time()
        fitted = copy.deepcopy(model).fit(train)
        trained = fitted, getattr(fitted, "fit_cpu_s", time.process_time() - began_s)
        if kept and keys:
            kept.save(keys[0], trained)
    table = _predict(trained[0], trained[1], test, scenarios, seeds)
    if kept and keys:
        kept.save(keys[1], table)
    return table


def _predict(
    fitted: Model, fit_cpu_s: float, test: LabelledSamples, scenarios: Sequence[Scenario], seeds: list[int]
) -> pd.DataFrame:
    """Predict what each scenario shows; ``position`` counts the containers of the test."""
    found = []
    for scenario in scenarios:
        # Anew for each: what differs between two scenarios shall not be what was drawn.
        seen = apply_scenario(test, scenario, np.random.default_rng(seeds))
        if seen.empty:
            continue
        positions = pd.unique(test.code[seen.index])
        for draw in range(max(1, scenario.draws)):
            # A machine depends on the seed and its number only: it is the same one in all folds.
            machine = np.random.default_rng([seeds[0], draw])
            shown = move_to_another_machine(seen, machine) if scenario.draws else seen
            began_s = time.process_time()
            table = fitted.predict(shown.reset_index(drop=True), horizon_s=scenario.horizon_s)
            each_s = (time.process_time() - began_s) / max(1, len(table))
            if len(table):
                horizon_s = np.nan if scenario.horizon_s is None else scenario.horizon_s
                found.append(
                    _complete(
                        table,
                        scenario_group=scenario.group,
                        scenario=scenario.name,
                        horizon_s=horizon_s,
                        draw=draw,
                        position=positions,
                        fit_cpu_s=fit_cpu_s,
                        predict_cpu_s=each_s,
                    )
                )
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame({"position": []})


def _complete(table: pd.DataFrame, **more: Any) -> pd.DataFrame:
    """Add a model's best guess and what follows from it, and what a prediction may have but this one has not."""
    chances = table.filter(regex=f"^{PROBABILITY}").to_numpy(np.float64)
    names = np.array([str(name).removeprefix(PROBABILITY) for name in table.filter(regex=f"^{PROBABILITY}")])
    shown = ~np.isnan(chances).all(axis=1)
    best = pd.Series(None, index=table.index, dtype="str")
    if shown.any():
        best[shown] = names[np.nanargmax(chances[shown], axis=1)]
    known = table["known"].to_numpy(bool) if "known" in table else shown
    confidence = np.max(chances, axis=1, initial=0.0, where=~np.isnan(chances))
    absent = {name: pd.Series(value, index=table.index) for name, value in _OPTIONAL.items() if name not in table}
    new: dict[str, Any] = {name: value for name, value in more.items() if name not in table} | absent
    return table.assign(known=known, best_guess=best, predicted=best.where(known), confidence=confidence, **new)


def _metrics_of(dataset: LabelledSamples) -> set[str]:
    """Name the metrics that any row has a value of."""
    return {name for name in FEATURE_METRICS if name in dataset.samples and dataset.samples[name].notna().any()}


def _describe(dataset: LabelledSamples, group: str) -> pd.DataFrame:
    """Give identity and labels of the containers, without the table of draws (n_containers,)."""
    own = [name for name in dataset.containers if name == group or not str(name).startswith(KNOB_PREFIX)]
    return dataset.containers[own].assign(
        position=np.arange(len(dataset.containers)),
        unit=dataset.containers[unit_column(dataset.containers, group)],
        activity=activity_of(dataset.containers),
    )


def _in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Order the columns: identity and labels, then predictions, then probabilities."""
    chances = [str(name) for name in found if str(name).startswith(PROBABILITY)]
    first = ["model", "fold", "iteration", "scenario_group", "scenario", "horizon_s", "draw", "position", "unit",
             "activity", "service", "unknown", "known", "predicted", "best_guess", "confidence"]  # fmt: skip
    rest = [name for name in found if name not in (*first, *chances)]
    return found.reindex(columns=[*first, *rest, *sorted(chances)])


@dataclass(frozen=True)
class Kept:
    """Models and predictions in files, by their keys.

    They are pickles, which nobody but the owner of the folder may write.
    """

    folder: Path

    def load(self, key: str) -> Any:
        """Give what is kept; None where nothing is, or where it cannot be read."""
        path = self._path(key)
        try:
            found = joblib.load(path)
            path.touch()
        except Exception:  # noqa: BLE001 - a damaged pickle may raise anything; the model is then trained again
            return None
        return found

    def save(self, key: str, value: object) -> None:
        """Keep a value."""
        with atomic_file(self._path(key)) as temporary:
            joblib.dump(value, temporary, compress=1)

    def prune(self, most_bytes: int) -> None:
        """Remove what was not used for longest until the rest is small enough."""
        left = most_bytes
        files = [(path.stat(), path) for path in self.folder.glob("??/*.joblib")]
        for state, path in sorted(files, key=lambda each: -each[0].st_mtime):
            left -= state.st_size
            if left < 0:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.joblib"


def _keys(
    dataset: LabelledSamples, tested: LabelledSamples, split: Split, model: Model, train_as: Scenario | None,
    scenarios: Sequence[Scenario], seeds: list[int],
) -> tuple[str, str] | None:  # fmt: skip
    """Name a trained model, and its predictions, by all that they depend on; None where that is not known."""
    if b"__main__" in pickle.dumps(model):
        return None  # of a class in a cell only the name is known, not the code
    how = joblib.hash([model, train_as, seeds if train_as else None])
    trained = _digest(_code_digest(), how, dataset.digest(split.train))
    return trained, _digest(trained, joblib.hash([scenarios, seeds]), tested.digest(split.test))


def _digest(*parts: str) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@once
def _code_digest() -> str:
    """Digest what a result depends on apart from its input: podlab's code and the versions of libraries."""
    root = Path(podlab.__file__).parent
    files = [path for part in ("data", "features", "identify", "evaluation") for path in (root / part).rglob("*.py")]
    versions = f"{podlab.__version__} {platform.python_version()} {np.__version__} {sklearn.__version__}"
    return _digest(versions, *(path.read_text(encoding="utf-8") for path in sorted(files)))
