"""Classifiers on podlab's features to compare podlab with, as scikit-learn has or would have them, and which differ.

Ranks and tests are over cases: the deployments of one fold at one horizon. The folds of a case at several horizons hold
the same deployments, and folds share training deployments, so cases are not independent and both tests find differences
a little too easily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from podlab.evaluation.cross_validation import PROBABILITY, FeatureClassifier, Model
from podlab.features.windows import Windows
from podlab.identify.calibration import combine_logits, softmax, to_logits
from podlab.identify.forest import fit_subspace_forest
from podlab.identify.observation import COMPANION_MIN_FRACTION

#: As many trees as podlab's own forest has.
_TREES = 200
#: Features of the linear discriminant.
_SELECTED = 60
#: A window is cut into 1, 2, 4 and 8 intervals.
_DEPTHS = 4
#: Hydra's kernels: length, number in a group, groups; a group sees the sum of so many series at most.
_KERNEL_LENGTH, _KERNELS_PER_GROUP, _KERNEL_GROUPS, _MAX_SERIES = 9, 8, 32, 8
_KERNEL_SEED = 0

#: Names of what is compared in :func:`podlab.evaluation.evaluate`.
MAJORITY, ONE_RULE, NEAREST, TREE = "majority class", "one-metric rule", "1-NN", "tree"


def j48_like_tree(seed: int = 0) -> DecisionTreeClassifier:
    """Make the tree that the original used, as near as scikit-learn comes to it.

    C4.5 (J48 in Weka) with its defaults: splits by information gain and at least two samples in a leaf. J48 takes the
    gain's ratio and prunes afterwards, which scikit-learn does not.
    """
    return DecisionTreeClassifier(criterion="entropy", min_samples_leaf=2, random_state=seed)


def simple_baselines(seed: int = 0) -> dict[str, Any]:
    """Make the simple classifiers that any model must beat, by name, the simplest first."""
    return {
        MAJORITY: DummyClassifier(strategy="most_frequent"),
        ONE_RULE: OneRule(seed),
        NEAREST: make_pipeline(
            # A missing value counts as the mean.
            StandardScaler(), SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True),
            KNeighborsClassifier(n_neighbors=1),
        ),
        TREE: j48_like_tree(seed),
    }  # fmt: skip


@dataclass
class OneRule:
    """Ranges of the mean of a single metric, of the metric that separates the training's services best.

    After 1R (Holte 1993, "Very simple classification rules perform well on most commonly used datasets"), with as many
    ranges as services, found by a tree over the one feature. After fitting, ``metric_`` is the metric.
    """

    seed: int = 0

    def fit(self, X: pd.DataFrame, y: NDArray[np.str_]) -> Self:
        """Find the best metric and its ranges."""
        best = -1.0
        for name in X:
            if not str(name).endswith(".mean") or X[name].isna().all():
                continue
            values = X[[name]].to_numpy(copy=True)
            rule = DecisionTreeClassifier(
                criterion="entropy", max_leaf_nodes=max(2, len(set(y))), random_state=self.seed
            ).fit(values, y)
            if (accuracy := rule.score(values, y)) > best:
                best, self.metric_, self.rule_ = accuracy, str(name).removesuffix(".mean"), rule
        self.classes_ = self.rule_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Give the shares of services in the range that each row's metric falls into (n, n_classes)."""
        return np.asarray(self.rule_.predict_proba(X[[f"{self.metric_}.mean"]].to_numpy(copy=True)))


@dataclass
class FeatureSubspaceForest:
    """Podlab's own forest as a scikit-learn classifier: each tree sees the features of one family of metrics."""

    seed: int = 0

    def fit(self, X: pd.DataFrame, y: NDArray[np.str_]) -> Self:
        """Grow the trees."""
        self.classes_, number = np.unique(y, return_inverse=True)
        self.forest_ = fit_subspace_forest(
            X.to_numpy(), number, np.ones(number.size), tuple(X.columns),
            services=self.classes_.size, trees=_TREES, seed=self.seed, jobs=1,
        )  # fmt: skip
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Give the probability of each class (n, n_classes)."""
        return np.asarray(self.forest_.predict(X.to_numpy()))


@dataclass
class Ensemble:
    """Several classifiers whose logits are added as podlab adds those of its horizon models."""

    members: Sequence[FeatureClassifier]  # the last one counts whole, those before it half

    def fit(self, samples: pd.DataFrame, /) -> Self:
        """Fit each member."""
        self.members = [member.fit(samples) for member in self.members]
        self.fit_cpu_s = sum(member.fit_cpu_s for member in self.members)
        return self

    def predict(self, samples: pd.DataFrame, /, *, horizon_s: float | None = None) -> pd.DataFrame:
        """See :meth:`podlab.evaluation.cross_validation.Model.predict`."""
        found = [member.predict(samples, horizon_s=horizon_s) for member in self.members]
        names = [name for name in found[-1] if str(name).startswith(PROBABILITY)]
        logits = [to_logits(own.reindex(columns=names).to_numpy(np.float64)) for own in found]
        cpu_s = sum(own["predict_cpu_s"] for own in found)
        return found[-1].assign(
            **pd.DataFrame(softmax(combine_logits(logits), 1.0), columns=names), predict_cpu_s=cpu_s
        )


def interval_quantiles(windows: Windows) -> pd.DataFrame:
    """Quantiles of dyadic intervals of each series and of its steps, after QUANT (n_containers, n_features).

    Dempster, Schmidt and Webb 2024, "QUANT: a minimalist interval method for time series classification", Data Mining
    and Knowledge Discovery 38:2377-2402; here of ``log(1 + x)``, without shifted intervals and the Fourier transform.
    """
    values = np.log1p(np.abs(windows.cells))
    parts = []
    for series in (values, np.diff(values, axis=2)):
        for depth in range(_DEPTHS):
            for interval in np.array_split(series, 2**depth, axis=2):
                if length := interval.shape[2]:
                    ordered = np.sort(interval, axis=2)
                    at = np.unique(np.linspace(0, length - 1, max(1, length // 4)).astype(np.intp))
                    parts.append(ordered[:, :, at].reshape(len(values), -1))
    return pd.DataFrame(np.concatenate(parts, axis=1))


def benchmark_models(
    horizon_s: float, horizons_s: Sequence[float], columns: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Model]:
    """Make the methods of the benchmark for one horizon, podlab's own first.

    Parameters
    ----------
    horizon_s : float
        Seconds since the start that they learn from and predict from.
    horizons_s : sequence of float
        All that are compared, ascending: the first that is not too short stands beside ``horizon_s`` in podlab's own.
    columns : sequence of str, optional
        Metric columns.
    """
    own = FeatureSubspaceForest(seed)
    trees: dict[str, Any] = {"class_weight": "balanced", "random_state": seed, "n_jobs": 1}
    extra = ExtraTreesClassifier(_TREES, max_features=0.2, **trees)
    extra_of_many = ExtraTreesClassifier(_TREES, **trees)
    # Tiny trees, shrunk, each split among some features: larger ones learn a few hundred containers by heart.
    boosting = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=4, max_features=0.2, max_bins=63, min_samples_leaf=5, l2_regularization=1.0,
        early_stopping=False, class_weight="balanced", random_state=seed,
    )  # fmt: skip
    discriminant = make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), SelectKBest(f_classif, k=_SELECTED),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    )  # fmt: skip
    # The ridge's strength is chosen by leave-one-out.
    ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-1, 4, 8), class_weight="balanced"))
    nearest = make_pipeline(
        SimpleImputer(keep_empty_features=True), StandardScaler(), KNeighborsClassifier(n_neighbors=1)
    )
    earlier_s = next(each for each in horizons_s if each >= COMPANION_MIN_FRACTION * horizon_s)

    def on_features(estimator: Any, until_s: float = horizon_s, **view: Any) -> FeatureClassifier:
        return FeatureClassifier(estimator, horizon_s=until_s, columns=columns, **view)

    return {
        "podlab: trees by view, start kept": Ensemble([on_features(own, earlier_s), on_features(own)]),
        "trees by view": on_features(own),
        "extra trees": on_features(extra),
        "extra trees and discriminant": Ensemble([on_features(discriminant), on_features(extra)]),
        "random forest": on_features(RandomForestClassifier(_TREES, **trees)),
        "boosting": on_features(boosting),
        "discriminant on selected features": on_features(discriminant),
        "1-NN": on_features(nearest),
        "extra trees on intervals": on_features(extra_of_many, view=interval_quantiles),
        "ridge on random kernels": on_features(ridge, view=hydra_features),
    }


def hydra_features(windows: Windows) -> pd.DataFrame:
    """Describe windows by competing random convolutional kernels (n_containers, n_features).

    Hydra: Dempster, Schmidt and Webb 2023, "Hydra: competing convolutional kernels for fast and accurate time series
    classification", Data Mining and Knowledge Discovery 37:1779-1805, with half as many groups. In each group of 8
    random kernels the best fitting one is counted at each cell by how well it fits, and the worst fitting one by once;
    of ``log(1 + x)`` and its steps, at every dilation that fits into the window. Kernels have zero mean and so
    ignore the level, which carries identity: each series' mean is added. A missing series counts as 0.
    """
    values = np.nan_to_num(np.log1p(np.abs(windows.cells)).astype(np.float32))
    parts = [values.mean(axis=2)]
    rng = np.random.default_rng(_KERNEL_SEED)
    for series in (values, np.diff(values, axis=2)):
        _, channels, cells = series.shape
        exponents = int(np.log2(max(cells - 1, _KERNEL_LENGTH - 1) / (_KERNEL_LENGTH - 1)))
        for dilation in 2 ** np.arange(exponents + 1):
            for _ in range(_KERNEL_GROUPS):
                kernels = rng.standard_normal((_KERNEL_LENGTH, _KERNELS_PER_GROUP)).astype(np.float32)
                kernels -= kernels.mean(axis=0)
                kernels /= np.abs(kernels).sum(axis=0)
                chosen = rng.permutation(channels)[: min(_MAX_SERIES, 1 + channels // 2)]
                parts.append(_compete(series[:, chosen].sum(axis=1), kernels, int(dilation)))
    return pd.DataFrame(np.concatenate(parts, axis=1))


def _compete(values: NDArray[np.float32], kernels: NDArray[np.float32], dilation: int) -> NDArray[np.float32]:
    """Count the best and the worst fitting kernels (n, n_cells) -> (n, 2 * n_kernels)."""
    reach = dilation * (_KERNEL_LENGTH - 1)
    padded = np.pad(values, ((0, 0), (reach // 2, reach - reach // 2)))
    fit = sliding_window_view(padded, reach + 1, axis=1)[..., ::dilation] @ kernels
    best, worst = fit.argmax(axis=2), fit.argmin(axis=2)
    strength = np.take_along_axis(fit, best[..., None], axis=2)[..., 0]
    counts = [np.where(best == kernel, strength, 0).sum(axis=1) for kernel in range(kernels.shape[1])]
    counts += [(worst == kernel).sum(axis=1) for kernel in range(kernels.shape[1])]
    return np.asarray(np.sqrt(np.maximum(np.stack(counts, axis=1), 0)), dtype=np.float32)


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
