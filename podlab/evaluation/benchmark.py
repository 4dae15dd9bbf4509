"""Many classifiers on the same windows and the same splits: how accurate each is, what it costs, and which differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from podlab.errors import InputError
from podlab.evaluation.baselines import benchmark_models
from podlab.evaluation.cross_validation import FeatureClassifier, Model, cross_validate
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.metrics import macro_f1, score, to_records
from podlab.evaluation.splits import plan_splits
from podlab.progress import Progress

_CONTROL_FOLDS = 2
_LEVEL = 0.05


@dataclass(frozen=True)
class Benchmark:
    """What a comparison found.

    Attributes
    ----------
    table : DataFrame
        One line per method and horizon: ``method, horizon_s, macro_f1, low, high, loaded_macro_f1, idle_macro_f1`` (NaN
        without such containers), ``fit_cpu_s`` (of one training), ``answer_cpu_ms`` (of one container, features not
        counted), ``n_deployments, n_containers``.
    cases : DataFrame (n_cases, n_methods)
        Macro-F1 in each case: the deployments of one fold at one horizon; indexed by ``horizon_s`` and ``fold``.
    ranks : DataFrame
        ``method, mean_rank``, the best first, over the cases.
    critical_difference : float
        Mean ranks further apart than this differ at the 5 % level (Nemenyi test).
    cliques : list of tuple of str
        Methods without a significant difference, by :func:`find_cliques`. The folds of a case at several horizons hold
        the same deployments, and folds share training deployments, so cases are not independent and both tests find
        differences a little too easily.
    control : DataFrame
        ``method, horizon_s, macro_f1, low, high``: the same trained on shuffled labels, at the last horizon; empty
        without controls.
    chance : float
        What guessing scores.
    predictions : DataFrame
        Of all methods, from :func:`podlab.evaluation.cross_validate`.
    """

    table: pd.DataFrame
    cases: pd.DataFrame
    ranks: pd.DataFrame
    critical_difference: float
    cliques: list[tuple[str, ...]]
    control: pd.DataFrame
    chance: float
    predictions: pd.DataFrame

    def to_json(self) -> dict[str, Any]:
        """Give plain values, undefined ones as null."""
        return {
            **{name: to_records(getattr(self, name)) for name in ("table", "ranks", "control")},
            "n_cases": len(self.cases),
            "critical_difference": self.critical_difference,
            "cliques": [list(clique) for clique in self.cliques],
            "chance": self.chance,
        }


def run_benchmark(
    samples: pd.DataFrame,
    *,
    models: Callable[..., Mapping[str, Model]] = benchmark_models,
    estimators: Mapping[str, Any] | None = None,
    horizons_s: Sequence[float] = (10.0, 60.0),
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    folds: int = 5,
    iterations: int = 1,
    controls: bool = True,
    seed: int = 0,
    jobs: int | None = None,
    cache: Path | str | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Compare classifiers on containers of deployments that they were not trained on.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the labels ``service`` and ``deployment``.
    models : callable
        Makes the methods of one horizon, as :func:`podlab.evaluation.baselines.benchmark_models` does.
    estimators : mapping of str to object, optional
        Further scikit-learn classifiers by name; each is trained on podlab's features.
    horizons_s : sequence of float
        Seconds observed since the start.
    columns : sequence of str, optional
        Metric columns to use; by default all.
    services, folds, iterations, seed, jobs
        As for :func:`podlab.evaluation.evaluate`. Every method gets the same splits.
    controls : bool
        Also train each on shuffled services.
    cache, progress
        As for :func:`podlab.evaluation.cross_validate`.

    Raises
    ------
    InputError
        As :func:`podlab.evaluation.evaluate`, or if there are fewer than two methods, or no horizon.
    """
    if not horizons_s:
        raise InputError("no horizon", hint="give at least one, such as 60s")
    horizons = sorted({float(horizon) for horizon in horizons_s})
    dataset = read_dataset(samples, services, until_s=horizons[-1])
    plan = plan_splits(dataset.containers, folds=folds, iterations=iterations, seed=seed)
    same: dict[str, Any] = {"seed": seed, "jobs": jobs, "cache": cache, "progress": progress}
    found = []
    for horizon_s in horizons:
        own = dict(models(horizon_s, horizons, columns, seed))
        for name, estimator in (estimators or {}).items():
            own[name] = FeatureClassifier(estimator, horizon_s=horizon_s, columns=columns)
        if len(own) < 2:
            raise InputError(f"{len(own)} methods to compare", hint="give at least two")
        found.append(cross_validate(dataset, plan, [horizon_s], own, what=f"{horizon_s:g} s", **same))
    control = pd.DataFrame(columns=["method", "horizon_s", "macro_f1", "low", "high"])
    if controls:
        shuffled = dataset.shuffle_labels(plan.units, seed)
        halves = plan_splits(shuffled.containers, folds=_CONTROL_FOLDS, seed=seed)
        answers = cross_validate(shuffled, halves, horizons[-1:], own, what="shuffled", **same)
        control = _named(score(answers, ["model", "horizon_s"], "best_guess", seed=seed))[control.columns]
    predictions = pd.concat(found, ignore_index=True)
    cases = predictions.groupby(["horizon_s", "fold", "model"]).apply(macro_f1, "best_guess")
    wide = cases.rename("f1").reset_index().pivot_table(index=["horizon_s", "fold"], columns="model", values="f1")
    wide = wide[list(own)]
    return Benchmark(
        table=_tabulate(predictions, seed),
        cases=wide,
        ranks=rank_methods(wide),
        critical_difference=critical_difference(*wide.shape),
        cliques=find_cliques(wide),
        control=control,
        chance=1 / (len(set(plan.services)) - len(plan.untested)),
        predictions=predictions,
    )


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"model": "method", "macro_f1_low": "low", "macro_f1_high": "high"})


def _tabulate(predictions: pd.DataFrame, seed: int) -> pd.DataFrame:
    by = ["model", "horizon_s"]
    table = score(predictions, by, "best_guess", seed=seed).set_index(by)
    for activity in ("loaded", "idle"):
        own = predictions[predictions["activity"] == activity]
        table[f"{activity}_macro_f1"] = own.groupby(by).apply(macro_f1, "best_guess") if len(own) else np.nan
    trained = predictions.drop_duplicates([*by, "fold"]).groupby(by)
    table["fit_cpu_s"] = trained["fit_cpu_s"].mean()
    table["answer_cpu_ms"] = 1000 * predictions.groupby(by)["predict_cpu_s"].mean()
    columns = ["method", "horizon_s", "macro_f1", "low", "high", "loaded_macro_f1", "idle_macro_f1", "fit_cpu_s",
               "answer_cpu_ms", "n_deployments", "n_containers"]  # fmt: skip
    return _named(table.reset_index())[columns]


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

    Demsar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7:1-30, section 3.2.2.

    Examples
    --------
    >>> round(critical_difference(14, 4), 2)
    1.25
    """
    quantile = stats.studentized_range.ppf(1 - _LEVEL, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * cases)))


def wilcoxon(one: pd.Series, other: pd.Series) -> float:
    """Give the p-value of Wilcoxon's signed-rank test, two-sided, by the normal approximation.

    The ranks of cases without a difference are split evenly among both sums (Demsar 2006, section 3.1.3).

    Examples
    --------
    >>> wilcoxon(pd.Series([0.5, 0.6]), pd.Series([0.5, 0.6]))
    1.0
    """
    difference = (one - other).round(9)
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference, zero_method="zsplit", method="asymptotic").pvalue)


def find_cliques(scores: pd.DataFrame) -> list[tuple[str, ...]]:
    """Find groups of methods without a significant difference, in the order of their mean ranks.

    Pairs are compared by :func:`wilcoxon` with Holm's correction (Holm 1979, Scandinavian Journal of Statistics
    6:65-70) at 5 %, as Benavoli, Corani and Mangili 2016 advise ("Should we really use post-hoc tests based on
    mean-ranks?", JMLR 17(5):1-10): other than mean ranks, a pair's test does not depend on what else is compared.

    Parameters
    ----------
    scores : DataFrame (n_cases, n_methods)

    Returns
    -------
    list of tuple of str
        Each of two methods or more, none part of another.
    """
    order = rank_methods(scores)["method"].to_list()
    p = {pair: wilcoxon(scores[pair[0]], scores[pair[1]]) for pair in combinations(order, 2)}
    differ = set()
    for number, pair in enumerate(sorted(p, key=p.__getitem__)):
        if p[pair] > _LEVEL / (len(p) - number):
            break
        differ.add(pair)
    cliques: list[tuple[str, ...]] = []
    for begin in range(len(order)):
        end = begin + 1
        while end < len(order) and not any((order[n], order[end]) in differ for n in range(begin, end)):
            end += 1
        run = tuple(order[begin:end])
        if len(run) > 1 and not any(set(run) <= set(clique) for clique in cliques):
            cliques.append(run)
    return cliques
