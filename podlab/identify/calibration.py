"""From the experts' votes to probabilities that mean what they say, and to how unfamiliar a container is.

Everything here is fitted on training containers that the voting forests had not seen: their whole deployment was held
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: A vote of none is not proof of absence: every probability is raised by this much before its logarithm is taken.
_FLOOR = 0.01
_TEMPERATURES = np.geomspace(0.2, 8.0, 75)
#: Without a held-out container nothing is known about the votes; this keeps them from claiming certainty.
_DEFAULT_TEMPERATURE = 1.0
#: The part of known containers that stays known.
KNOWN_SHARE = 0.99
_KEPT_QUANTILES = 257
#: Below the strangest held-out container the tail is taken to fall with this power of the ratio to it.
_TAIL_POWER = 3.0


class Condition(IntEnum):
    """How containers were seen, compared with the training: each way has its own calibration."""

    RECORDED = 0
    SELDOM = 1
    LACKING = 2
    SELDOM_AND_LACKING = 3


def log_votes(probability: FloatArray) -> FloatArray:
    """Logarithm of one expert's probabilities (n, n_services)."""
    return np.asarray(np.log((probability + _FLOOR) / (1.0 + _FLOOR * probability.shape[1])))


def soften(log_votes: FloatArray, temperature: float | FloatArray) -> FloatArray:
    """Probabilities from added log-votes (n, n_services)."""
    scaled = log_votes / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def agreement(added: FloatArray, experts: int) -> FloatArray:
    """How much the experts agree on the top service: the geometric mean of their votes, not sharpened (n,)."""
    return np.asarray(soften(added, float(experts)).max(axis=1))


@dataclass(frozen=True)
class Calibration:
    """What held-out containers taught about one combination of experts.

    Attributes
    ----------
    temperature : float
        Divides the added log-votes (Guo et al. 2017, On Calibration of Modern Neural Networks).
    agreement, proximity, familiarity : array of float64, ascending
        Of held-out containers: the experts' agreement, proximity to the nearest service, and the lower rank of both.
    """

    temperature: float
    agreement: FloatArray
    proximity: FloatArray
    familiarity: FloatArray

    def novelty(self, agreement: FloatArray, proximity: FloatArray) -> FloatArray:
        """Part of the held-out containers that looked more familiar (n,); 0 where there were none."""
        if not self.familiarity.size:
            return np.zeros(agreement.size)
        own = np.minimum(_tail(self.agreement, agreement), _tail(self.proximity, proximity))
        return 1.0 - _tail(self.familiarity, own, power=1.0)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {"agreement": self.agreement, "proximity": self.proximity, "familiarity": self.familiarity}


def calibrate(added: FloatArray, truth: NDArray[np.intp], proximity: FloatArray, experts: int) -> Calibration:
    """Fit the temperature and keep the distributions that novelty is measured against.

    Parameters
    ----------
    added : array (n, n_services)
        Added log-votes on held-out containers.
    truth : array of int (n,)
        Their services.
    proximity : array (n,)
        Proximity to the nearest service.
    experts : int
        How many experts' votes were added.
    """
    if not truth.size:
        none = np.empty(0)
        return Calibration(_DEFAULT_TEMPERATURE, none, none, none)
    losses = [_loss(added, truth, temperature) for temperature in _TEMPERATURES]
    temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    agreed = agreement(added, experts)
    ranks = np.minimum(_tail(np.sort(agreed), agreed), _tail(np.sort(proximity), proximity))
    return Calibration(temperature, _quantiles(agreed), _quantiles(proximity), _quantiles(ranks))


def _loss(added: FloatArray, truth: NDArray[np.intp], temperature: float) -> float:
    own = soften(added, temperature)[np.arange(truth.size), truth]
    return float(-np.log(own + 1e-12).mean())


def _tail(ascending: FloatArray, values: FloatArray, power: float = _TAIL_POWER) -> FloatArray:
    """Probability that a container of the training's kind has no more than each value (n,).

    A conformal p-value, which few held-out containers cannot make small; below the lowest of them it goes on falling.
    """
    lowest = max(float(ascending[0]), np.finfo(float).tiny)
    count = np.maximum(np.searchsorted(ascending, values, side="right"), 1)
    return np.asarray(count / (ascending.size + 1) * np.minimum(values / lowest, 1.0) ** power)


def _quantiles(values: FloatArray) -> FloatArray:
    if values.size <= _KEPT_QUANTILES:
        return np.sort(values)
    return np.quantile(values, np.linspace(0, 1, _KEPT_QUANTILES))
