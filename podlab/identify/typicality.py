"""How unlike the known services a container is, measured against training containers of deployments held out.

Three measures speak: how much the experts agree, the proximity to the answered service in the forest, and the
closeness to it in the space of features. Some services are always close together and others never, so each measure is
compared with what is usual for the answered service; the ranks among held-out containers are then conformal p-values,
and their logarithms are added (Fisher 1925).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: The part of known containers that stays known.
KNOWN_SHARE = 0.98
#: What is kept of a distribution, at most.
KEPT_QUANTILES = 257
#: So many containers' worth of the common median is in each service's, which may have few of its own.
_SHRINKAGE = 4.0
#: Beyond the strangest held-out container the tail falls by exp(-1) over the distance from it to the median.
_TAIL_RATE = 1.0


@dataclass(frozen=True)
class Typicality:
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


def learn_typicality(measures: FloatArray, answered: NDArray[np.intp], services: int) -> Typicality:
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
        return Typicality(np.zeros((number, services)), np.empty((number, 0)), np.empty(0))
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
    return Typicality(usual, np.array([_quantiles(known) for known in deviations]), _quantiles(np.sort(ranks)))


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
