"""Many classifiers on the same windows and the same splits: what each is worth, and what it costs."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.evaluation.contenders import CONTENDERS, Part, describe_intervals
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.scores import Scores, score
from podlab.evaluation.splits import IntArray, Plan, plan_splits
from podlab.features import extract
from podlab.identify.calibration import log_votes
from podlab.progress import Progress
from podlab.windows import cut, read_rows

Views = dict[str, NDArray[np.float32]]

#: Of the Nemenyi test at 5 %, for 2 to 10 methods (Demsar 2006, "Statistical comparisons of classifiers over multiple
#: data sets", JMLR 7:1-30, table 5a).
_NEMENYI = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


@dataclass(frozen=True)
class BakeOff:
    """What a comparison found.

    Attributes
    ----------
    table : DataFrame
        One line per method and horizon: ``method, horizon_s, macro_f1, low, high, idle_macro_f1`` (NaN without idle
        containers), ``fit_cpu_s`` (of one training), ``answer_cpu_ms`` (of one container, features not counted),
        ``n_deployments, n_containers``.
    ranks : DataFrame
        ``method, mean_rank``, the best first: each service is a case, ranked by its F1 averaged over horizons.
    critical_difference : float
        Mean ranks further apart than this differ at the 5 % level (Nemenyi test). Services are no independent data
        sets, so it is a guide and no proof; the intervals in ``table`` are over deployments.
    """

    table: pd.DataFrame
    ranks: pd.DataFrame
    critical_difference: float


def bake_off(
    samples: pd.DataFrame,
    *,
    contenders: Mapping[str, tuple[Part, ...]] = CONTENDERS,
    horizons_s: Sequence[float] = (10.0, 60.0),
    columns: Sequence[str] | None = None,
    folds: int = 5,
    iterations: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> BakeOff:
    """Compare classifiers on containers of deployments that they were not trained on.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the labels ``service`` and ``deployment``.
    contenders : mapping of str to tuple of Part
        Two to ten methods by name.
    horizons_s : sequence of float
        Seconds observed since the start.
    columns : sequence of str, optional
        Metric columns to use; by default all.
    folds, iterations, seed
        As for :func:`podlab.evaluation.evaluate`. Every method gets the same splits.
    progress : callable, optional
        Called after each method and horizon.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if there are fewer than two or more than ten methods, or no horizon.
    """
    if not horizons_s:
        raise InputError("no horizon", todo="give at least one, such as 60s")
    if not 2 <= len(contenders) <= len(_NEMENYI) + 1:
        raise InputError(f"{len(contenders)} methods to compare", todo=f"give 2 to {len(_NEMENYI) + 1}")
    horizons = sorted({float(horizon) for horizon in horizons_s})
    dataset = read_dataset(samples, until_s=horizons[-1])
    plan = plan_splits(dataset.containers, folds=folds, iterations=iterations, seed=seed)
    rows = read_rows(dataset.samples)
    idle = np.zeros(len(rows.containers), dtype=bool)
    if "load" in dataset.containers:
        idle = (dataset.containers["load"] == "idle").to_numpy(bool)

    lines, f1 = [], {}
    first: NDArray[np.float32] | None = None
    for horizon_s in horizons:
        windows = cut(rows, horizon_s=horizon_s, columns=columns)
        own = extract(windows)[0]
        first = own if first is None else first
        views = {"own": own, "first": first, "intervals": describe_intervals(windows)}
        for name, parts in contenders.items():
            answers, fit_s, answer_s = _answer(parts, views, plan, seed)
            tested = np.concatenate([split.test for split in plan.splits])
            scores = _score(plan, tested, answers, seed)
            of_idle = idle[tested]
            f1[name, horizon_s] = scores.per_service.set_index("service")["f1"]
            lines.append(
                {
                    "method": name,
                    "horizon_s": horizon_s,
                    "macro_f1": scores.macro_f1.value,
                    "low": scores.macro_f1.low,
                    "high": scores.macro_f1.high,
                    "idle_macro_f1": _score(plan, tested[of_idle], answers[of_idle], seed).macro_f1.value
                    if of_idle.any()
                    else np.nan,
                    "fit_cpu_s": fit_s / len(plan.splits),
                    "answer_cpu_ms": 1000 * answer_s / tested.size,
                    "n_deployments": scores.n_deployments,
                    "n_containers": scores.n_containers,
                }
            )
            if progress is not None:
                progress(len(lines), len(horizons) * len(contenders), name)
    by_service = pd.DataFrame({name: np.mean([f1[name, h] for h in horizons], axis=0) for name in contenders})
    return BakeOff(pd.DataFrame(lines), rank_methods(by_service), critical_difference(*by_service.shape))


def rank_methods(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank methods (columns) by their scores in several cases (rows); ties share their mean rank.

    Returns
    -------
    DataFrame
        ``method, mean_rank``, the best first; rank 1 is the highest score.

    Examples
    --------
    >>> rank_methods(pd.DataFrame({"a": [0.9, 0.8], "b": [0.7, 0.8]}))["mean_rank"].tolist()
    [1.25, 1.75]
    """
    ranks = scores.round(9).rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    return pd.DataFrame({"method": ranks.index.astype("str"), "mean_rank": ranks.to_numpy()})


def critical_difference(cases: int, methods: int) -> float:
    """Give the least difference of mean ranks that the Nemenyi test finds significant at 5 %.

    Examples
    --------
    >>> round(critical_difference(14, 4), 2)
    1.25
    """
    return float(_NEMENYI[methods - 2] * np.sqrt(methods * (methods + 1) / (6 * cases)))


def _answer(parts: tuple[Part, ...], views: Views, plan: Plan, seed: int) -> tuple[NDArray[np.object_], float, float]:
    """Train and answer on each split: the services named, and CPU seconds of training and of answering."""
    names = np.array(sorted(set(plan.services)), dtype=object)
    truth = np.searchsorted(names.astype(str), plan.services.astype(str))
    found, fit_s, answer_s = [], 0.0, 0.0
    for split in plan.splits:
        added = np.zeros((split.test.size, names.size))
        for view, make in parts:
            X = views[view]
            began_s = time.process_time()
            model = _fit(make(seed + split.iteration), X[split.train], truth[split.train])
            fitted_s = time.process_time()
            probability = np.zeros_like(added)
            probability[:, model.classes_] = model.predict_proba(X[split.test])
            added += log_votes(probability)
            fit_s, answer_s = fit_s + fitted_s - began_s, answer_s + time.process_time() - fitted_s
        found.append(names[added.argmax(axis=1)])
    return np.concatenate(found), fit_s, answer_s


def _fit(model: Any, X: NDArray[np.float32], truth: IntArray) -> Any:
    with warnings.catch_warnings():
        # A feature that is the same in all training containers is of no use to selection, and no fault.
        warnings.filterwarnings("ignore", message=".*constant|.*invalid value encountered")
        return model.fit(X, truth)


def _score(plan: Plan, tested: IntArray, answers: NDArray[np.object_], seed: int) -> Scores:
    return score(
        list(plan.services[tested]), list(answers), list(plan.units[tested]), containers=list(tested), seed=seed
    )
