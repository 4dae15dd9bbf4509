"""Classifiers that could run in podlab, for comparing them on equal terms."""

from __future__ import annotations

from collections.abc import Callable
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

from podlab.windows import Windows

#: A view of the containers (``own``: features of the seconds observed, ``first``: of the shortest horizon,
#: ``intervals``: :func:`describe_intervals` of the seconds observed), and what makes a classifier on it from a seed.
Part = tuple[str, Callable[[int], Any]]

#: The window is cut into 1, 2, 4 and 8 intervals.
_DEPTHS = 4
_TREES = 300
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


def _extra_trees(seed: int) -> Any:
    return ExtraTreesClassifier(_TREES, max_features=0.2, class_weight="balanced", random_state=seed, n_jobs=1)


def _random_forest(seed: int) -> Any:
    return RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed, n_jobs=1)


def _boosting(seed: int) -> Any:
    return HistGradientBoostingClassifier(
        max_iter=40, min_samples_leaf=5, early_stopping=False, class_weight="balanced", random_state=seed
    )


def _discriminant(seed: int) -> Any:
    return make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        SelectKBest(f_classif, k=_SELECTED),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    )


def _nearest(seed: int) -> Any:
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), KNeighborsClassifier(n_neighbors=1))


#: By name; the log-votes of several parts are added.
CONTENDERS: dict[str, tuple[Part, ...]] = {
    "extra trees": (("own", _extra_trees),),
    "extra trees, first seconds kept": (("first", _extra_trees), ("own", _extra_trees)),
    "random forest": (("own", _random_forest),),
    "boosting": (("own", _boosting),),
    "discriminant on selected features": (("own", _discriminant),),
    "1-NN": (("own", _nearest),),
    "extra trees on intervals": (("intervals", _extra_trees),),
    "extra trees and discriminant": (("own", _extra_trees), ("own", _discriminant)),
}
