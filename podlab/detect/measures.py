"""What fitted detectors come down to: plain arithmetic that needs no scikit-learn, for where nothing is fitted.

Rows are as :meth:`podlab.detect.usual.Usual.standardise` gives them: finite, 0 where a signal is as usual or missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RootMeanSquare:
    """How many strays a row's signals are from usual, all together."""

    def score_samples(self, rows: FloatArray) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        return np.asarray(-np.sqrt(np.mean(rows**2, axis=1)))


@dataclass(frozen=True)
class NearestMode:
    """How far a row is from the nearest of the modes that normal rows come in.

    Attributes
    ----------
    modes : array of float64 (n_modes, n_features)
        Their centres.
    """

    modes: FloatArray

    def score_samples(self, rows: FloatArray) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        square = (rows**2).sum(axis=1)[:, None] - 2 * (rows @ self.modes.T) + (self.modes**2).sum(axis=1)
        return np.asarray(-np.sqrt(np.maximum(square.min(axis=1), 0.0) / rows.shape[1]))


@dataclass(frozen=True)
class Ellipse:
    """How far a row is from the middle of normal rows, in the directions in which they hardly vary above all.

    Attributes
    ----------
    middle : array of float64 (n_features,)
        Their mean.
    root : array of float64 (n_features, n_features)
        A root of the inverse of their covariance.
    """

    middle: FloatArray
    root: FloatArray

    def score_samples(self, rows: FloatArray) -> FloatArray:
        """Give each row's normality (n,), the lower the stranger."""
        turned = (rows - self.middle) @ self.root
        return np.asarray(-np.sqrt(np.mean(turned**2, axis=1)))


def strangeness(detector: Any, rows: FloatArray) -> FloatArray:
    """Give what rises with strangeness and is never negative (n,), of any fitted detector.

    A detector of scikit-learn's kind has ``score_samples``, which falls; one of pyod's kind has ``decision_scores_``
    and a ``decision_function`` that rises. What is below the most normal training row counts as that.
    """
    if hasattr(detector, "score_samples"):
        return np.asarray(-detector.score_samples(rows), dtype=np.float64).clip(0.0)
    return np.asarray(detector.decision_function(rows) - np.min(detector.decision_scores_), dtype=np.float64).clip(0.0)
