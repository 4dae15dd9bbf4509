"""Out-of-distribution score: how unlike the known services a container is.

It rests on three measures: how much the horizon models agree, the forest proximity to the most probable service, and
the distance to its nearest training container. Forest proximity asks whether two containers are on the same side of
thresholds; one beyond all of them, with ten times the memory of any known container, appears near. A distance shows it.

Ranks among the held-out containers of all services are conformal p-values; their logarithms are added (Fisher 1925).
Comparing each measure with its median for the service first, as earlier models do, costs 5 to 9 points of AUROC where
ten deployments of a service are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.arrays import FloatArray

#: A container is unknown if its novelty is greater: 98 % of known ones stay known.
NOVELTY_THRESHOLD = 0.98
#: A distribution is kept as so many quantiles at most.
KEPT_QUANTILES = 257
#: Beyond the most unusual held-out container the tail falls by exp(-1) over the distance from it to the median.
_TAIL_RATE = 1.0

#: Less important features are noise in a distance.
_FEATURES = 32
#: The deviation of one feature counts as so many scales at most.
_FARTHEST = 6.0
#: A feature that is constant within services has no scale; this part of its standard deviation stands in.
_LEAST_DEVIATION = 0.05
_NEAREST = 1e-6


@dataclass(frozen=True)
class OodScore:
    """Distributions of the measures among held-out containers."""

    medians: FloatArray  # of each measure, where a service is the most probable one (n_measures, n_services)
    #: Differences from the median, ascending; empty without held-out containers (n_measures, n_kept).
    deviations: FloatArray
    scores: FloatArray  # sums of the logarithms of ranks, ascending (n_kept,)

    def novelty(self, measures: FloatArray, best: NDArray[np.intp]) -> FloatArray:
        """Compute the share of held-out containers that look more like known ones.

        Parameters
        ----------
        measures : array of float64 (n, n_measures)
            From :func:`podlab.identify.calibration.measure`.
        best : array of int (n,)
            The most probable service.

        Returns
        -------
        array of float64 (n,)
            0 to 1; 0 where nothing was held out.
        """
        if not self.scores.size:
            return np.zeros(len(measures))
        deviation = measures.T - self.medians[:, best]
        ranks = [_log_tail(known, own) for known, own in zip(self.deviations, deviation, strict=True)]
        return 1.0 - np.exp(_log_tail(self.scores, np.asarray(np.sum(ranks, axis=0))))


def fit_ood_score(measures: FloatArray, services: int) -> OodScore:
    """Fit the score to held-out containers.

    Parameters
    ----------
    measures : array of float64 (n, n_measures)
        From :func:`podlab.identify.calibration.measure`.
    services : int
        How many services there are.
    """
    count, number = measures.shape
    if not count:
        return OodScore(np.zeros((number, services)), np.empty((number, 0)), np.empty(0))
    common = np.median(measures, axis=0)
    deviation = measures - common
    ascending = np.sort(deviation, axis=0).T
    ranks = np.sum([_log_tail(known, own) for known, own in zip(ascending, deviation.T, strict=True)], axis=0)
    medians = np.tile(common[:, None], (1, services))
    return OodScore(medians, np.array([_quantiles(known) for known in ascending]), _quantiles(np.sort(ranks)))


def _log_tail(ascending: FloatArray, values: FloatArray) -> FloatArray:
    """Logarithms of conformal p-values (n,); below the lowest held-out value they go on falling."""
    lowest = ascending[0]
    middle = ascending.size // 2  # np.median sorts what is sorted, and costs ten times as much
    reach = (ascending[middle] + ascending[-middle - 1]) / 2 - lowest
    below = np.maximum(lowest - values, 0.0) / reach if reach > 0 else np.where(values < lowest, 1.0, 0.0)
    count = np.maximum(np.searchsorted(ascending, values, side="right"), 1)
    return np.asarray(np.log(count / (ascending.size + 1)) - _TAIL_RATE * below)


def _quantiles(ascending: FloatArray) -> FloatArray:
    if ascending.size <= KEPT_QUANTILES:
        return ascending
    return np.quantile(ascending, np.linspace(0, 1, KEPT_QUANTILES))


@dataclass(frozen=True)
class NearestNeighbours:
    """Training containers by the most important features, scaled by the spread within a service."""

    feature: NDArray[np.int16]  # columns of the feature matrix, ascending (n_chosen,)
    scale: NDArray[np.float32]  # spread around the service's median (n_chosen,)
    #: Importance to the model; adds up to 1 (n_chosen,).
    weight: NDArray[np.float32]
    #: Features of training containers, divided by ``scale``; NaN where missing (n_known, n_chosen).
    points: NDArray[np.float32]
    service: NDArray[np.int16]  # their services, ascending (n_known,)

    def neg_log_distance(self, X: NDArray[np.float32], service: NDArray[np.intp]) -> FloatArray:
        """Compute minus the logarithm of the distance to the nearest training container of one service.

        Parameters
        ----------
        X : array of float32 (n, n_features)
            The whole feature matrix.
        service : array of int (n,)
            One for each row.

        Returns
        -------
        array of float64 (n,)
            Of the weighted mean deviation over the features that both have, where each counts as 6 scales at most;
            of 6 where they have none in common.
        """
        out = np.full(len(X), -np.log(_FARTHEST))
        rows = X[:, self.feature] / self.scale
        for one in np.unique(service):
            here = np.flatnonzero(service == one)
            begin, end = np.searchsorted(self.service, [one, one + 1])
            own, points = rows[here], self.points[begin:end]
            nearest = np.full(here.size, np.inf)
            if here.size < len(points):  # a step for each of the fewer ones
                for number, row in enumerate(own):
                    nearest[number] = self._distance(points, row).min()
            else:
                for point in points:
                    np.minimum(nearest, self._distance(own, point), out=nearest)
            out[here] = -np.log(np.clip(nearest, _NEAREST, _FARTHEST))
        return out

    def neg_log_distances(self, X: NDArray[np.float32], services: int) -> FloatArray:
        """As :meth:`neg_log_distance`, for each service (n, n_services)."""
        each = [self.neg_log_distance(X, np.full(len(X), service)) for service in range(services)]
        return np.stack(each, axis=1)

    def _distance(self, rows: NDArray[np.float32], point: NDArray[np.float32]) -> FloatArray:
        deviation = np.minimum(np.abs(rows - point), _FARTHEST)
        missing = np.asarray(np.isnan(deviation))
        if not missing.any():
            return np.asarray(deviation @ self.weight, dtype=np.float64)
        shared = (~missing) @ self.weight
        total = np.where(missing, np.float32(0), deviation) @ self.weight
        return np.asarray(np.where(shared > 0, total / np.maximum(shared, _NEAREST), _FARTHEST), dtype=np.float64)


def fit_nearest_neighbours(
    X: NDArray[np.float32], service: NDArray[np.integer[Any]], importance: FloatArray,
    reference: tuple[NDArray[np.float32], NDArray[np.integer[Any]]] | None = None,
) -> NearestNeighbours:  # fmt: skip
    """Choose the features and their scales.

    Parameters
    ----------
    X : array of float32 (n_known, n_features)
        Training containers.
    service : array of int (n_known,)
        Their services, ascending.
    importance : array of float64 (n_features,)
        Of features to the model.
    reference : tuple of array of float32 (n, n_features) and array of int (n,), optional
        Windows and their services that the scales are computed from; by default ``X`` and ``service``.
    """
    seen = np.asarray(~np.isnan(X).all(axis=0))
    order = np.argsort(-np.where(seen, importance, -1.0), kind="stable")[:_FEATURES]
    chosen = np.sort(order[seen[order]])
    windows, labels = (X, service) if reference is None else reference
    part = windows[:, chosen].astype(np.float64)
    deviation = np.full_like(part, np.nan)
    for one in np.unique(labels):
        own = labels == one
        shown = ~np.isnan(part[own]).all(axis=0)
        median = np.full(chosen.size, np.nan)
        median[shown] = np.nanmedian(part[own][:, shown], axis=0)
        deviation[own] = part[own] - median
    # Robust and plain deviation together: the first alone is 0 where most containers of each service are alike.
    robust = 1.4826 * np.nanmedian(np.abs(deviation), axis=0)
    spread = np.sqrt((np.square(robust) + np.nanmean(deviation**2, axis=0)) / 2)
    scale = np.maximum(spread, _LEAST_DEVIATION * np.nanstd(part, axis=0) + _NEAREST).astype(np.float32)
    weight = importance[chosen] + np.finfo(np.float64).tiny
    return NearestNeighbours(
        feature=chosen.astype(np.int16),
        scale=scale,
        weight=(weight / weight.sum()).astype(np.float32),
        points=np.ascontiguousarray(X[:, chosen] / scale),
        service=service.astype(np.int16),
    )
