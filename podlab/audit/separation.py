"""What separates services, and sites: single metrics, groups of metrics, shuffled labels, circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from sklearn.ensemble import ExtraTreesClassifier

from podlab.arrays import IntArray
from podlab.audit.confounding import circumstances, explained_share
from podlab.audit.windows import START_UP, STEADY_STATE, WindowTable, cut_windows
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS, Family
from podlab.evaluation.dataset import thin_deployments
from podlab.evaluation.metrics import Estimate, draw_row_weights, interval, score_predictions
from podlab.evaluation.open_set import auroc_of_draws, cumulate_weights
from podlab.evaluation.splits import Plan, TextArray, plan_splits
from podlab.features.windows import series_of
from podlab.parallel import ignore_training_warnings


def _of(*families: Family, among: Sequence[str] = MEASURED_METRICS) -> tuple[str, ...]:
    return tuple(name for name in among if CATALOGUE[name].family in families)


def _but(*families: Family) -> tuple[str, ...]:
    return tuple(name for name in MEASURED_METRICS if CATALOGUE[name].family not in families)


#: What is left of the metrics in each ablation. The image's size is in none of them: it never is a feature.
ABLATIONS: Final[dict[str, tuple[str, ...]]] = {
    "all": MEASURED_METRICS,
    "original": ORIGINAL_METRICS,
    "original + processes": (*ORIGINAL_METRICS, *_of("processes")),
    "further ones only": tuple(name for name in MEASURED_METRICS if name not in ORIGINAL_METRICS),
    "processes only": _of("processes"),
    "without processes": _but("processes"),
    "without pressure": _but("pressure"),
    "without network": _but("network"),
    "without I/O": _but("io"),
    "without volume": _but("volume"),
    "without filesystem and volume": _but("filesystem", "volume"),
    "memory only": _of("memory"),
    "CPU + network only": _of("cpu", "network"),
    "original CPU + memory": _of("cpu", "memory", among=ORIGINAL_METRICS),
}


@dataclass(frozen=True)
class ForestSettings:
    """How scores are come by: forests on folds of deployments."""

    folds: int = 5  # number of folds, split by deployment
    trees: int = 100  # of each forest
    seed: int = 0  # the same windows and settings give the same scores
    #: How many processes; by default as many as there are cores. The scores do not depend on it.
    jobs: int | None = None


class _Task(NamedTuple):
    """Forests to be trained: what to say of them, what they see (n_deployments, n_features), what they predict."""

    about: dict[str, Any]
    X: pd.DataFrame
    plan: Plan


def ablations(by_window: Mapping[str, WindowTable], settings: ForestSettings) -> pd.DataFrame:
    """Score what can be predicted from some families of metrics only, trained anew each time.

    Returns
    -------
    DataFrame
        One line per window and entry of :data:`ABLATIONS` that leaves other metrics than those before it: ``window``,
        ``features`` (which), ``number`` of them, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance`` (one of
        the number of services).
    """
    tasks = []
    for name, windows in by_window.items():
        plan = _plan(windows.deployments, settings)
        done: set[tuple[object, ...]] = {()}
        for what, columns in ABLATIONS.items():
            X = windows.only(columns).X
            if tuple(X) not in done:
                done.add(tuple(X))
                tasks.append(_Task({"window": name, "features": what, "number": len(X.columns)}, X, plan))
    return _score_forests(tasks, settings)


def separate_by_metric(by_window: Mapping[str, WindowTable], settings: ForestSettings) -> pd.DataFrame:
    """Score each metric alone, and explain the variance of its level.

    Returns
    -------
    DataFrame
        One line per window and series that is not the same in all deployments: ``window``, ``metric``, ``macro_f1``,
        ``low``, ``high`` (of a forest that sees this series only), ``deployments``, ``chance``, and the shares of the
        variance of its mean (as ``log(1 + x)``) that the service explains (``by_service``), that the load pattern does
        (``by_load``) and that the site does (``by_site``), each corrected for the number of groups, so that many
        services explain no more by chance than few patterns do (epsilon squared; Kelley 1935, "An unbiased correlation
        ratio measure", Proceedings of the National Academy of Sciences 21:554-559); missing without labels.
    """
    tasks = []
    for name, windows in by_window.items():
        plan = _plan(windows.deployments, settings)
        for series in series_of(MEASURED_METRICS):
            level = windows.X.get(f"{series}.mean")
            # A constant separates nothing, such as memory swapped out where nothing is.
            if level is None or level.nunique() < 2:
                continue
            groups = windows.deployments.reindex(columns=["service", "load", "site"])
            shares = {f"by_{label}": _explained(own, level) for label, own in groups.items()}
            tasks.append(_Task({"window": name, "metric": series, **shares}, windows.only((series,)).X, plan))
    return _score_forests(tasks, settings)


def _explained(groups: pd.Series, level: pd.Series) -> float:
    known = level.notna() & groups.notna()
    codes = pd.factorize(groups[known])[0].astype(np.int64)
    number, groups_seen = codes.size, len(np.unique(codes))
    # A single group explains nothing, and groups of one each everything.
    if not 1 < groups_seen < number:
        return float("nan")
    share = explained_share(codes, level[known].to_numpy(np.float64)[:, None])
    return max(0.0, 1 - (1 - share) * (number - 1) / (number - groups_seen))


def shuffled_scores(windows: WindowTable, settings: ForestSettings, *, shuffles: int = 5) -> pd.DataFrame:
    """Score forests that are trained and tested on services shuffled over deployments.

    What they score above chance is a leak of the protocol.

    Returns
    -------
    DataFrame
        One line per shuffle: ``window``, ``shuffle``, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance``.
    """
    plans = _shuffled_plans(windows, settings, shuffles)
    about = {"window": windows.name}
    tasks = [_Task(about | {"shuffle": number}, windows.X, plan) for number, plan in enumerate(plans, 1)]
    return _score_forests(tasks, settings)


def predict_from_draws(
    windows: WindowTable, everything: pd.DataFrame, settings: ForestSettings, *, shuffles: int = 5
) -> pd.DataFrame:
    """Score forests that see no metric, only the circumstances of each deployment: its draws, load, site and start.

    Nothing that is drawn may predict the service, so the score must be that of shuffled services. Left out is what
    the service decides by itself: its knobs, which have its own ranges, and numbers of versions and configurations.

    Parameters
    ----------
    windows : WindowTable
        Taken with a table of draws, where there is one.
    everything : DataFrame
        Samples of all that was recorded at the time, for co-located containers.
    shuffles : int
        How often services are shuffled over deployments.

    Returns
    -------
    DataFrame
        One line for the services as they are and one for each shuffle: ``services`` (``as recorded`` or ``shuffled``),
        ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance``.
    """
    drawn = circumstances(windows, everything).drop(columns=["version number", "configuration number"], errors="ignore")
    drawn = drawn.loc[:, ~drawn.columns.str.startswith("knob ")]
    # What is missing stands below all that is known.
    columns = [
        own.fillna(-1.0) if is_numeric_dtype(own) else pd.get_dummies(own, prefix=str(name))
        for name, own in drawn.items()
    ]
    X = pd.concat(columns, axis=1)
    tasks = [_Task({"services": "as recorded"}, X, _plan(windows.deployments, settings))]
    tasks += [_Task({"services": "shuffled"}, X, plan) for plan in _shuffled_plans(windows, settings, shuffles)]
    return _score_forests(tasks, settings)


#: Length of the window that holds what the harness does first.
FIRST_S: Final = 10.0
_RESAMPLES: Final = 200


def separate_sites(
    samples: pd.DataFrame, settings: ForestSettings, *, length_s: float = 60.0, per_service: int = 0
) -> pd.DataFrame:
    """Score how well a forest separates sites, on deployments that it was not trained on.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service``, ``deployment`` and ``site``.
    settings : ForestSettings
        Folds, trees and seed.
    length_s : float
        Length of the windows at the start and of the steady state; the first :data:`FIRST_S` are a window of their own.
    per_service : int
        So many deployments of each service and site at most, drawn at random; 0 for all.

    Returns
    -------
    DataFrame
        One line per window and family of metrics (first all together): ``window``, ``features``, ``number`` (of
        features), ``auc`` (area under the receiver operating characteristic; of more than two sites the mean over
        each against the others), ``low``, ``high`` (95 %, by bootstrap over deployments), ``deployments``, ``sites``.
        Empty where fewer than two sites were recorded.
    """
    columns = ["window", "features", "number", "auc", "low", "high", "deployments", "sites"]
    if "site" not in samples or samples["site"].nunique() < 2:
        return pd.DataFrame(columns=columns)
    described = samples[samples["site"].notna()].reset_index(drop=True)
    described = thin_deployments(described, per_service * samples["site"].nunique(), seed=settings.seed)
    whole = cut_windows(described, length_s=length_s)
    by_window: dict[str, WindowTable] = {}
    if START_UP in whole:
        by_window[f"first {FIRST_S:g} s"] = cut_windows(described, length_s=FIRST_S)[START_UP]
        by_window[f"first {length_s:g} s"] = whole[START_UP]
    if STEADY_STATE in whole:
        by_window[f"{length_s:g} s of steady state"] = whole[STEADY_STATE]
    families = dict.fromkeys(CATALOGUE[name].family for name in MEASURED_METRICS)
    parts: dict[str, tuple[str, ...]] = {"all": MEASURED_METRICS, **{family: _of(family) for family in families}}
    tasks = []
    for window, windows in by_window.items():
        sites = windows.deployments["site"]
        if sites.nunique() < 2:
            continue
        # Sites stand for services, so that each is spread over all folds.
        plan = _plan(windows.deployments.assign(service=sites), settings)
        for part, metrics in parts.items():
            X = windows.only(metrics).X
            about = {"window": window, "features": part, "number": len(X.columns), "sites": sites.nunique()}
            if len(X.columns):
                tasks.append(_Task(about, X, plan))
    rows = [
        {**task.about, "auc": auc.value, "low": auc.low, "high": auc.high, "deployments": len(task.X)}
        for task, predicted in zip(tasks, _predict(tasks, settings), strict=True)
        for auc in [_mean_auc(predicted, task.plan.services, settings.seed)]
    ]
    return pd.DataFrame(rows, columns=columns)


def _mean_auc(probability: pd.DataFrame, truth: TextArray, seed: int) -> Estimate:
    """Mean over classes of the AUC of each against the others, of probabilities (n, n_classes) NaN where untested."""
    tested = probability.notna().any(axis=1).to_numpy()
    scores, truth = probability[tested].fillna(0.0), truth[tested]
    weights = draw_row_weights(np.arange(truth.size), truth, seed=seed, resamples=_RESAMPLES)
    by_class = [
        auroc_of_draws(*(cumulate_weights(own.to_numpy(), weights * of) for of in (truth != name, truth == name)))
        for name, own in scores.items()
        if 0 < (truth == name).sum() < truth.size
    ]
    mean = np.mean(by_class, axis=0) if by_class else np.full(1 + _RESAMPLES, np.nan)
    return interval(float(mean[0]), mean[1:], truth.size)


def _plan(deployments: pd.DataFrame, settings: ForestSettings) -> Plan:
    return plan_splits(deployments, folds=settings.folds, seed=settings.seed)


def _shuffled_plans(windows: WindowTable, settings: ForestSettings, shuffles: int) -> list[Plan]:
    """Plan splits of the same deployments with their services shuffled."""
    rng = np.random.default_rng(settings.seed)
    orders = (pd.array(rng.permutation(windows.services), dtype="str") for _ in range(shuffles))
    return [_plan(windows.deployments.assign(service=own), settings) for own in orders]


def _score_forests(tasks: Sequence[_Task], settings: ForestSettings) -> pd.DataFrame:
    """Give macro-F1 over all splits of each task, one line per task."""
    lines = []
    for task, probability in zip(tasks, _predict(tasks, settings), strict=True):
        tested = np.concatenate([split.test for split in task.plan.splits])
        answers = pd.DataFrame(
            {
                "service": task.plan.services[tested],
                "unit": task.plan.units[tested],
                "predicted": probability.loc[tested].idxmax(axis=1).to_numpy(),
            }
        )
        found = score_predictions(answers, seed=settings.seed).macro_f1
        scores = {"macro_f1": found.value, "low": found.low, "high": found.high}
        number = {"deployments": len(task.X), "chance": 1 / len(set(task.plan.services))}
        lines.append({**task.about, **scores, **number})
    return pd.DataFrame(lines)


def _predict(tasks: Sequence[_Task], settings: ForestSettings) -> list[pd.DataFrame]:
    """Train a forest on each split of each task: probabilities (n_deployments, n_classes), NaN where untested."""
    work = [(number, split) for number, task in enumerate(tasks) for split in task.plan.splits]
    pool = Parallel(n_jobs=settings.jobs or cpu_count(), batch_size="auto")
    found = pool(
        delayed(_probabilities)(tasks[number].X.to_numpy(np.float32), tasks[number].plan.services, split.train,
                                split.test, settings)
        for number, split in work
    )  # fmt: skip
    tables = [pd.DataFrame(np.nan, range(len(task.X)), sorted(set(task.plan.services))) for task in tasks]
    for (number, split), (classes, probability) in zip(work, found, strict=True):
        tables[number].loc[split.test, classes] = probability
    return tables


def _probabilities(
    X: NDArray[np.float32], services: TextArray, train: IntArray, test: IntArray, settings: ForestSettings
) -> tuple[list[str], NDArray[np.float64]]:
    model: Any = ExtraTreesClassifier(settings.trees, class_weight="balanced", random_state=settings.seed)
    with ignore_training_warnings():
        model.fit(X[train], services[train].astype(str))
    return list(model.classes_), model.predict_proba(X[test])
