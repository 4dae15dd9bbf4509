"""Detectors as scikit-learn estimators on rows of standardised signals.

They keep to scikit-learn's convention: ``score_samples`` falls with strangeness. Rows are as
:meth:`podlab.detect.usual.Usual.standardise` gives them: finite, 0 where a signal is as usual or missing.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted, validate_data

from podlab.detect.measures import Ellipse, NearestMode, RootMeanSquare

FloatArray = NDArray[np.float64]

#: Training rows farther out than this pull no centre after them.
_FAR = 5.0
#: Nor stretch what is usual farther than this.
_FAR_VARIED = 8.0


class _Detector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """What the detectors share: the threshold at the training's own quantile, as scikit-learn wants one."""

    contamination: float

    def decision_function(self, X: Any) -> FloatArray:
        """Give ``score_samples`` less the threshold (n,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Give -1 for outliers, else 1 (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def score_samples(self, X: Any) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        raise NotImplementedError

    def _set_offset(self, X: FloatArray) -> None:
        self.offset_ = float(np.quantile(self.score_samples(X), self.contamination))


class RobustZ(_Detector):
    """Root mean square of a row: how many strays its signals are from usual, all together.

    Parameters
    ----------
    contamination : float
        Part of the training that ``predict`` calls outliers.
    """

    def __init__(self, contamination: float = 0.001) -> None:
        self.contamination = contamination

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the threshold only (n, n_features)."""
        self._set_offset(validate_data(self, X, dtype=np.float64))
        return self

    def score_samples(self, X: Any) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return self.freeze().score_samples(rows)

    def freeze(self) -> RootMeanSquare:
        """Give what it comes down to."""
        return RootMeanSquare()


class KMeansDistance(_Detector):
    """Distance to the nearest of the modes that normal rows come in: idle, starting, loaded, writing and so on.

    Parameters
    ----------
    n_clusters : int
        Modes, at most.
    max_rows : int
        Training rows that are looked at.
    contamination : float
        Part of the training that ``predict`` calls outliers.
    random_state : int
        Seed.
    """

    def __init__(
        self, n_clusters: int = 12, max_rows: int = 3000, contamination: float = 0.001, random_state: int = 0
    ) -> None:
        self.n_clusters = n_clusters
        self.max_rows = max_rows
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:
        """Find the modes (n, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        drawn = np.random.default_rng(self.random_state).permutation(len(rows))[: self.max_rows]
        near = np.clip(rows[np.sort(drawn)], -_FAR, _FAR)
        clusters = min(self.n_clusters, len(np.unique(near, axis=0)))
        found = KMeans(clusters, n_init=1, max_iter=30, random_state=self.random_state).fit(near)
        self.cluster_centers_ = np.asarray(found.cluster_centers_, dtype=np.float64)
        self._set_offset(rows)
        return self

    def score_samples(self, X: Any) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return self.freeze().score_samples(rows)

    def freeze(self) -> NearestMode:
        """Give what it comes down to."""
        return NearestMode(self.cluster_centers_)


class ShrunkMahalanobis(_Detector):
    """Mahalanobis distance: a row is strange where signals part that go together otherwise, such as work and requests.

    In directions in which normal rows vary a lot it tells little; a reconstruction by principal components would leave
    these out altogether.

    Parameters
    ----------
    ridge : float
        Added to all variances, which are about 1 for standardised signals; what never varied may vary a little.
    contamination : float
        Part of the training that ``predict`` calls outliers.
    """

    def __init__(self, ridge: float = 0.3, contamination: float = 0.001) -> None:
        self.ridge = ridge
        self.contamination = contamination

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn mean and covariance (n, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        near = np.clip(rows, -_FAR_VARIED, _FAR_VARIED)
        self.location_ = near.mean(axis=0)
        apart = near - self.location_
        covariance = apart.T @ apart / max(len(near) - 1, 1) + self.ridge * np.eye(near.shape[1])
        values, directions = np.linalg.eigh(covariance)
        self.root_ = directions / np.sqrt(values)
        self._set_offset(rows)
        return self

    def score_samples(self, X: Any) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return self.freeze().score_samples(rows)

    def freeze(self) -> Ellipse:
        """Give what it comes down to."""
        return Ellipse(self.location_, self.root_)


class Reconstruction(_Detector):
    """What is left of a row when it is put together again from the few directions in which normal rows vary most.

    Parameters
    ----------
    n_components : int
        Directions, at most.
    contamination : float
        Part of the training that ``predict`` calls outliers.
    """

    def __init__(self, n_components: int = 10, contamination: float = 0.001) -> None:
        self.n_components = n_components
        self.contamination = contamination

    def fit(self, X: Any, y: object = None) -> Self:
        """Find the principal components (n, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        near = np.clip(rows, -_FAR, _FAR)
        self.location_ = near.mean(axis=0)
        apart = near - self.location_
        _, directions = np.linalg.eigh(apart.T @ apart)
        self.rest_ = directions[:, : max(near.shape[1] - self.n_components, 1)]
        self._set_offset(rows)
        return self

    def score_samples(self, X: Any) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(-np.sqrt(np.mean(((rows - self.location_) @ self.rest_) ** 2, axis=1)))
