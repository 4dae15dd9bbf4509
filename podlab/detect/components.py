"""Components of a detector: what fitted estimators are reduced to for scoring, and how they are stored.

The components here are plain NumPy, so that scoring needs no scikit-learn. Their rows come from
:meth:`podlab.detect.reference.RobustScaler.standardise`: finite, 0 where a signal is usual or missing.

An estimator of one's own is made storable with :func:`register_detector`. A bundle names the kinds of its components
and holds their arrays; it never holds code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.arrays import Arrays, Codecs

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RootMeanSquare:
    """Root mean square of a row's deviations."""

    def score_samples(self, rows: FloatArray) -> FloatArray:
        """Give each row's normality (n,), lower for outliers."""
        return np.asarray(-np.sqrt(np.mean(rows**2, axis=1)))


@dataclass(frozen=True)
class NearestCentre:
    """Distance to the nearest cluster centre.

    Attributes
    ----------
    centres : array of float64 (n_centres, n_features)
    """

    centres: FloatArray

    def score_samples(self, rows: FloatArray) -> FloatArray:
        """Give each row's normality (n,), lower for outliers."""
        square = (rows**2).sum(axis=1)[:, None] - 2 * (rows @ self.centres.T) + (self.centres**2).sum(axis=1)
        return np.asarray(-np.sqrt(np.maximum(square.min(axis=1), 0.0) / rows.shape[1]))


@dataclass(frozen=True)
class MahalanobisDistance:
    """Mahalanobis distance to the mean of normal rows.

    Attributes
    ----------
    mean : array of float64 (n_features,)
    whitening : array of float64 (n_features, n_features)
        A root of the inverse covariance.
    """

    mean: FloatArray
    whitening: FloatArray

    def score_samples(self, rows: FloatArray) -> FloatArray:
        """Give each row's normality (n,), lower for outliers."""
        whitened = (rows - self.mean) @ self.whitening
        return np.asarray(-np.sqrt(np.mean(whitened**2, axis=1)))


def outlier_scores(estimator: Any, rows: FloatArray) -> FloatArray:
    """Give a score that rises for outliers and is never negative (n,), from any fitted outlier detector.

    scikit-learn's detectors have ``score_samples``, which falls for outliers; pyod's have a ``decision_function`` that
    rises, and ``decision_scores_`` of the training rows. Rows below the most normal training row count as that.
    """
    if hasattr(estimator, "score_samples"):
        return np.asarray(-estimator.score_samples(rows), dtype=np.float64).clip(0.0)
    least = np.min(estimator.decision_scores_)
    return np.asarray(estimator.decision_function(rows) - least, dtype=np.float64).clip(0.0)


#: How components are stored. An installed package offers more by entry points of this group.
COMPONENTS = Codecs("podlab.detectors")


def register_detector(
    name: str, kind: type[Any], *, to_arrays: Callable[[Any], Arrays], from_arrays: Callable[[Arrays], Any]
) -> None:
    """Make detectors with estimators of a class storable in a bundle.

    Parameters
    ----------
    name : str
        Name of the kind in bundles: letters, digits, dashes.
    kind : type
        The class, as fitted, or as its ``freeze`` method reduces it.
    to_arrays : callable
        Gives the arrays of numbers, by name, that a component is made from.
    from_arrays : callable
        Makes the component again; a ValueError, KeyError or TypeError refuses the arrays.

    Notes
    -----
    Registration must happen in every process that loads the bundle. A package does so by an entry point of the group
    ``podlab.detectors`` with the kind's name, which points to the module that registers it.
    """
    COMPONENTS.register(name, kind, to_arrays=to_arrays, from_arrays=from_arrays)


register_detector(
    "root-mean-square", RootMeanSquare, to_arrays=lambda _: {}, from_arrays=lambda _: RootMeanSquare()
)  # fmt: skip
register_detector(
    "nearest-centre", NearestCentre,
    to_arrays=lambda each: {"centres": each.centres}, from_arrays=lambda arrays: NearestCentre(arrays["centres"]),
)  # fmt: skip
register_detector(
    "mahalanobis", MahalanobisDistance,
    to_arrays=lambda each: {"mean": each.mean, "whitening": each.whitening},
    from_arrays=lambda arrays: MahalanobisDistance(arrays["mean"], arrays["whitening"]),
)  # fmt: skip
