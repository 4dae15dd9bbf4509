"""What separates services, and sites: single metrics, groups of metrics, shuffled labels, circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from podlab.audit.confounding import explained_share, properties_of
from podlab.audit.contents import surroundings
from podlab.audit.windows import START_UP, STEADY_STATE, WindowTable, cut_windows
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS, Family
from podlab.evaluation.cross_validation import ignore_small_data_warnings
from podlab.evaluation.dataset import thin_deployments
from podlab.evaluation.metrics import draw_weights, interval, score_answers
from podlab.evaluation.open_set import auroc_of_draws, cumulate_weights
from podlab.evaluation.splits import Plan, TextArray, plan_splits
from podlab.features.windows import series_of


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
    """How scores are come by: forests on folds of deployments.

    Attributes
    ----------
    folds : int
        Number of folds, split by deployment.
    trees : int
        Of each forest.
    seed : int
        The same windows and settings give the same scores.
    jobs : int, optional
        How many processes; by default as many as there are cores. The scores do not depend on it.
    """

    folds: int = 5
    trees: int = 100
    seed: int = 0
    jobs: int | None = None


#: What a forest is trained for, the features that it sees (n_deployments, n_features), and how deployments are split.
_Task = tuple[dict[str, Any], NDArray[np.float32], Plan]


def ablations(by_window: Mapping[str, WindowTable], settings: ForestSettings) -> pd.DataFrame:
    """Score what can be predicted from some families of metrics only, trained anew each time.

    Returns
    -------
    DataFrame
        One line per window and entry of :data:`ABLATIONS` that leaves other metrics than those before it: ``window``,
        ``features`` (which), ``number`` of them, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance`` (one of
        the number of services).
    """
    tasks: list[_Task] = []
    for name, windows in by_window.items():
        plan = _plan(windows, settings)
        done: set[tuple[str, ...]] = set()
        for what, columns in ABLATIONS.items():
            kept = windows.only(columns)
            if kept.names and kept.names not in done:
                done.add(kept.names)
                tasks.append(({"window": name, "features": what, "number": len(kept.names)}, kept.X, plan))
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
    tasks: list[_Task] = []
    for name, windows in by_window.items():
        plan = _plan(windows, settings)
        for series in series_of(MEASURED_METRICS):
            kept = windows.only((series,))
            level = windows.X[:, windows.names.index(f"{series}.mean")] if kept.names else np.array([np.nan])
            # A constant separates nothing, such as memory swapped out where nothing is.
            if np.isnan(level).all() or np.nanmax(level) == np.nanmin(level):
                continue
            shares = {
                f"by_{label}": _explained(windows.deployments[label], level) if label in windows.deployments else np.nan
                for label in ("service", "load", "site")
            }
            tasks.append(({"window": name, "metric": series, **shares}, kept.X, plan))
    return _score_forests(tasks, settings)


def shuffled_scores(windows: WindowTable, settings: ForestSettings, *, shuffles: int = 5) -> pd.DataFrame:
    """Score forests that are trained and tested on services shuffled over deployments.

    What they score above chance is a leak of the protocol.

    Returns
    -------
    DataFrame
        One line per shuffle: ``window``, ``shuffle``, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance``.
    """
    plans = _shuffled_plans(windows, settings, shuffles)
    tasks = [({"window": windows.name, "shuffle": number}, windows.X, plan) for number, plan in enumerate(plans, 1)]
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
    settings : ForestSettings
    shuffles : int
        How often services are shuffled over deployments.

    Returns
    -------
    DataFrame
        One line for the services as they are and one for each shuffle: ``services`` (``as recorded`` or ``shuffled``),
        ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance``.
    """
    properties = [
        each
        for each in properties_of(windows, surroundings(everything, windows.deployments), in_common=False)
        if not each.name.startswith("knob ") and each.name not in ("version number", "configuration number")
    ]
    # What is missing stands below all that is known.
    columns = [
        each.series.fillna(-1.0) if each.is_number else pd.get_dummies(each.series, prefix=each.name)
        for each in properties
    ]
    X = pd.concat(columns, axis=1).to_numpy(np.float32)
    plans = _shuffled_plans(windows, settings, shuffles)
    shuffled: list[_Task] = [({"services": "shuffled"}, X, plan) for plan in plans]
    return _score_forests([({"services": "as recorded"}, X, _plan(windows, settings)), *shuffled], settings)


def _plan(windows: WindowTable, settings: ForestSettings) -> Plan:
    return plan_splits(windows.deployments, folds=settings.folds, seed=settings.seed)


def _shuffled_plans(windows: WindowTable, settings: ForestSettings, shuffles: int) -> list[Plan]:
    """Plan splits of the same deployments with their services shuffled."""
    rng = np.random.default_rng(settings.seed)
    orders = (pd.array(rng.permutation(windows.services), dtype="str") for _ in range(shuffles))
    return [_plan(replace(windows, deployments=windows.deployments.assign(service=own)), settings) for own in orders]


def _score_forests(tasks: Sequence[_Task], settings: ForestSettings) -> pd.DataFrame:
    """Train and test a forest on each split of each task; one line per task, with its macro-F1 over all splits."""
    work = (
        delayed(_predict)(X[split.train], plan.services[split.train], X[split.test], settings)
        for _, X, plan in tasks
        for split in plan.splits
    )
    predicted = iter(Parallel(n_jobs=settings.jobs or cpu_count(), batch_size="auto")(work))
    lines = []
    for about, _, plan in tasks:
        tested = np.concatenate([split.test for split in plan.splits])
        answers = np.concatenate([next(predicted) for _ in plan.splits])
        truth, units = plan.services[tested], plan.units[tested]
        found = score_answers(list(truth), list(answers), list(units), seed=settings.seed).macro_f1
        scores = {"macro_f1": found.value, "low": found.low, "high": found.high}
        number = {"deployments": len(plan.services), "chance": 1 / len(set(plan.services))}
        lines.append({**about, **scores, **number})
    return pd.DataFrame(lines)


def _predict(
    train: NDArray[np.float32], services: TextArray, test: NDArray[np.float32], settings: ForestSettings
) -> TextArray:
    model: Any = ExtraTreesClassifier(settings.trees, class_weight="balanced", random_state=settings.seed)
    with ignore_small_data_warnings():
        return np.asarray(model.fit(train, services.astype(str)).predict(test), dtype=object)


def _explained(groups: pd.Series, level: NDArray[np.float32]) -> float:
    known = np.isfinite(level) & groups.notna().to_numpy()
    codes = pd.factorize(groups[known])[0].astype(np.int64)
    number, groups_seen = codes.size, len(np.unique(codes))
    # A single group explains nothing, and groups of one each everything.
    if not 1 < groups_seen < number:
        return float("nan")
    share = explained_share(codes, level[known].astype(np.float64)[:, None])
    return max(0.0, 1 - (1 - share) * (number - 1) / (number - groups_seen))


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
    described = thin_deployments(
        samples[samples["site"].notna()].reset_index(drop=True),
        per_service * samples["site"].nunique(),
        seed=settings.seed,
    )
    whole = cut_windows(described, length_s=length_s)
    by_window: dict[str, WindowTable] = {}
    if START_UP in whole:
        by_window[f"first {FIRST_S:g} s"] = cut_windows(described, length_s=FIRST_S)[START_UP]
        by_window[f"first {length_s:g} s"] = whole[START_UP]
    if STEADY_STATE in whole:
        by_window[f"{length_s:g} s of steady state"] = whole[STEADY_STATE]
    families = list(dict.fromkeys(CATALOGUE[name].family for name in MEASURED_METRICS))
    parts: dict[str, tuple[str, ...]] = {"all": MEASURED_METRICS}
    parts |= {family: tuple(m for m in MEASURED_METRICS if CATALOGUE[m].family == family) for family in families}
    asked = [
        (name, part, windows.only(columns_of))
        for name, windows in by_window.items()
        if len(windows.deployments["site"].unique()) > 1
        for part, columns_of in parts.items()
    ]
    asked = [each for each in asked if each[2].names]
    found = Parallel(n_jobs=settings.jobs or cpu_count())(delayed(_auc)(windows, settings) for _, _, windows in asked)
    rows = [
        {
            "window": window,
            "features": part,
            "number": len(windows.names),
            **scores,
            "deployments": len(windows.deployments),
            "sites": windows.deployments["site"].nunique(),
        }
        for (window, part, windows), scores in zip(asked, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _auc(windows: WindowTable, settings: ForestSettings) -> dict[str, float]:
    """Out-of-fold AUC with its interval; folds are of deployments and spread each site over all of them."""
    sites = windows.deployments["site"].to_numpy(object).astype(str)
    plan = plan_splits(windows.deployments.assign(service=sites), folds=settings.folds, seed=settings.seed)
    names = np.unique(sites)
    probability = np.full((len(sites), names.size), np.nan)
    for split in plan.splits:
        model: Any = ExtraTreesClassifier(settings.trees, class_weight="balanced", random_state=settings.seed)
        model.fit(windows.X[split.train], sites[split.train])
        there = np.searchsorted(names, model.classes_)
        probability[np.ix_(split.test, there)] = model.predict_proba(windows.X[split.test])
    tested = np.isfinite(probability).any(axis=1)
    scores, truth = np.nan_to_num(probability[tested]), sites[tested]
    drawn = draw_weights(truth.tolist(), seed=settings.seed, resamples=_RESAMPLES)
    weights = np.vstack([np.ones(truth.size), drawn])
    by_site = [
        auroc_of_draws(*(cumulate_weights(scores[:, place], weights * own) for own in (truth != name, truth == name)))
        for place, name in enumerate(names)
        if 0 < (truth == name).sum() < truth.size
    ]
    mean = np.mean(by_site, axis=0) if by_site else np.full(1 + _RESAMPLES, np.nan)
    found = interval(float(mean[0]), mean[1:], truth.size)
    return {"auc": found.value, "low": found.low, "high": found.high}
