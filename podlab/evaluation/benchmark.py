"""Which of several classifiers differ: their ranks over cases, and tests of the differences.

A case is the deployments of one fold at one horizon. The folds of a case at several horizons hold the same deployments,
and folds share training deployments, so cases are not independent and both tests find differences a little too easily.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

_LEVEL = 0.05


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
