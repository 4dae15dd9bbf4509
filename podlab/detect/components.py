"""Components of a detector: what fitted estimators are reduced to for scoring, and how they are stored.

The components here are plain NumPy, so that scoring needs no scikit-learn. Their rows come from
:meth:`podlab.detect.reference.RobustScaler.standardise`: finite, 0 where a signal is usual or missing.

An estimator of one's own is made storable with :func:`register_component`. A bundle names the kinds of its components
and holds their arrays; it never holds code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

#: Group of entry points by which an installed package offers a component; the entry's name is the component's kind.
ENTRY_POINTS = "podlab.detectors"


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


@dataclass(frozen=True)
class ComponentKind:
    """How components of one class are stored.

    Attributes
    ----------
    name : str
        Its name in a bundle.
    type : type
        Class of the fitted (or reduced) estimator.
    to_arrays : callable
        Gives the arrays of numbers, by name, that a component is made from.
    from_arrays : callable
        Makes the component again. It must check the arrays and raise ValueError or KeyError if they are unusable.
    """

    name: str
    type: type[Any]
    to_arrays: Callable[[Any], Arrays]
    from_arrays: Callable[[Arrays], Any]


_KINDS: dict[str, ComponentKind] = {}


def register_component(
    name: str, kind: type[Any], *, to_arrays: Callable[[Any], Arrays], from_arrays: Callable[[Arrays], Any]
) -> None:
    """Make estimators of a class storable in a bundle; a later registration of the same name replaces it.

    Parameters
    ----------
    name : str
        Name of the kind in bundles: letters, digits, dashes.
    kind : type
        The class, as fitted, or as its ``freeze`` method reduces it.
    to_arrays, from_arrays : callable
        As in :class:`ComponentKind`.

    Notes
    -----
    Registration must happen in every process that loads the bundle. A package can do so by an entry point of the group
    ``podlab.detectors`` with the kind's name, which points to the module that registers it.
    """
    _KINDS[name] = ComponentKind(name, kind, to_arrays, from_arrays)


def kind_of(component: Any) -> ComponentKind | None:
    """Find how a component is stored; None if its class is not registered."""
    return next((kind for kind in _KINDS.values() if type(component) is kind.type), None)


def kind_named(name: str) -> ComponentKind | None:
    """Find a kind by its name, registered or offered by an installed package; None if there is none."""
    if name not in _KINDS:
        for entry in entry_points(group=ENTRY_POINTS, name=name):
            entry.load()
    return _KINDS.get(name)


register_component(
    "root-mean-square", RootMeanSquare, to_arrays=lambda _: {}, from_arrays=lambda _: RootMeanSquare()
)  # fmt: skip
register_component(
    "nearest-centre", NearestCentre,
    to_arrays=lambda each: {"centres": each.centres}, from_arrays=lambda arrays: NearestCentre(arrays["centres"]),
)  # fmt: skip
register_component(
    "mahalanobis", MahalanobisDistance,
    to_arrays=lambda each: {"mean": each.mean, "whitening": each.whitening},
    from_arrays=lambda arrays: MahalanobisDistance(arrays["mean"], arrays["whitening"]),
)  # fmt: skip
