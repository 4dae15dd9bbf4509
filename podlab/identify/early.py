"""Early classification: when to answer which service a container runs, and when to revise that.

As seconds go on, a model predicts a container again and again from all that was observed so far. A trigger policy
answers as soon as predictions are confident enough, and declares the container unknown at the timeout. An answer is
never final: later predictions that contradict it strongly and steadily revise it. Revising takes more than answering,
so that a container between two services does not change its answer with every prediction.

Nothing here reads a clock or draws a number. What is kept of a container is a handful of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.errors import InputError
from podlab.identify.novelty import NOVELTY_THRESHOLD
from podlab.identify.prediction import Prediction

#: Stand in place of a service's number: nothing is decided yet; the container is unknown.
WAITING: Final = -2
UNKNOWN: Final = -1

Reason = Literal["waiting", "confident", "turned", "unsure", "unlike", "unseen"]


@dataclass(frozen=True)
class TriggerPolicy:
    """When to answer, when to revise, and when to stop waiting.

    Raises InputError if a value is out of its range.
    """

    #: A prediction counts for a service if its calibrated probability is at least this, 0 to 1.
    confidence: float = 0.95
    consecutive: int = 2  # so many predictions in a row must count for the same service before it is answered
    revise_confidence: float = 0.95  # as ``confidence``, for a prediction that contradicts the decision
    #: So many predictions in a row must count for the same other service, or for none, before a decision is revised;
    #: None: the first decision stays.
    revise_consecutive: int | None = 3
    #: Without an answer by then the container is unknown; the setting ``metrics_timeout``.
    timeout_s: float = 120.0
    #: An answer is revised to "unknown" only by predictions of more novelty than this, 0 to 1. One known container in
    #: fifty looks novel at some time; the usual threshold would revise too many right answers.
    revise_novelty: float = 0.995

    def __post_init__(self) -> None:
        for name in ("confidence", "revise_confidence", "revise_novelty"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}", where="policy", hint="use a value from 0 to 1")
        if self.consecutive < 1 or (self.revise_consecutive is not None and self.revise_consecutive < 1):
            raise InputError("needs at least one prediction", where="policy")
        if not self.timeout_s > 0:
            raise InputError("the timeout must be longer than 0", where="policy")


@dataclass(frozen=True)
class PredictionArrays:
    """Predictions of some containers at one moment."""

    #: Number of the most probable service; any value where nothing was observed (n,).
    best: IntArray
    confidence: FloatArray  # its calibrated probability (n,)
    novelty: FloatArray  # as in :class:`podlab.identify.Prediction` (n,)
    #: How long the container was observed; NaN without metrics. A prediction from no more than the one before says
    #: nothing new and is not counted (n,).
    observed_s: FloatArray

    @property
    def known(self) -> BoolArray:
        """Whether the container looks like a known service (n,)."""
        return np.asarray(self.novelty <= NOVELTY_THRESHOLD)


def prediction_arrays(predictions: Sequence[Prediction], services: Sequence[str]) -> PredictionArrays:
    """Take from predictions what a decision needs.

    There is one prediction for each container (n,); one without candidates counts as nothing observed. ``services``
    gives each service its number.
    """
    number = {service: n for n, service in enumerate(services)}
    best = [number[next(iter(each.candidates))] if each.candidates else 0 for each in predictions]
    seen = [each.seconds_observed if each.candidates else np.nan for each in predictions]
    return PredictionArrays(
        np.array(best, dtype=np.int64),
        np.array([each.confidence for each in predictions], dtype=np.float64),
        np.array([each.novelty for each in predictions], dtype=np.float64),
        np.array(seen, dtype=np.float64),
    )


@dataclass(frozen=True)
class DecisionStates:
    """Decisions on some containers so far, each (n,)."""

    service: IntArray  # number of the service decided on, :data:`UNKNOWN` or :data:`WAITING`
    #: When the first decision was made, and when the present one; NaN while waiting.
    first_s: FloatArray
    since_s: FloatArray
    revisions: IntArray  # how often a decision was revised
    said: IntArray  # the service, or :data:`UNKNOWN`, of the last prediction that counted
    streak: IntArray  # how many predictions in a row said that, since the last decision
    #: How long that prediction had observed the container; -1 before the first.
    observed_s: FloatArray

    def take(self, rows: IntArray) -> DecisionStates:
        """Keep some containers, in this order."""
        return DecisionStates(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def add(self, number: int) -> DecisionStates:
        """Append so many containers, waiting."""
        new = initial_states(number)
        names = [field.name for field in fields(self)]
        return DecisionStates(**{name: np.concatenate([getattr(self, name), getattr(new, name)]) for name in names})


def initial_states(number: int) -> DecisionStates:
    """Make the states of containers that nothing is decided on."""
    none = np.zeros(number, dtype=np.int64)
    never = np.full(number, np.nan)
    return DecisionStates(none + WAITING, never, never, none, none + WAITING, none, np.full(number, -1.0))


def update_states(
    state: DecisionStates, policy: TriggerPolicy, at_s: float | FloatArray, predictions: PredictionArrays
) -> DecisionStates:
    """Take one more prediction of each container into account.

    Parameters
    ----------
    state : DecisionStates (n,)
        Before.
    at_s : float or array (n,)
        Now, in seconds since the waiting for each container began: its start, or when it was first seen.
    predictions : PredictionArrays (n,)

    Returns
    -------
    DecisionStates
        After.
    """
    now_s = np.broadcast_to(np.asarray(at_s, dtype=np.float64), state.service.shape)
    counts = predictions.observed_s > state.observed_s  # never where it is NaN
    waiting = state.service == WAITING
    # Novelty does not depend on the confidence in a service. If it is high it counts against an answer; while waiting
    # it is ignored, because a young container often looks novel.
    like = np.where(state.service >= 0, predictions.novelty <= policy.revise_novelty, predictions.known)
    speaks_for = np.where(like, predictions.best, UNKNOWN)
    bar = np.where(waiting, policy.confidence, policy.revise_confidence)
    strong = np.where(like, predictions.confidence >= bar, True)
    other = speaks_for != state.service
    speaks = strong & other & ~(waiting & ~like)
    goes_on = np.where(speaks_for == state.said, state.streak, 0)
    streak = np.where(counts, np.where(speaks, goes_on + 1, 0), state.streak)

    needed = np.where(
        waiting, policy.consecutive, np.inf if policy.revise_consecutive is None else policy.revise_consecutive
    )
    decided = counts & speaks & (streak >= needed)
    given_up = waiting & ~decided & (now_s >= policy.timeout_s)
    changed = decided | given_up
    return DecisionStates(
        service=np.where(decided, speaks_for, np.where(given_up, UNKNOWN, state.service)),
        first_s=np.where(changed & waiting, now_s, state.first_s),
        since_s=np.where(changed, now_s, state.since_s),
        revisions=state.revisions + (decided & ~waiting),
        said=np.where(counts, speaks_for, state.said),
        streak=np.where(changed, 0, streak),
        observed_s=np.where(counts, predictions.observed_s, state.observed_s),
    )


@dataclass(frozen=True)
class Decision:
    """The decision on one container."""

    #: The service; None while waiting and for an unknown container.
    service: str | None
    #: Whether anything is decided: a service, or that it is unknown.
    decided: bool
    since_s: float | None  # when that was, in seconds since the waiting began
    revisions: int  # how many decisions were revised before
    #: Still waiting; confident; revised; at the timeout no service was probable enough; like no known service; or no
    #: metrics came.
    reason: Reason


def to_decisions(state: DecisionStates, services: Sequence[str]) -> list[Decision]:
    """Make the decision on each container from the states."""
    rows = zip(*(getattr(state, field.name).tolist() for field in fields(state)), strict=True)
    return [
        Decision(
            service=services[service] if service >= 0 else None,
            decided=service != WAITING,
            since_s=None if service == WAITING else since_s,
            revisions=revisions,
            reason=_reason(service, revisions, said, observed_s),
        )
        for service, _, since_s, revisions, said, _, observed_s in rows
    ]


def _reason(service: int, revisions: int, said: int, observed_s: float) -> Reason:
    if service == WAITING:
        return "waiting"
    if service != UNKNOWN:
        return "turned" if revisions else "confident"
    if observed_s < 0:
        return "unseen"
    return "unlike" if said == UNKNOWN else "unsure"
