"""Calibration on deployments held out: from the models' probabilities to calibrated ones and to prediction sets.

Probabilities of several models are combined as logits and calibrated by temperature scaling (Guo et al. 2017, On
Calibration of Modern Neural Networks).

Prediction sets are those of split conformal prediction (Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a
Random World): a service is in the set if its probability is not below the 5 % quantile of what held-out deployments
gave to their own service. With the quantile of each class (Mondrian) the coverage of 95 % is class-conditional; that
takes 19 deployments of a service. Services with fewer share one quantile, so that their coverage is marginal only: over
them, or over all services where they have fewer than 19 together. With fewer than 19 in all there is no guarantee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podlab.arrays import FloatArray
from podlab.identify.novelty import OodScore, fit_ood_score

Coverage = Literal["class-conditional", "marginal", "none"]

#: How often a prediction set shall hold the right service.
COVERAGE = 0.95
#: With fewer deployments even the lowest probability among them is no bound: (n + 1) * 5 % must reach 1.
FEWEST_DEPLOYMENTS = 19
#: The number of measures that :func:`measure` returns.
MEASURES = 3

_COVERAGES: tuple[Coverage, ...] = ("none", "marginal", "class-conditional")
#: A probability of 0 is not proof of absence: every one is raised by this much before its logarithm is taken.
_FLOOR = 0.01
#: The lowest temperature where training saw one site. Held-out deployments of the same site are too easy: a model of
#: the recording `second` is right in half of its answers at bravo, and at .08, the best temperature at home, surer than
#: .95 of as many, .23 of them wrong (.02 at .2).
ONE_SITE_TEMPERATURE = 0.2
#: The lowest where it saw several. Trained at alpha and tested at bravo, the best of about .13 halves the calibration
#: error that .2 has (.12 to .05).
SEVERAL_SITES_TEMPERATURE = 0.1
_TEMPERATURES = np.concatenate(
    [
        np.geomspace(SEVERAL_SITES_TEMPERATURE, ONE_SITE_TEMPERATURE, 14, endpoint=False),
        np.geomspace(ONE_SITE_TEMPERATURE, 8.0, 75),
    ]
)
#: Used without held-out containers; it keeps the models from claiming certainty.
_DEFAULT_TEMPERATURE = 1.0
#: Of held-out deployments that claims are tested with, so many are kept.
_KEPT_RANKS = 129
_LEAST_PROBABILITY = 1e-12
_LEAST_SCALE = 1e-6
#: P-values are extrapolated to a hundredth of what the number of deployments allows, since a tail is a guess.
_DEEPEST = float(np.log(100))
#: Weight of the models of shorter windows beside that of the longest one.
_COMPANION_WEIGHT = 0.5
#: Claims are tested at no lower temperature: it brings small probabilities too near to each other. Trained at alpha and
#: tested at bravo, mid-run, .72 of the wrong claims have p <= .01 by it, and .65 at .13.
_LEAST_CLAIM_TEMPERATURE = 0.2


class Condition(IntEnum):
    """How containers were observed, compared with the training; each condition has its own calibration."""

    RECORDED = 0
    SPARSE = 1
    INCOMPLETE = 2
    SPARSE_AND_INCOMPLETE = 3


def to_logits(probability: FloatArray) -> FloatArray:
    """Logarithms of one model's probabilities (n, n_services)."""
    return np.asarray(np.log((probability + _FLOOR) / (1.0 + _FLOOR * probability.shape[1])))


def combine_logits(logits: Sequence[FloatArray]) -> FloatArray:
    """Add logits of several models, that of the longest window last: it counts in full, the others by half."""
    return np.asarray(logits[-1] + _COMPANION_WEIGHT * sum(logits[:-1]))


def softmax(logits: FloatArray, temperature: float | FloatArray) -> FloatArray:
    """Probabilities from logits divided by a temperature (n, n_services)."""
    scaled = logits / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def agreement(logits: FloatArray, n_models: int) -> FloatArray:
    """Probability of the top service by the geometric mean of the models, before calibration (n,)."""
    return np.asarray(softmax(logits, 1.0 + _COMPANION_WEIGHT * (n_models - 1)).max(axis=1))


def measure(logits: FloatArray, proximity: FloatArray, neg_log_distance: FloatArray, n_models: int) -> FloatArray:
    """Compute the measures that the out-of-distribution score rests on; each falls for unknown services.

    Parameters
    ----------
    logits, proximity : array (n, n_services)
        Combined logits, and forest proximity to each service.
    neg_log_distance : array (n,)
        To the nearest neighbour of the most probable service.
    n_models : int
        How many models were combined.

    Returns
    -------
    array of float64 (n, 3)
        Agreement of the models, proximity and neg_log_distance to the most probable service.
    """
    best = logits.argmax(axis=1)
    return np.stack([agreement(logits, n_models), proximity[np.arange(best.size), best], neg_log_distance], axis=1)


@dataclass(frozen=True)
class ConformalQuantiles:
    """The lowest probabilities with which services are still in the prediction set."""

    lowest: FloatArray  # by service (n_services,)
    #: 2 where the service's own deployments gave the quantile, 1 where those of several did, 0 where there were too few
    #: (n_services,).
    basis: NDArray[np.int8]

    @property
    def coverage(self) -> Coverage:
        """The guarantee for the sets: the weakest of the services'."""
        return _COVERAGES[int(self.basis.min(initial=2))]

    def prediction_sets(self, probability: FloatArray) -> NDArray[np.bool_]:
        """Say which services are in the sets (n, n_services); the most probable one always is."""
        inside = probability >= self.lowest
        inside[np.arange(len(probability)), probability.argmax(axis=1)] = True
        return inside


@dataclass(frozen=True)
class ClaimScore:
    """How probable held-out deployments found their own service: what a claim is tested with.

    Notes
    -----
    Deployments of all services count together. Of a service alone there are a dozen, so that no p-value could be below
    1 / 13, and the difference between services is no help: with each service's probabilities centred, right claims were
    told from wrong ones less well (AUC .977 instead of .991; docs/claims.md).
    """

    #: Of the kept values among all, from 1; the last is the number of deployments and one (n_kept + 1,).
    rank: NDArray[np.int32]
    #: Of the own service, ascending; all of the lowest are kept, and ever fewer of the others (n_kept,).
    log_probability: FloatArray
    #: Mean excess of the lowest tenth: below all, p-values fall exponentially by it, to a hundredth at most.
    scale: float

    def p_values(self, probability: FloatArray) -> FloatArray:
        """Give the p-value of each claim (n, n_services): the share of deployments that fit their own no better."""
        value = np.log(np.maximum(probability, _LEAST_PROBABILITY))
        below = np.clip((self.log_probability[0] - value) / self.scale, 0.0, _DEEPEST)
        place = np.searchsorted(self.log_probability, value, side="right")
        return np.asarray(self.rank[place] / self.rank[-1] * np.exp(-below))


def fit_claim_score(probability: FloatArray, truth: NDArray[np.intp], groups: NDArray[np.str_]) -> ClaimScore | None:
    """Fit the score to held-out containers, as :func:`fit_conformal_quantiles`; None where there are too few."""
    values = np.sort(np.log(np.maximum(_least_of_cases(probability, truth, groups)[1], _LEAST_PROBABILITY)))
    if values.size < FEWEST_DEPLOYMENTS:
        return None
    rank = np.unique(np.geomspace(1, values.size, _KEPT_RANKS).round()).astype(np.int32)
    tail = max(values.size // 10, 1)
    scale = max(float(np.mean(values[tail] - values[:tail])), _LEAST_SCALE)
    return ClaimScore(np.append(rank, values.size + 1).astype(np.int32), values[rank - 1], scale)


@dataclass(frozen=True)
class Calibration:
    """What held-out containers taught about one combination of models."""

    temperature: float  # divides the combined logits
    ood_score: OodScore  # novelty is measured with it
    quantiles: ConformalQuantiles  # of the prediction sets
    #: Claims are tested with it; None: too few deployments, or an earlier model.
    claim_score: ClaimScore | None = None

    @property
    def claim_temperature(self) -> float:
        """Divides the combined logits where claims are tested."""
        return max(self.temperature, _LEAST_CLAIM_TEMPERATURE)


def calibrate(
    logits: FloatArray,
    truth: NDArray[np.intp],
    groups: NDArray[np.str_],
    proximity: FloatArray,
    neg_log_distances: FloatArray,
    n_models: int,
    as_recorded: int | None = None,
    least_temperature: float = ONE_SITE_TEMPERATURE,
) -> Calibration:
    """Fit temperature, conformal quantiles and out-of-distribution score to held-out containers.

    Parameters
    ----------
    logits, proximity, neg_log_distances : array (n, n_services)
        Combined logits, forest proximity, and the distance to the nearest neighbour of each service.
    truth : array of int (n,)
        The services.
    groups : array of str (n,)
        The deployments.
    n_models : int
        How many models were combined.
    as_recorded : int, optional
        Temperature and quantiles are fitted to so many, the first; by default to all. The others are containers as
        they would look on other hardware, which nobody can see from samples: they must not count as unknown.
    least_temperature : float
        No lower one is fitted: how sure answers may be.
    """
    recorded, own, units = logits[:as_recorded], truth[:as_recorded], groups[:as_recorded]
    temperature = _DEFAULT_TEMPERATURE
    if own.size:
        allowed = _TEMPERATURES[least_temperature <= _TEMPERATURES]
        temperature = float(allowed[np.argmin([_log_loss(recorded, own, each) for each in allowed])])
    probability = softmax(recorded, temperature) if own.size else recorded
    best = logits.argmax(axis=1)
    measures = measure(logits, proximity, neg_log_distances[np.arange(best.size), best], n_models)
    calibration = Calibration(
        temperature,
        fit_ood_score(measures, logits.shape[1]),
        fit_conformal_quantiles(probability, own, units),
    )
    claimed = softmax(recorded, calibration.claim_temperature) if own.size else recorded
    return replace(calibration, claim_score=fit_claim_score(claimed, own, units))


def _log_loss(logits: FloatArray, truth: NDArray[np.intp], temperature: float) -> float:
    own = softmax(logits, temperature)[np.arange(truth.size), truth]
    return float(-np.log(own + 1e-12).mean())


def fit_conformal_quantiles(
    probability: FloatArray, truth: NDArray[np.intp], groups: NDArray[np.str_]
) -> ConformalQuantiles:
    """Fit the quantiles to held-out containers.

    Parameters
    ----------
    probability : array of float64 (n, n_services)
        Calibrated.
    truth : array of int (n,)
        The services.
    groups : array of str (n,)
        The deployments. Containers of one are not independent: the least probable one stands for it.
    """
    services = probability.shape[1]
    service, least = _least_of_cases(probability, truth, groups)
    few = np.bincount(service, minlength=services) < FEWEST_DEPLOYMENTS
    shared = least[few[service]]
    if shared.size < FEWEST_DEPLOYMENTS:
        shared = least
    lowest = np.full(services, _conformal_quantile(shared))
    basis = np.full(services, 1 if shared.size >= FEWEST_DEPLOYMENTS else 0, dtype=np.int8)
    for one in np.flatnonzero(~few):
        lowest[one], basis[one] = _conformal_quantile(least[service == one]), 2
    return ConformalQuantiles(lowest, basis)


def _least_of_cases(
    probability: FloatArray, truth: NDArray[np.intp], groups: NDArray[np.str_]
) -> tuple[NDArray[np.intp], FloatArray]:
    """Give the service of each deployment, and the lowest probability of it that one of its containers got."""
    own = probability[np.arange(truth.size), truth]
    cases, number = np.unique(np.stack([truth.astype(str), groups.astype(str)]), axis=1, return_inverse=True)
    least = np.ones(cases.shape[1])
    np.minimum.at(least, number.reshape(-1), own)
    return cases[0].astype(np.intp), least


def _conformal_quantile(values: FloatArray) -> float:
    """Take the largest bound that at most 5 % of (n + 1) values are below; the lowest where there are few."""
    if not values.size:
        return 0.0
    allowed = int((values.size + 1) * (1 - COVERAGE) + 1e-9)
    return float(np.sort(values)[max(allowed - 1, 0)])
