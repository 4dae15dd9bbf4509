"""Outlier detectors as scikit-learn estimators on standardised signals.

By scikit-learn's convention ``score_samples`` falls for outliers. Rows come from
:meth:`podlab.detect.reference.RobustScaler.standardise`: finite, 0 where a signal is usual or missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted, validate_data

from podlab.detect.components import MahalanobisDistance, NearestCentre, RootMeanSquare

FloatArray = NDArray[np.float64]

#: Training rows are clipped here, so that outliers among them neither attract a centre nor stretch the covariance.
_CLIP_CENTRES = 5.0
_CLIP_COVARIANCE = 8.0


class _Detector(OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Shared methods; a subclass fits itself and gives its scoring component by ``freeze``."""

    contamination: float

    @abstractmethod
    def freeze(self) -> Any:
        """Give the component that scores rows without scikit-learn."""

    def score_samples(self, X: Any) -> FloatArray:
        """Give each row's normality (n,), lower for outliers."""
        check_is_fitted(self)
        return np.asarray(self.freeze().score_samples(validate_data(self, X, dtype=np.float64, reset=False)))

    def decision_function(self, X: Any) -> FloatArray:
        """Give ``score_samples`` less the threshold (n,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Give -1 for outliers, else 1 (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _set_offset(self, rows: FloatArray) -> Self:
        """Put the threshold at the training rows' own quantile."""
        self.offset_ = float(np.quantile(self.freeze().score_samples(rows), self.contamination))
        return self


class RobustZ(_Detector):
    """Root mean square of a row's robust z-scores.

    Parameters
    ----------
    contamination : float
        Share of the training rows that ``predict`` calls outliers.
    """

    def __init__(self, contamination: float = 0.001) -> None:
        self.contamination = contamination

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the threshold only (n, n_features)."""
        return self._set_offset(validate_data(self, X, dtype=np.float64))

    def freeze(self) -> RootMeanSquare:
        """Give the component that scores rows without scikit-learn."""
        return RootMeanSquare()


class KMeansDistance(_Detector):
    """Distance to the nearest k-means centre: normal rows form clusters such as idle, starting, loaded, writing.

    Parameters
    ----------
    n_clusters : int
        Largest number of centres.
    max_rows : int
        Largest number of training rows, drawn at random.
    contamination : float
        Share of the training rows that ``predict`` calls outliers.
    random_state : int
    """

    def __init__(
        self, n_clusters: int = 12, max_rows: int = 3000, contamination: float = 0.001, random_state: int = 0
    ) -> None:
        self.n_clusters = n_clusters
        self.max_rows = max_rows
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:
        """Find the centres (n, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        drawn = np.random.default_rng(self.random_state).permutation(len(rows))[: self.max_rows]
        near = np.clip(rows[np.sort(drawn)], -_CLIP_CENTRES, _CLIP_CENTRES)
        clusters = min(self.n_clusters, len(np.unique(near, axis=0)))
        found = KMeans(clusters, n_init=1, max_iter=30, random_state=self.random_state).fit(near)
        self.cluster_centers_ = np.asarray(found.cluster_centers_, dtype=np.float64)
        return self._set_offset(rows)

    def freeze(self) -> NearestCentre:
        """Give the component that scores rows without scikit-learn."""
        return NearestCentre(self.cluster_centers_)


class ShrunkMahalanobis(_Detector):
    """Mahalanobis distance with a ridge: rows are outliers where signals that usually go together do not.

    Directions in which normal rows vary a lot count little, but they count: a reconstruction by principal components
    would ignore them.

    Parameters
    ----------
    ridge : float
        Added to all variances, which are about 1 for standardised signals.
    contamination : float
        Share of the training rows that ``predict`` calls outliers.
    """

    def __init__(self, ridge: float = 0.3, contamination: float = 0.001) -> None:
        self.ridge = ridge
        self.contamination = contamination

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn mean and covariance (n, n_features)."""
        rows = validate_data(self, X, dtype=np.float64)
        near = np.clip(rows, -_CLIP_COVARIANCE, _CLIP_COVARIANCE)
        self.location_ = near.mean(axis=0)
        centred = near - self.location_
        covariance = centred.T @ centred / max(len(near) - 1, 1) + self.ridge * np.eye(near.shape[1])
        values, directions = np.linalg.eigh(covariance)
        self.whitening_ = directions / np.sqrt(values)
        return self._set_offset(rows)

    def freeze(self) -> MahalanobisDistance:
        """Give the component that scores rows without scikit-learn."""
        return MahalanobisDistance(self.location_, self.whitening_)
