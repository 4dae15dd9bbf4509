"""How unlike the known services a container is, measured against training containers of deployments held out.

Three measures speak: how much the experts agree, the proximity to the answered service in the forest, and the
distance to it in the space of features. Some services are always close together and others never, so each measure is
compared with what is usual for the answered service; the ranks among held-out containers are then conformal p-values,
and their logarithms are added (Fisher 1925).


How close a container is to those of one service in a space of the features that tell services apart.

Leaf proximity asks whether two containers fall on the same side of thresholds; a container beyond all of them, with
ten times the memory of any known one, looks near. A distance sees that.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: The part of known containers that stays known.
NOVELTY_THRESHOLD = 0.98
#: What is kept of a distribution, at most.
KEPT_QUANTILES = 257
#: So many containers' worth of the common median is in each service's, which may have few of its own.
_SHRINKAGE = 4.0
#: Beyond the strangest held-out container the tail falls by exp(-1) over the distance from it to the median.
_TAIL_RATE = 1.0


@dataclass(frozen=True)
class OodScore:
    """What is usual, and what held-out containers showed.

    Attributes
    ----------
    usual : array of float64 (n_measures, n_services)
        Median of each measure where a service was answered.
    deviations : array of float64 (n_measures, n_kept)
        Held-out containers' measures less the usual; ascending along the second axis. Empty without such containers.
    familiarity : array of float64 (n_kept,)
        Their added logarithms of ranks, ascending.
    """

    usual: FloatArray
    deviations: FloatArray
    familiarity: FloatArray

    def novelty(self, measures: FloatArray, answered: NDArray[np.intp]) -> FloatArray:
        """Tell the part of the held-out containers that looked more familiar.

        Parameters
        ----------
        measures : array of float64 (n, n_measures)
            Each rises with familiarity.
        answered : array of int (n,)
            The most probable service.

        Returns
        -------
        array of float64 (n,)
            0 to 1; 0 where nothing was held out.
        """
        if not self.familiarity.size:
            return np.zeros(len(measures))
        return 1.0 - np.exp(_log_tail(self.familiarity, self._familiarity(measures, answered)))

    def _familiarity(self, measures: FloatArray, answered: NDArray[np.intp]) -> FloatArray:
        apart = measures.T - self.usual[:, answered]
        ranks = [_log_tail(known, own) for known, own in zip(self.deviations, apart, strict=True)]
        return np.asarray(np.sum(ranks, axis=0))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {"usual": self.usual, "deviations": self.deviations, "familiarity": self.familiarity}


def fit_ood_score(measures: FloatArray, answered: NDArray[np.intp], services: int) -> OodScore:
    """Learn what is usual.

    Parameters
    ----------
    measures : array of float64 (n, n_measures)
        Of held-out containers.
    answered : array of int (n,)
        The service that was the most probable one, right or wrong.
    services : int
        How many services there are.
    """
    count, number = measures.shape
    if not count:
        return OodScore(np.zeros((number, services)), np.empty((number, 0)), np.empty(0))
    common = np.median(measures, axis=0)
    usual = np.tile(common[:, None], (1, services))
    apart = np.empty_like(measures)
    for service in np.unique(answered):
        own = np.flatnonzero(answered == service)
        usual[:, service] = _shrunk(measures[own], common)
        for row in own:  # compared with the others, as a new container will be
            apart[row] = measures[row] - _shrunk(measures[own[own != row]], common)
    deviations = np.sort(apart, axis=0).T
    ranks = np.sum([_log_tail(known, own) for known, own in zip(deviations, apart.T, strict=True)], axis=0)
    return OodScore(usual, np.array([_quantiles(known) for known in deviations]), _quantiles(np.sort(ranks)))


def _shrunk(own: FloatArray, common: FloatArray) -> FloatArray:
    if not len(own):
        return common
    return np.asarray((np.median(own, axis=0) * len(own) + common * _SHRINKAGE) / (len(own) + _SHRINKAGE))


def _log_tail(ascending: FloatArray, values: FloatArray) -> FloatArray:
    """Logarithm of the probability that a container of the training's kind has no more than each value (n,).

    A conformal p-value, which few held-out containers cannot make small; below the lowest of them it goes on falling.
    """
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


#: Features that the forest hardly asks for are noise in a distance.
_FEATURES = 32
#: One feature that is far off counts as so many usual deviations, and no more.
_FARTHEST = 6.0
#: A feature that is constant within services has no usual deviation; this part of its whole one stands in.
_LEAST_DEVIATION = 0.05
_NEAREST = 1e-6


@dataclass(frozen=True)
class NearestNeighbours:
    """Training containers by the most important features, in units of what is usual within a service.

    Attributes
    ----------
    feature : array of int16 (n_chosen,)
        Columns of the feature matrix, ascending.
    scale : array of float32 (n_chosen,)
        The usual deviation from the service's median.
    weight : array of float32 (n_chosen,)
        Importance to the forest, adding up to 1.
    points : array of float32 (n_known, n_chosen)
        Features of training containers, divided by ``scale``; NaN where missing.
    service : array of int16 (n_known,)
        Their services, ascending.
    """

    feature: NDArray[np.int16]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]
    points: NDArray[np.float32]
    service: NDArray[np.int16]

    def neg_log_distance(self, X: NDArray[np.float32], service: NDArray[np.intp]) -> FloatArray:
        """Tell how close each row is to the nearest training container of one service.

        Parameters
        ----------
        X : array of float32 (n, n_features)
            The whole feature matrix.
        service : array of int (n,)
            To which service.

        Returns
        -------
        array of float64 (n,)
            Minus the logarithm of the mean, over features that both have, of the deviations' absolute values, each cut
            off at 6; that of the farthest where they have none in common.
        """
        out = np.full(len(X), -np.log(_FARTHEST))
        rows = X[:, self.feature] / self.scale
        for one in np.unique(service):
            here = np.flatnonzero(service == one)
            begin, end = np.searchsorted(self.service, [one, one + 1])
            own, points = rows[here], self.points[begin:end]
            best = np.full(here.size, np.inf)
            if here.size < len(points):  # a step for each of the fewer ones
                for number, row in enumerate(own):
                    best[number] = self._distance(points, row).min()
            else:
                for point in points:
                    np.minimum(best, self._distance(own, point), out=best)
            out[here] = -np.log(np.clip(best, _NEAREST, _FARTHEST))
        return out

    def neg_log_distances(self, X: NDArray[np.float32], services: int) -> FloatArray:
        """As :meth:`neg_log_distance`, to each service (n, n_services)."""
        each = [self.neg_log_distance(X, np.full(len(X), service)) for service in range(services)]
        return np.stack(each, axis=1)

    def _distance(self, rows: NDArray[np.float32], point: NDArray[np.float32]) -> FloatArray:
        apart = np.minimum(np.abs(rows - point), _FARTHEST)
        missing = np.asarray(np.isnan(apart))
        if not missing.any():
            return np.asarray(apart @ self.weight, dtype=np.float64)
        shared = (~missing) @ self.weight
        total = np.where(missing, np.float32(0), apart) @ self.weight
        return np.asarray(np.where(shared > 0, total / np.maximum(shared, _NEAREST), _FARTHEST), dtype=np.float64)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def fit_nearest_neighbours(
    X: NDArray[np.float32], service: NDArray[np.integer[Any]], importance: FloatArray,
    usual: tuple[NDArray[np.float32], NDArray[np.integer[Any]]] | None = None,
) -> NearestNeighbours:  # fmt: skip
    """Choose the features and their units.

    Parameters
    ----------
    X : array of float32 (n_known, n_features)
        Training containers.
    service : array of int (n_known,)
        Their services, ascending.
    importance : array of float64 (n_features,)
        To the forest.
    usual : tuple of array of float32 (n, n_features) and array of int (n,), optional
        Windows and their services that show what is usual within a service; by default those of ``X``.
    """
    seen = np.asarray(~np.isnan(X).all(axis=0))
    order = np.argsort(-np.where(seen, importance, -1.0), kind="stable")[:_FEATURES]
    chosen = np.sort(order[seen[order]])
    windows, whose = (X, service) if usual is None else usual
    part = windows[:, chosen].astype(np.float64)
    apart = np.full_like(part, np.nan)
    for one in np.unique(whose):
        own = whose == one
        there = ~np.isnan(part[own]).all(axis=0)
        middle = np.full(chosen.size, np.nan)
        middle[there] = np.nanmedian(part[own][:, there], axis=0)
        apart[own] = part[own] - middle
    # Robust and plain deviation together: the first alone is 0 where most containers of each service are alike.
    spread = np.sqrt((np.square(1.4826 * np.nanmedian(np.abs(apart), axis=0)) + np.nanmean(apart**2, axis=0)) / 2)
    scale = np.maximum(spread, _LEAST_DEVIATION * np.nanstd(part, axis=0) + _NEAREST).astype(np.float32)
    weight = importance[chosen] + np.finfo(np.float64).tiny
    return NearestNeighbours(
        feature=chosen.astype(np.int16),
        scale=scale,
        weight=(weight / weight.sum()).astype(np.float32),
        points=np.ascontiguousarray(X[:, chosen] / scale),
        service=service.astype(np.int16),
    )
