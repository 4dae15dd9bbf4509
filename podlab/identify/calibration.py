"""From the experts' votes to probabilities that mean what they say, to sets of services, and to how novel it is.

Everything here is fitted on training containers that the voting forests had not seen: their whole deployment was held
out.


Sets of services that hold the right one in 95 % of new deployments, whatever the forest is worth.

Split conformal prediction (Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World): a service is in
the set if its probability is not lower than what all but 5 % of held-out deployments gave to their own service. Counted
by service (Mondrian) this holds for each service; that takes 19 deployments of it. Services with fewer share one
bound, which holds on average only: over them, or over all services where they have fewer than 19 together. With fewer
than 19 in all nothing is promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from podlab.identify.novelty import OodScore, fit_ood_score

FloatArray = NDArray[np.float64]

#: A vote of none is not proof of absence: every probability is raised by this much before its logarithm is taken.
_FLOOR = 0.01
_TEMPERATURES = np.geomspace(0.2, 8.0, 75)
_COMPANION_WEIGHT = 0.5
#: Without a held-out container nothing is known about the votes; this keeps them from claiming certainty.
_DEFAULT_TEMPERATURE = 1.0
#: Agreement, proximity and neg_log_distance; see :func:`measure`.
MEASURES = 3


class Condition(IntEnum):
    """How containers were seen, compared with the training: each way has its own calibration."""

    RECORDED = 0
    SPARSE = 1
    INCOMPLETE = 2
    SPARSE_AND_INCOMPLETE = 3


def to_logits(probability: FloatArray) -> FloatArray:
    """Logarithm of one expert's probabilities (n, n_services)."""
    return np.asarray(np.log((probability + _FLOOR) / (1.0 + _FLOOR * probability.shape[1])))


def combine_logits(votes: Sequence[FloatArray]) -> FloatArray:
    """Add log-votes of experts, the longest look last: its vote counts whole, that of one before it by half."""
    return np.asarray(votes[-1] + _COMPANION_WEIGHT * sum(votes[:-1]))


def softmax(log_votes: FloatArray, temperature: float | FloatArray) -> FloatArray:
    """Probabilities from added log-votes (n, n_services)."""
    scaled = log_votes / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def agreement(added: FloatArray, horizon_models: int) -> FloatArray:
    """How much the experts agree on the top service: the geometric mean of their votes, not sharpened (n,)."""
    return np.asarray(softmax(added, 1.0 + _COMPANION_WEIGHT * (horizon_models - 1)).max(axis=1))


def measure(added: FloatArray, near: FloatArray, neg_log_distance: FloatArray, horizon_models: int) -> FloatArray:
    """Put the measures of typicality together.

    Parameters
    ----------
    added : array (n, n_services)
        Added log-votes.
    near : array (n, n_services)
        Proximity to each service.
    neg_log_distance : array (n,)
        To the most probable service, in the space of features.
    experts : int
        How many experts' votes were added.

    Returns
    -------
    array of float64 (n, 3)
    """
    answered = added.argmax(axis=1)
    return np.stack(
        [agreement(added, horizon_models), near[np.arange(answered.size), answered], neg_log_distance], axis=1
    )


@dataclass(frozen=True)
class Calibration:
    """What held-out containers taught about one combination of experts.

    Attributes
    ----------
    temperature : float
        Divides the added log-votes (Guo et al. 2017, On Calibration of Modern Neural Networks).
    typicality : OodScore
        What novelty is measured against.
    bounds : ConformalQuantiles
        How probable a service must be to stay in the 95 % set.
    """

    temperature: float
    ood_score: OodScore
    quantiles: ConformalQuantiles

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {**self.ood_score.to_arrays(), **self.quantiles.to_arrays()}


def calibrate(
    added: FloatArray,
    truth: NDArray[np.intp],
    groups: NDArray[np.str_],
    near: FloatArray,
    neg_log_distance: FloatArray,
    horizon_models: int,
    as_seen: int | None = None,
) -> Calibration:
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
    neg_log_distance : array (n, n_services)
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
    probability = softmax(seen, temperature) if own.size else seen
    answered = added.argmax(axis=1)
    measures = measure(added, near, neg_log_distance[np.arange(answered.size), answered], horizon_models)
    return Calibration(
        temperature,
        fit_ood_score(measures, answered, added.shape[1]),
        fit_conformal_quantiles(probability, own, groups[:as_seen]),
    )


def _loss(added: FloatArray, truth: NDArray[np.intp], temperature: float) -> float:
    own = softmax(added, temperature)[np.arange(truth.size), truth]
    return float(-np.log(own + 1e-12).mean())


Coverage = Literal["class-conditional", "marginal", "none"]

#: How often a set shall hold the right service.
COVERAGE = 0.95
#: With fewer deployments even the lowest probability among them is no bound: (n + 1) * 5 % must reach 1.
FEWEST_DEPLOYMENTS = 19
_COVERAGES: tuple[Coverage, ...] = ("none", "marginal", "class-conditional")


@dataclass(frozen=True)
class ConformalQuantiles:
    """How low a probability may be for its service to stay in the set.

    Attributes
    ----------
    least : array of float64 (n_services,)
        Lowest probability in the set.
    basis : array of int8 (n_services,)
        2 where the service's own deployments gave the bound, 1 where those of several did, 0 where there were too few.
    """

    least: FloatArray
    basis: NDArray[np.int8]

    @property
    def coverage(self) -> Coverage:
        """For what the coverage is promised: the weakest of the services' promises."""
        return _COVERAGES[int(self.basis.min(initial=2))]

    def prediction_set(self, probability: FloatArray) -> NDArray[np.bool_]:
        """Tell which services are in the sets (n, n_services); the most probable one always is."""
        inside = probability >= self.least
        inside[np.arange(len(probability)), probability.argmax(axis=1)] = True
        return inside

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {"least": self.least, "basis": self.basis}


def fit_conformal_quantiles(
    probability: FloatArray, truth: NDArray[np.intp], groups: NDArray[np.str_]
) -> ConformalQuantiles:
    """Find the bounds from held-out containers.

    Parameters
    ----------
    probability : array of float64 (n, n_services)
        Calibrated.
    truth : array of int (n,)
        Their services.
    groups : array of str (n,)
        Their deployments. Containers of one are no independent cases: its least sure one stands for it.
    """
    services = probability.shape[1]
    own = probability[np.arange(truth.size), truth]
    cases, number = np.unique(np.stack([truth.astype(str), groups.astype(str)]), axis=1, return_inverse=True)
    lowest = np.ones(cases.shape[1])
    np.minimum.at(lowest, number.reshape(-1), own)
    service = cases[0].astype(np.intp)
    few = np.bincount(service, minlength=services) < FEWEST_DEPLOYMENTS
    shared = lowest[few[service]]
    if shared.size < FEWEST_DEPLOYMENTS:
        shared = lowest
    least = np.full(services, _bound(shared))
    basis = np.full(services, 1 if shared.size >= FEWEST_DEPLOYMENTS else 0, dtype=np.int8)
    for one in np.flatnonzero(~few):
        least[one], basis[one] = _bound(lowest[service == one]), 2
    return ConformalQuantiles(least, basis)


def _bound(lowest: FloatArray) -> float:
    """Take the largest bound that at most 5 % of (n + 1) deployments are below; their lowest where there are few."""
    if not lowest.size:
        return 0.0
    allowed = int((lowest.size + 1) * (1 - COVERAGE) + 1e-9)
    return float(np.sort(lowest)[max(allowed - 1, 0)])
