"""Classifiers that could run in podlab, for comparing them on equal terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from podlab.evaluation.kernels import RidgeOnKernels
from podlab.features.windows import Windows
from podlab.identify.forest import Forest, fit_subspace_forest

#: A view of the containers (``own``: features of the seconds observed, ``earlier``: of those that podlab's companion
#: saw, ``intervals``: :func:`describe_intervals` of the seconds observed, ``kernels``:
#: :func:`podlab.evaluation.kernels.describe_kernels` of them), and what makes a classifier on it from a seed and the
#: features' names.
Part = tuple[str, Callable[[int, Sequence[str]], Any]]

#: The window is cut into 1, 2, 4 and 8 intervals.
_DEPTHS = 4
#: As many as podlab's own forest has.
_TREES = 200
_SELECTED = 60


def describe_intervals(windows: Windows) -> NDArray[np.float32]:
    """Quantiles of dyadic intervals of each series and of its steps, after QUANT (n_containers, n_features).

    Dempster, Schmidt and Webb 2024, "QUANT: a minimalist interval method for time series classification", Data Mining
    and Knowledge Discovery 38:2377-2402; here of ``log(1 + x)``, without shifted intervals and the Fourier transform.
    """
    values = np.log1p(np.abs(windows.cells))
    parts = []
    for series in (values, np.diff(values, axis=2)):
        for depth in range(_DEPTHS):
            for interval in np.array_split(series, 2**depth, axis=2):
                length = interval.shape[2]
                if length:
                    ordered = np.sort(interval, axis=2)
                    at = np.unique(np.linspace(0, length - 1, max(1, length // 4)).astype(np.intp))
                    parts.append(ordered[:, :, at].reshape(len(values), -1))
    return np.concatenate(parts, axis=1)


class TreesByView:
    """podlab's own forest with scikit-learn's manners: each tree sees one kind of evidence.

    Parameters
    ----------
    seed : int
    names : sequence of str
        Of the features.
    """

    classes_: NDArray[np.intp]

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self._seed = seed
        self._names = names

    def fit(self, X: NDArray[np.float32], y: NDArray[np.int64]) -> TreesByView:
        """Grow the trees."""
        self.classes_, number = np.unique(y, return_inverse=True)
        self._forest: Forest = fit_subspace_forest(
            X, number, np.ones(number.size), self._names,
            services=self.classes_.size, trees=_TREES, seed=self._seed, jobs=1,
        )  # fmt: skip
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the probability of each class (n, n_classes)."""
        return self._forest.predict(X)


def _extra_trees(seed: int, names: Sequence[str]) -> Any:
    return ExtraTreesClassifier(_TREES, max_features=0.2, class_weight="balanced", random_state=seed, n_jobs=1)


def _extra_trees_of_many(seed: int, names: Sequence[str]) -> Any:
    return ExtraTreesClassifier(_TREES, class_weight="balanced", random_state=seed, n_jobs=1)


def _random_forest(seed: int, names: Sequence[str]) -> Any:
    return RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed, n_jobs=1)


def _boosting(seed: int, names: Sequence[str]) -> Any:
    # Tiny trees, shrunk, each split among some features: larger ones learn a few hundred containers by heart.
    return HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=4, max_features=0.2, max_bins=63, min_samples_leaf=5, l2_regularization=1.0,
        early_stopping=False, class_weight="balanced", random_state=seed,
    )  # fmt: skip


def _discriminant(seed: int, names: Sequence[str]) -> Any:
    return make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        SelectKBest(f_classif, k=_SELECTED),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    )


def _nearest(seed: int, names: Sequence[str]) -> Any:
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), KNeighborsClassifier(n_neighbors=1))


def _ridge(seed: int, names: Sequence[str]) -> Any:
    return RidgeOnKernels()


#: By name; log-votes are added as podlab adds those of its experts: the last part's count whole, those before by half.
CONTENDERS: dict[str, tuple[Part, ...]] = {
    "podlab: trees by view, start kept": (("earlier", TreesByView), ("own", TreesByView)),
    "trees by view": (("own", TreesByView),),
    "extra trees": (("own", _extra_trees),),
    "extra trees and discriminant": (("own", _discriminant), ("own", _extra_trees)),
    "random forest": (("own", _random_forest),),
    "boosting": (("own", _boosting),),
    "discriminant on selected features": (("own", _discriminant),),
    "1-NN": (("own", _nearest),),
    "extra trees on intervals": (("intervals", _extra_trees_of_many),),
    "ridge on random kernels": (("kernels", _ridge),),
}
