"""From the experts' votes to probabilities that mean what they say, to sets of services, and to how novel it is.

Everything here is fitted on training containers that the voting forests had not seen: their whole deployment was held
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.identify.conformal import Bounds, learn_bounds
from podlab.identify.typicality import Typicality, learn_typicality

FloatArray = NDArray[np.float64]

#: A vote of none is not proof of absence: every probability is raised by this much before its logarithm is taken.
_FLOOR = 0.01
_TEMPERATURES = np.geomspace(0.2, 8.0, 75)
_COMPANION_WEIGHT = 0.5
#: Without a held-out container nothing is known about the votes; this keeps them from claiming certainty.
_DEFAULT_TEMPERATURE = 1.0
#: Agreement, proximity and closeness; see :func:`measure`.
MEASURES = 3


class Condition(IntEnum):
    """How containers were seen, compared with the training: each way has its own calibration."""

    RECORDED = 0
    SELDOM = 1
    LACKING = 2
    SELDOM_AND_LACKING = 3


def log_votes(probability: FloatArray) -> FloatArray:
    """Logarithm of one expert's probabilities (n, n_services)."""
    return np.asarray(np.log((probability + _FLOOR) / (1.0 + _FLOOR * probability.shape[1])))


def add_votes(votes: Sequence[FloatArray]) -> FloatArray:
    """Add log-votes of experts, the longest look last: its vote counts whole, that of one before it by half."""
    return np.asarray(votes[-1] + _COMPANION_WEIGHT * sum(votes[:-1]))


def soften(log_votes: FloatArray, temperature: float | FloatArray) -> FloatArray:
    """Probabilities from added log-votes (n, n_services)."""
    scaled = log_votes / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def agreement(added: FloatArray, experts: int) -> FloatArray:
    """How much the experts agree on the top service: the geometric mean of their votes, not sharpened (n,)."""
    return np.asarray(soften(added, 1.0 + _COMPANION_WEIGHT * (experts - 1)).max(axis=1))


def measure(added: FloatArray, near: FloatArray, closeness: FloatArray, experts: int) -> FloatArray:
    """Put the measures of typicality together.

    Parameters
    ----------
    added : array (n, n_services)
        Added log-votes.
    near : array (n, n_services)
        Proximity to each service.
    closeness : array (n,)
        To the most probable service, in the space of features.
    experts : int
        How many experts' votes were added.

    Returns
    -------
    array of float64 (n, 3)
    """
    answered = added.argmax(axis=1)
    return np.stack([agreement(added, experts), near[np.arange(answered.size), answered], closeness], axis=1)


@dataclass(frozen=True)
class Calibration:
    """What held-out containers taught about one combination of experts.

    Attributes
    ----------
    temperature : float
        Divides the added log-votes (Guo et al. 2017, On Calibration of Modern Neural Networks).
    typicality : Typicality
        What novelty is measured against.
    bounds : Bounds
        How probable a service must be to stay in the 95 % set.
    """

    temperature: float
    typicality: Typicality
    bounds: Bounds

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {**self.typicality.to_arrays(), **self.bounds.to_arrays()}


def calibrate(
    added: FloatArray, truth: NDArray[np.intp], groups: NDArray[np.str_], near: FloatArray, closeness: FloatArray,
    experts: int, as_seen: int | None = None,
) -> Calibration:  # fmt: skip
    """Fit the temperature and keep what novelty and sets are measured against.

    Parameters
    ----------
    added : array (n, n_services)
        Added log-votes on held-out containers.
    truth : array of int (n,)
        Their services.
    groups : array of str (n,)
        Their deployments.
    near : array (n, n_services)
        Proximity to each service.
    closeness : array (n, n_services)
        To each service in the space of features.
    experts : int
        How many experts' votes were added.
    as_seen : int, optional
        Probabilities and sets are those of so many, the first; by default of all. What is still known is learned from
        all: the others are containers as other machines would show them, which nobody can tell from samples alone.
    """
    seen, own = added[:as_seen], truth[:as_seen]
    temperature = _DEFAULT_TEMPERATURE
    if own.size:
        losses = [_loss(seen, own, each) for each in _TEMPERATURES]
        temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    probability = soften(seen, temperature) if own.size else seen
    answered = added.argmax(axis=1)
    measures = measure(added, near, closeness[np.arange(answered.size), answered], experts)
    return Calibration(
        temperature,
        learn_typicality(measures, answered, added.shape[1]),
        learn_bounds(probability, own, groups[:as_seen]),
    )


def _loss(added: FloatArray, truth: NDArray[np.intp], temperature: float) -> float:
    own = soften(added, temperature)[np.arange(truth.size), truth]
    return float(-np.log(own + 1e-12).mean())
