"""When to say which service a container runs: as soon as it is sure, taken back when the evidence turns.

A look is what the model answers from all that was seen of a container so far. Looks come in as seconds go on, and a
decision goes one way: *waiting*, then *answered*, or *unknown* once the time is up. A decision is never final: later
looks that contradict it strongly and steadily revise it. Revising asks for more than answering did, so that a
container between two services does not change its answer with every look.

Nothing here reads a clock or draws a number; what is kept of a container is a handful of numbers, however long it is
watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.identify.novelty import NOVELTY_THRESHOLD
from podlab.identify.prediction import Prediction

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Stands in place of a service's number: nothing was said yet; it is like no service known.
WAITING: Final = -2
UNKNOWN: Final = -1

Reason = Literal["waiting", "confident", "turned", "unsure", "unlike", "unseen"]


@dataclass(frozen=True)
class TriggerPolicy:
    """When to answer, when to revise, and when to stop waiting.

    Attributes
    ----------
    confidence : float
        Least calibrated probability of a service for a look to speak for it, 0 to 1.
    consecutive : int
        So many looks in a row must speak for the same service before it is answered.
    revise_confidence : float
        The same, for a look to speak against what was decided.
    revise_consecutive : int or None
        So many looks in a row must speak for the same other service, or find the container like none, before a
        decision is revised; None: the first decision stays.
    timeout_s : float
        Without an answer by then the container counts as unknown; the setting ``metrics_timeout``.
    revise_novelty : float
        An answer is taken back for "unknown" only by looks of more novelty than this, 0 to 1. One known container in
        fifty looks novel at some time, so that what suffices to wait would take too many right answers back.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    confidence: float = 0.95
    consecutive: int = 2
    revise_confidence: float = 0.95
    revise_consecutive: int | None = 3
    timeout_s: float = 120.0
    revise_novelty: float = 0.995

    def __post_init__(self) -> None:
        for name in ("confidence", "revise_confidence", "revise_novelty"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}", where="policy", hint="use a value from 0 to 1")
        if self.consecutive < 1 or (self.revise_consecutive is not None and self.revise_consecutive < 1):
            raise InputError("needs at least one look", where="policy")
        if not self.timeout_s > 0:
            raise InputError("the timeout must be longer than 0", where="policy")


@dataclass(frozen=True)
class PredictionArrays:
    """What the model said about some containers at one moment.

    Attributes
    ----------
    best : array of int64 (n,)
        Number of the most probable service; any value where nothing was seen.
    confidence : array of float64 (n,)
        Its calibrated probability.
    novelty : array of float64 (n,)
        Part of the known containers that look more familiar.
    observed_s : array of float64 (n,)
        How long it was looked at; NaN where no metrics came. A look that saw no more than the one before says nothing
        new and is not counted.
    """

    best: IntArray
    confidence: FloatArray
    novelty: FloatArray
    observed_s: FloatArray

    @property
    def known(self) -> BoolArray:
        """Whether the container is like the known services at all (n,)."""
        return np.asarray(self.novelty <= NOVELTY_THRESHOLD)


def prediction_arrays(answers: Sequence[Prediction], services: Sequence[str]) -> PredictionArrays:
    """Take from answers what a decision needs.

    Parameters
    ----------
    answers : sequence of Prediction (n,)
        One for each container; one without candidates counts as nothing seen.
    services : sequence of str
        Gives each service its number.
    """
    number = {service: n for n, service in enumerate(services)}
    best = [number[next(iter(answer.candidates))] if answer.candidates else 0 for answer in answers]
    seen = [answer.seconds_observed if answer.candidates else np.nan for answer in answers]
    return PredictionArrays(
        np.array(best, dtype=np.int64),
        np.array([answer.confidence for answer in answers], dtype=np.float64),
        np.array([answer.novelty for answer in answers], dtype=np.float64),
        np.array(seen, dtype=np.float64),
    )


@dataclass(frozen=True)
class DecisionStates:
    """Where some containers stand; made by :func:`initial_states` and moved on by :func:`update_states`, each (n,).

    Attributes
    ----------
    service : array of int64
        Number of the service decided on, :data:`UNKNOWN` or :data:`WAITING`.
    first_s, since_s : array of float64
        When something was decided first, and when what stands now was; NaN while waiting.
    revisions : array of int64
        How often a decision was taken back for another.
    said : array of int64
        What the last look that counted spoke for.
    streak : array of int64
        How many looks in a row spoke for that, since the last decision.
    observed_s : array of float64
        How much the last look that counted had seen; -1 before the first.
    """

    service: IntArray
    first_s: FloatArray
    since_s: FloatArray
    revisions: IntArray
    said: IntArray
    streak: IntArray
    observed_s: FloatArray

    def take(self, rows: IntArray) -> DecisionStates:
        """Keep some containers, in this order."""
        return DecisionStates(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def add(self, number: int) -> DecisionStates:
        """Put that many containers behind, waiting."""
        new = initial_states(number)
        names = [field.name for field in fields(self)]
        return DecisionStates(**{name: np.concatenate([getattr(self, name), getattr(new, name)]) for name in names})


def initial_states(number: int) -> DecisionStates:
    """Begin to wait for so many containers."""
    none = np.zeros(number, dtype=np.int64)
    never = np.full(number, np.nan)
    return DecisionStates(none + WAITING, never, never, none, none + WAITING, none, np.full(number, -1.0))


def update_states(
    state: DecisionStates, policy: TriggerPolicy, at_s: float | FloatArray, looks: PredictionArrays
) -> DecisionStates:
    """Take one more look at each container into account.

    Parameters
    ----------
    state : DecisionStates (n,)
        Where they stood.
    policy : TriggerPolicy
    at_s : float or array (n,)
        Now, in seconds since the waiting for each container began: its start, or when it was met.
    looks : PredictionArrays (n,)
        What is said of them now.

    Returns
    -------
    DecisionStates
        Where they stand now.
    """
    now_s = np.broadcast_to(np.asarray(at_s, dtype=np.float64), state.service.shape)
    counts = looks.observed_s > state.observed_s  # never where it is NaN
    waiting = state.service == WAITING
    # Strangeness is no matter of the confidence in a service. Strong, it speaks against an answer; while waiting it
    # only lets time pass, for a young container often looks strange.
    like = np.where(state.service >= 0, looks.novelty <= policy.revise_novelty, looks.known)
    speaks_for = np.where(like, looks.best, UNKNOWN)
    bar = np.where(waiting, policy.confidence, policy.revise_confidence)
    strong = np.where(like, looks.confidence >= bar, True)
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
        observed_s=np.where(counts, looks.observed_s, state.observed_s),
    )


@dataclass(frozen=True)
class Decision:
    """Where one container stands.

    Attributes
    ----------
    service : str or None
        What was decided; None while waiting and when it is unknown.
    decided : bool
        Whether anything was decided: a service, or that it is unknown.
    since_s : float or None
        When that was, in seconds since the waiting began.
    revisions : int
        How many decisions were taken back before.
    reason : {"waiting", "confident", "turned", "unsure", "unlike", "unseen"}
        Why: still waiting; confident; the evidence turned to this; the time was up and no service probable enough;
        it is like no known service; or no metrics came.
    """

    service: str | None
    decided: bool
    since_s: float | None
    revisions: int
    reason: Reason


class EarlyClassifier:
    """Decides for one container.

    Parameters
    ----------
    services : sequence of str
        The model's.
    policy : TriggerPolicy

    Examples
    --------
    >>> decider = EarlyClassifier(("nginx", "redis"), TriggerPolicy(timeout_s=60))
    >>> decider.see(5.0, None)
    Decision(service=None, decided=False, since_s=None, revisions=0, reason='waiting')
    >>> decider.see(60.0, None)
    Decision(service=None, decided=True, since_s=60.0, revisions=0, reason='unseen')
    """

    def __init__(self, services: Sequence[str], policy: TriggerPolicy) -> None:
        self._services = tuple(services)
        self._policy = policy
        self._state = initial_states(1)

    def see(self, at_s: float, answer: Prediction | None) -> Decision:
        """Take one more answer into account, or with None only that time has passed.

        Parameters
        ----------
        at_s : float
            Now, in seconds since the waiting began.
        answer : Prediction, optional
            What the model says from all that was seen so far.
        """
        looks = prediction_arrays([answer], self._services) if answer is not None else _NOTHING
        self._state = update_states(self._state, self._policy, at_s, looks)
        return to_decisions(self._state, self._services)[0]


_NOTHING = PredictionArrays(np.zeros(1, dtype=np.int64), np.zeros(1), np.ones(1), np.full(1, np.nan))


def to_decisions(state: DecisionStates, services: Sequence[str]) -> list[Decision]:
    """Put where containers stand into words, one each."""
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
