"""Windows described by competing random convolutional kernels, and a classifier on them, to compare podlab with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from podlab.features.windows import Windows

_LENGTH = 9
_KERNELS = 8
_GROUPS = 32
#: A group sees the sum of at most so many series.
_MOST_SERIES = 8
_SEED = 0


def describe_kernels(windows: Windows) -> NDArray[np.float32]:
    """How often, and how strongly, each kernel fits best among its group (n_containers, n_features).

    Hydra: Dempster, Schmidt and Webb 2023, "Hydra: competing convolutional kernels for fast and accurate time series
    classification", Data Mining and Knowledge Discovery 37:1779-1805, with half as many groups. In each group of 8
    random kernels the best fitting one is counted at each cell by how well it fits, and the worst fitting one by once;
    of ``log(1 + x)`` and its steps, at every dilation that fits into the window. Kernels have no mean and so see no
    level, which carries identity: each series' mean stands beside them. A missing series counts as 0.
    """
    values = np.nan_to_num(np.log1p(np.abs(windows.cells)).astype(np.float32))
    parts = [values.mean(axis=2)]
    rng = np.random.default_rng(_SEED)
    for series in (values, np.diff(values, axis=2)):
        _, channels, cells = series.shape
        exponents = int(np.log2(max(cells - 1, _LENGTH - 1) / (_LENGTH - 1)))
        for dilation in 2 ** np.arange(exponents + 1):
            for _ in range(_GROUPS):
                kernels = rng.standard_normal((_LENGTH, _KERNELS)).astype(np.float32)
                kernels -= kernels.mean(axis=0)
                kernels /= np.abs(kernels).sum(axis=0)
                chosen = rng.permutation(channels)[: min(_MOST_SERIES, 1 + channels // 2)]
                parts.append(_compete(series[:, chosen].sum(axis=1), kernels, int(dilation)))
    return np.concatenate(parts, axis=1)


def _compete(values: NDArray[np.float32], kernels: NDArray[np.float32], dilation: int) -> NDArray[np.float32]:
    """Count who fits best and worst (n, n_cells) -> (n, 2 * n_kernels)."""
    reach = dilation * (_LENGTH - 1)
    padded = np.pad(values, ((0, 0), (reach // 2, reach - reach // 2)))
    fit = sliding_window_view(padded, reach + 1, axis=1)[..., ::dilation] @ kernels
    best, worst = fit.argmax(axis=2), fit.argmin(axis=2)
    strength = np.take_along_axis(fit, best[..., None], axis=2)[..., 0]
    counts = [np.where(best == kernel, strength, 0).sum(axis=1) for kernel in range(kernels.shape[1])]
    counts += [(worst == kernel).sum(axis=1) for kernel in range(kernels.shape[1])]
    return np.asarray(np.sqrt(np.maximum(np.stack(counts, axis=1), 0)), dtype=np.float32)


class RidgeOnKernels:
    """Hydra's classifier, ridge regression on all counts, with the manners of one that gives probabilities."""

    classes_: NDArray[np.intp]

    def __init__(self) -> None:
        ridge = RidgeClassifierCV(alphas=np.logspace(-1, 4, 8), class_weight="balanced")
        self._model: Any = make_pipeline(StandardScaler(), ridge)

    def fit(self, X: NDArray[np.float32], y: NDArray[np.int64]) -> RidgeOnKernels:
        """Fit the ridge, its strength chosen by leaving one out."""
        self._model.fit(X, y)
        self.classes_ = self._model[-1].classes_
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give 1 to the class that the ridge decides for (n, n_classes)."""
        said = self._model.predict(X)
        return np.asarray(said[:, None] == self.classes_, dtype=np.float64)
