"""What tells services apart: each metric by itself, families of metrics left out, and labels dealt at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from podlab.audit.confounding import explained_share
from podlab.audit.look import Look
from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.scores import score
from podlab.evaluation.splits import Plan, TextArray, plan_splits
from podlab.metrics import CATALOGUE, FEATURE_METRICS
from podlab.windows import series_of

#: What is left of the metrics in each ablation, by family. The image's size is in none of them: it never is a feature.
ABLATIONS: Final[dict[str, tuple[str, ...]]] = {
    "all": ("cpu", "memory", "filesystem", "volume", "network", "io"),
    "without volume": ("cpu", "memory", "filesystem", "network", "io"),
    "without filesystem and volume": ("cpu", "memory", "network", "io"),
    "memory only": ("memory",),
    "CPU + network only": ("cpu", "network"),
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


def ablations(looks: Mapping[str, Look], trial: Trial) -> pd.DataFrame:
    """Score what can be told with some families of metrics only, trained anew each time.

    Returns
    -------
    DataFrame
        One line per window and entry of :data:`ABLATIONS` of which the samples have a metric: ``window``,
        ``features`` (which), ``number`` of them, ``macro_f1``, ``low``, ``high``, ``deployments``, ``chance`` (one of
        the number of services).
    """
    about, tasks = [], []
    for name, look in looks.items():
        plan = _plan(look, trial)
        for what, families in ABLATIONS.items():
            columns = tuple(metric for metric in FEATURE_METRICS if CATALOGUE[metric].family in families)
            kept = look.only(columns)
            if kept.names:
                about.append({"window": name, "features": what, "number": len(kept.names)})
                tasks.append(_Task(kept.X, plan))
    return _table(about, tasks, _score_all(tasks, trial))


def separate_by_metric(looks: Mapping[str, Look], trial: Trial) -> pd.DataFrame:
    """Score what each metric tells by itself, and what its level goes with.

    Returns
    -------
    DataFrame
        One line per window and series: ``window``, ``metric``, ``macro_f1``, ``low``, ``high`` (of a forest that sees
        this series only), ``deployments``, ``chance``, and the shares of the variance of its mean (as ``log(1 + x)``)
        that the service explains (``by_service``) and that the load pattern does (``by_load``; missing where no label
        tells).
    """
    about, tasks = [], []
    for name, look in looks.items():
        plan = _plan(look, trial)
        for series in series_of(FEATURE_METRICS):
            kept = look.only((series,))
            level = look.X[:, look.names.index(f"{series}.mean")] if kept.names else np.array([np.nan])
            if np.isnan(level).all():
                continue
            shares = {"by_service": _explained(look.deployments["service"], level)}
            shares["by_load"] = _explained(look.deployments["load"], level) if "load" in look.deployments else np.nan
            about.append({"window": name, "metric": series, **shares})
            tasks.append(_Task(kept.X, plan))
    return _table(about, tasks, _score_all(tasks, trial))


def shuffled_scores(look: Look, trial: Trial, *, shuffles: int = 5) -> pd.DataFrame:
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


def _plan(look: Look, trial: Trial) -> Plan:
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
    return explained_share(codes, level[known].astype(np.float64)[:, None]) if known.any() else float("nan")
