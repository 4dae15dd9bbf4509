"""What tells services apart: each metric by itself, families of metrics left out, and labels dealt at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]
from sklearn.ensemble import ExtraTreesClassifier

from podlab.audit.confounding import explained_share, properties_of
from podlab.audit.contents import surroundings
from podlab.audit.windows import START_UP, STEADY_STATE, WindowTable, cut_windows, sample_deployments
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS, Family
from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.scores import score
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
class Trial:
    """How scores are come by: forests on folds of deployments.

    Attributes
    ----------
    folds : int
        Deployments are dealt into so many.
    trees : int
        Of each forest.
    seed : int
        The same looks and trial give the same scores.
    jobs : int, optional
        How many processes; by default as many as there are cores. The scores do not depend on it.
    """

    folds: int = 5
    trees: int = 100
    seed: int = 0
    jobs: int | None = None


@dataclass(frozen=True)
class _Task:
    """One forest to be scored by deployment: what it sees of a look, and what it is scored against."""

    X: NDArray[np.float32]
    plan: Plan


def ablations(looks: Mapping[str, WindowTable], trial: Trial) -> pd.DataFrame:
    """Score what can be told with some families of metrics only, trained anew each time.

    Returns
    -------
    DataFrame
        One line per window and entry of :data:`ABLATIONS` that leaves other metrics than those before it: ``window``,
        ``features`` (which), ``number`` of them, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance`` (one of
        the number of services).
    """
    about, tasks = [], []
    for name, look in looks.items():
        plan = _plan(look, trial)
        done: set[tuple[str, ...]] = set()
        for what, columns in ABLATIONS.items():
            kept = look.only(columns)
            if kept.names and kept.names not in done:
                done.add(kept.names)
                about.append({"window": name, "features": what, "number": len(kept.names)})
                tasks.append(_Task(kept.X, plan))
    return _table(about, tasks, _score_all(tasks, trial))


def separate_by_metric(looks: Mapping[str, WindowTable], trial: Trial) -> pd.DataFrame:
    """Score what each metric tells by itself, and what its level goes with.

    Returns
    -------
    DataFrame
        One line per window and series that is not the same in all deployments: ``window``, ``metric``, ``macro_f1``,
        ``low``, ``high`` (of a forest that sees this series only), ``deployments``, ``chance``, and the shares of the
        variance of its mean (as ``log(1 + x)``) that the service explains (``by_service``), that the load pattern does
        (``by_load``) and that the site does (``by_site``), each corrected for the number of groups, so that many
        services explain no more by chance than few patterns do (epsilon squared; Kelley 1935, "An unbiased correlation
        ratio measure", Proceedings of the National Academy of Sciences 21:554-559); missing where no label tells.
    """
    about, tasks = [], []
    for name, look in looks.items():
        plan = _plan(look, trial)
        for series in series_of(MEASURED_METRICS):
            kept = look.only((series,))
            level = look.X[:, look.names.index(f"{series}.mean")] if kept.names else np.array([np.nan])
            # What is the same everywhere tells nothing, such as memory swapped out where nothing is.
            if np.isnan(level).all() or np.nanmax(level) == np.nanmin(level):
                continue
            shares = {"by_service": _explained(look.deployments["service"], level)}
            for what, label in (("by_load", "load"), ("by_site", "site")):
                shares[what] = _explained(look.deployments[label], level) if label in look.deployments else np.nan
            about.append({"window": name, "metric": series, **shares})
            tasks.append(_Task(kept.X, plan))
    return _table(about, tasks, _score_all(tasks, trial))


def shuffled_scores(look: WindowTable, trial: Trial, *, shuffles: int = 5) -> pd.DataFrame:
    """Score forests that learn and are tested on services dealt to deployments at random.

    Whatever they score above chance, the protocol gives away.

    Returns
    -------
    DataFrame
        One line per shuffle: ``window``, ``shuffle``, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance``.
    """
    about, tasks = [], []
    rng = np.random.default_rng(trial.seed)
    for number in range(shuffles):
        services = pd.array(rng.permutation(look.services), dtype="str")
        dealt = replace(look, deployments=look.deployments.assign(service=services))
        about.append({"window": look.name, "shuffle": number + 1})
        tasks.append(_Task(look.X, _plan(dealt, trial)))
    return _table(about, tasks, _score_all(tasks, trial))


def tell_from_draws(look: WindowTable, everything: pd.DataFrame, trial: Trial, *, shuffles: int = 5) -> pd.DataFrame:
    """Score forests that see no metric, only the circumstances of each deployment: its draws, load, site and start.

    Nothing that is drawn may tell the service; so the score must be that of services dealt at random. Left out is what
    the service decides by itself: its knobs, which have its own ranges, and numbers of versions and configurations.

    Parameters
    ----------
    look : WindowTable
        Taken with a table of draws, where there is one.
    everything : DataFrame
        Samples of all that was recorded meanwhile, for what ran beside.
    trial : Trial
    shuffles : int
        How often services are dealt to deployments at random.

    Returns
    -------
    DataFrame
        One line for the services as they are and one for each shuffle: ``services`` (``as recorded`` or ``dealt at
        random``), ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance``.
    """
    properties = [
        each
        for each in properties_of(look, surroundings(everything, look.deployments), in_common=False)
        if not each.name.startswith("knob ") and each.name not in ("version number", "configuration number")
    ]
    # What is missing stands below all that is known.
    columns = [
        each.told.fillna(-1.0) if each.is_number else pd.get_dummies(each.told, prefix=each.name) for each in properties
    ]
    seen = replace(look, X=pd.concat(columns, axis=1).to_numpy(np.float32), names=())
    rng = np.random.default_rng(trial.seed)
    about, tasks = [{"services": "as recorded"}], [_Task(seen.X, _plan(seen, trial))]
    for _ in range(shuffles):
        services = pd.array(rng.permutation(look.services), dtype="str")
        dealt = replace(seen, deployments=look.deployments.assign(service=services))
        about.append({"services": "dealt at random"})
        tasks.append(_Task(seen.X, _plan(dealt, trial)))
    return _table(about, tasks, _score_all(tasks, trial))


def _plan(look: WindowTable, trial: Trial) -> Plan:
    return plan_splits(look.deployments, folds=trial.folds, seed=trial.seed)


def _score_all(tasks: Sequence[_Task], trial: Trial) -> list[Estimate]:
    """Macro-F1 of each task over all its splits."""
    work = (
        delayed(_answer)(task.X[split.train], task.plan.services[split.train], task.X[split.test], trial)
        for task in tasks
        for split in task.plan.splits
    )
    answers = iter(Parallel(n_jobs=trial.jobs or cpu_count(), batch_size="auto")(work))
    found = []
    for task in tasks:
        tested = np.concatenate([split.test for split in task.plan.splits])
        said = np.concatenate([next(answers) for _ in task.plan.splits])
        truth, units = task.plan.services[tested], task.plan.units[tested]
        found.append(score(list(truth), list(said), list(units), seed=trial.seed).macro_f1)
    return found


def _answer(train: NDArray[np.float32], services: TextArray, test: NDArray[np.float32], trial: Trial) -> TextArray:
    model: Any = ExtraTreesClassifier(trial.trees, class_weight="balanced", random_state=trial.seed)
    return np.asarray(model.fit(train, services.astype(str)).predict(test), dtype=object)


def _table(about: list[dict[str, Any]], tasks: Sequence[_Task], scores: Sequence[Estimate]) -> pd.DataFrame:
    told = [
        {
            **each,
            "macro_f1": found.value,
            "low": found.low,
            "high": found.high,
            "deployments": len(task.plan.services),
            "chance": 1 / len(set(task.plan.services)),
        }
        for each, task, found in zip(about, tasks, scores, strict=True)
    ]
    return pd.DataFrame(told)


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
    samples: pd.DataFrame, trial: Trial, *, length_s: float = 60.0, per_service: int = 0
) -> pd.DataFrame:
    """Score how well a forest tells sites apart in deployments that it has not seen.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with ``service``, ``deployment`` and ``site``.
    trial : Trial
        Folds, trees and seed.
    length_s : float
        Length of the windows at the start and of the steady state; the first :data:`FIRST_S` are a window of their own.
    per_service : int
        Only so many deployments of each service and site, drawn at random; 0 for all.

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
    told = samples[samples["site"].notna()].reset_index(drop=True)
    whole = cut_windows(told, length_s=length_s)
    windows: dict[str, WindowTable] = {}
    if START_UP in whole:
        windows[f"first {FIRST_S:g} s"] = cut_windows(told, length_s=FIRST_S)[START_UP]
        windows[f"first {length_s:g} s"] = whole[START_UP]
    if STEADY_STATE in whole:
        windows[f"{length_s:g} s of steady state"] = whole[STEADY_STATE]
    windows = sample_deployments(windows, per_service * samples["site"].nunique(), seed=trial.seed)
    families = list(dict.fromkeys(CATALOGUE[name].family for name in MEASURED_METRICS))
    parts: dict[str, tuple[str, ...]] = {"all": MEASURED_METRICS}
    parts |= {family: tuple(m for m in MEASURED_METRICS if CATALOGUE[m].family == family) for family in families}
    asked = [
        (window, part, look.only(columns_of))
        for window, look in windows.items()
        if len(look.deployments["site"].unique()) > 1
        for part, columns_of in parts.items()
    ]
    asked = [(window, part, look) for window, part, look in asked if look.names]
    found = Parallel(n_jobs=trial.jobs or cpu_count())(delayed(_auc)(look, trial) for _, _, look in asked)
    rows = [
        {
            "window": window,
            "features": part,
            "number": len(look.names),
            **scores,
            "deployments": len(look.deployments),
            "sites": look.deployments["site"].nunique(),
        }
        for (window, part, look), scores in zip(asked, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _auc(look: WindowTable, trial: Trial) -> dict[str, float]:
    """Out-of-fold AUC with its interval; folds are of deployments and spread each site over all of them."""
    sites = look.deployments["site"].to_numpy(object).astype(str)
    plan = plan_splits(look.deployments.assign(service=sites), folds=trial.folds, seed=trial.seed)
    names = np.unique(sites)
    probability = np.full((len(sites), names.size), np.nan)
    for split in plan.splits:
        model: Any = ExtraTreesClassifier(trial.trees, class_weight="balanced", random_state=trial.seed)
        model.fit(look.X[split.train], sites[split.train])
        there = np.searchsorted(names, model.classes_)
        probability[np.ix_(split.test, there)] = model.predict_proba(look.X[split.test])
    tested = np.isfinite(probability).any(axis=1)
    scores, truth = np.nan_to_num(probability[tested]), sites[tested]
    rng = np.random.default_rng(trial.seed)
    drawn = [
        _mean_auc(truth[chosen], scores[chosen], names)
        for chosen in (rng.integers(0, truth.size, truth.size) for _ in range(_RESAMPLES))
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"auc": _mean_auc(truth, scores, names), "low": float(low), "high": float(high)}


def _mean_auc(truth: NDArray[np.str_], scores: NDArray[np.float64], names: NDArray[np.str_]) -> float:
    """Mean over sites of the AUC of each against all others; NaN where there is one only."""
    one_by_one = []
    for place, name in enumerate(names):
        own = truth == name
        here, there = int(own.sum()), int((~own).sum())
        if here and there:
            # Mann and Whitney's U by ranks: hundreds of resamples are asked for.
            above = rankdata(scores[:, place])[own].sum() - here * (here + 1) / 2
            one_by_one.append(above / (here * there))
    return float(np.mean(one_by_one)) if one_by_one else float("nan")
