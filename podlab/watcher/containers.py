"""The containers that the watcher tracks: one record each, their registry, and the tracker of their decisions."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from math import nan
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from podlab.identify.behaviour import Behaviour
from podlab.identify.early import (
    UNKNOWN,
    WAITING,
    Decision,
    DecisionStates,
    PredictionArrays,
    Reason,
    initial_states,
    prediction_arrays,
    to_decisions,
    update_states,
)
from podlab.identify.prediction import Prediction
from podlab.kubernetes.objects import Change, WatchedContainer, WatchedPod
from podlab.watcher.runtime import WatcherOptions

#: Init and ephemeral containers come and go with a task; they serve nothing that is worth watching.
KINDS: Final = ("main", "sidecar")
#: A time before all others, in nanoseconds since 1970.
NEVER: Final = int(np.iinfo(np.int64).min)
#: Services kept of a distribution; nobody reads the rest.
_MOST_KEPT: Final = 3
#: The first gap between checks of a decided container, in rounds; it grows by the same factor from check to check.
_SLOWER: Final = 2.0


class PredictionSummary(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The part of a :class:`podlab.identify.Prediction` that is kept; its fields are named as in the JSON line.

    ``behaviour`` and ``miner_score`` are told of unknown containers only.
    """

    candidates: tuple[tuple[str, float], ...]
    similar: tuple[tuple[str, float], ...]
    known: bool
    novelty: float
    seconds_observed: float
    model: str
    behaviour: str = ""
    miner_score: float | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> PredictionSummary:
        """Summarise a prediction."""
        does = prediction.behaviour
        return cls(
            tuple(prediction.candidates.items())[:_MOST_KEPT], prediction.similar[:_MOST_KEPT], prediction.known,
            prediction.novelty, prediction.seconds_observed, prediction.model,
            does.text if does else "", does.rounded_score if does else None,
        )  # fmt: skip

    def pack(self) -> bytes:
        """Encode it in a fifth of the memory, since one is kept of each container."""
        return msgspec.msgpack.encode(self)


_PACKED_SUMMARY: Final = msgspec.msgpack.Decoder(PredictionSummary)


def unpack_summary(packed: bytes) -> PredictionSummary | None:
    """Decode :meth:`PredictionSummary.pack`; None: nothing was packed. Raises msgspec.DecodeError if it is invalid."""
    return _PACKED_SUMMARY.decode(packed) if packed else None


class DecisionRecord(msgspec.Struct, frozen=True, gc=False):
    """A decision on a container; also a line of the state file, whose keys are these names."""

    key: str  # of the container, see :func:`key_of`
    #: What was decided; None: unknown.
    service: str | None
    reason: Reason  # as in :class:`podlab.identify.early.Decision`
    revisions: int  # how many decisions were revised before
    at_s: float  # when, in seconds since 1970
    #: How long the container waited for it, without the time in which the database was out of reach.
    waited_s: float
    #: In the state file: since when an announced alarm stands, in seconds since 1970.
    alarm_s: float | None = None
    #: The packed :class:`PredictionSummary` it rests on; empty where no metrics came.
    seen: bytes = b""

    @property
    def prediction(self) -> PredictionSummary | None:
        """The prediction it rests on; None where no metrics came."""
        return unpack_summary(self.seen)

    @property
    def confidence(self) -> float:
        """Probability of the decided service, or of the most probable one if it is unknown; 0 without a prediction."""
        prediction = self.prediction
        candidates = dict(prediction.candidates) if prediction else {}
        return candidates.get(self.service or next(iter(candidates), ""), 0.0)


@dataclass(slots=True, eq=False)
class TrackedContainer:
    """One container instance, from its first sight to its end; a restarted container is another one."""

    view: WatchedContainer  # its identity and state, as last seen in the API
    started_at: datetime
    #: Identifies it; never used again.
    number: int
    first_seen_s: float  # when the watcher first saw it, on the steady clock
    #: When it is checked next, on the steady clock, and the gap from then to the following check.
    next_check_s: float
    check_gap_s: float = 0.0
    unavailable_s: float = 0.0  # how long since then the database was out of reach
    newest_s: float | None = None  # time of its newest sample, in seconds since 1970 by the clock of its node
    #: The last one; None once a decision contains it.
    prediction: PredictionSummary | None = None
    decision: DecisionRecord | None = None  # None while it waits for one
    #: The service that it claims to run; None: none that the model knows.
    claim: str | None = None
    #: Of that claim, by its last prediction; NaN where it cannot be told.
    claim_p_value: float = nan
    behaviour: Behaviour | None = None  # what it does, by its last prediction, if that is like mining
    #: Its index in the arrays of the anomaly monitor; -1 where it is not scored.
    slot: int = -1
    scored_ns: int = NEVER  # time of its last scored sample, in nanoseconds since 1970
    is_scored: bool = False  # whether the detectors in use have scored a sample
    detectors_for: DecisionRecord | None = None  # the decision that its source detectors follow from
    #: Services and weights; empty: the pooled detector.
    source_detectors: tuple[tuple[str, float], ...] = ()
    alarm_announced_s: float = float("-inf")  # when its last alarm was announced, by the time of samples
    alarms_omitted: int = 0  # how many alarms were not announced since

    @property
    def key(self) -> str:
        """Identifies the container, also after a restart of the watcher."""
        return key_of(self.view, self.started_at)

    @property
    def scored_s(self) -> float | None:
        """Time of its last scored sample, in seconds since 1970."""
        return None if self.scored_ns == NEVER else self.scored_ns / 1e9

    def waited_s(self, steady_s: float) -> float:
        """How long it has been tracked, without the time in which the database was out of reach."""
        return steady_s - self.first_seen_s - self.unavailable_s

    def describe(self, cluster: str) -> dict[str, object]:
        """Describe it as JSON values, named as in ``podlab identify --json``."""
        return describe(self.view, cluster, self.started_at, self.decision)


def key_of(view: WatchedContainer, started_at: datetime) -> str:
    """Name a container instance."""
    return f"{view.pod_uid}/{view.container}/{started_at.astimezone(UTC).isoformat()}"


def to_iso(at_s: float) -> str:
    """Write an instant as all lines, pages and answers of the watcher do."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")


def describe(
    view: WatchedContainer, cluster: str, started_at: datetime | None, decision: DecisionRecord | None
) -> dict[str, object]:
    """Describe a container and a decision on it as JSON values, named as in ``podlab identify --json``."""
    found: dict[str, object] = {
        "cluster": cluster, "namespace": view.namespace, "pod": view.pod, "pod_uid": view.pod_uid,
        "container": view.container, "node": view.node,
        "started_at": None if started_at is None else started_at.astimezone(UTC).isoformat(),
    }  # fmt: skip
    if decision is None:
        return found
    found |= {
        "service": decision.service, "confidence": round(decision.confidence, 6), "reason": decision.reason,
        "revisions": decision.revisions, "waited_s": round(decision.waited_s, 3),
        "decided_at": to_iso(decision.at_s),
    }  # fmt: skip
    prediction = decision.prediction
    if prediction is not None:
        found |= {
            "seconds_observed": round(prediction.seconds_observed, 3),
            "candidates": {service: round(value, 6) for service, value in prediction.candidates},
            "similar": [[service, round(value, 6)] for service, value in prediction.similar],
            "known": prediction.known, "novelty": round(prediction.novelty, 6), "model": prediction.model,
        }  # fmt: skip
        if prediction.behaviour and decision.service is None:
            found |= {"behaviour": prediction.behaviour, "miner_score": prediction.miner_score}
    return found


class ContainerRegistry:
    """All tracked containers; changes come from the informer's thread, everything else from the watcher's.

    Only the last state of each pod waits to be taken, so memory is bounded by the number of pods.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, WatchedPod | None] = {}
        self._number = 0
        self._pods: dict[str, tuple[TrackedContainer, ...]] = {}
        self._not_started: dict[str, tuple[WatchedContainer, ...]] = {}

    def put(self, changes: Iterable[Change]) -> None:
        """Queue the changes of pods; from any thread."""
        with self._lock:
            for change in changes:
                self._changed[change.pod.uid] = None if change.kind == "gone" else change.pod

    def update(
        self, steady_s: float
    ) -> tuple[list[TrackedContainer], list[TrackedContainer], list[tuple[TrackedContainer, WatchedContainer]]]:
        """Apply the queued changes; return the containers that are new, and those that are gone.

        And, with what they are now, those whose workload or claim changed: a label was edited, or a controller was
        deleted without its pods. Their :attr:`TrackedContainer.view` is still the one of before.
        """
        with self._lock:
            changed, self._changed = self._changed, {}
        new: list[TrackedContainer] = []
        gone: list[TrackedContainer] = []
        moved: list[tuple[TrackedContainer, WatchedContainer]] = []
        for uid, pod in changed.items():
            before = {(each.view.container, each.started_at): each for each in self._pods.pop(uid, ())}
            now: list[TrackedContainer] = []
            for view in () if pod is None else pod.containers:
                if view.kind not in KINDS or view.started_at is None:
                    continue
                tracked = before.pop((view.container, view.started_at), None)
                if tracked is not None:
                    if _claimed(view) == _claimed(tracked.view):
                        tracked.view = view
                    else:
                        moved.append((tracked, view))
                    now.append(tracked)
                elif view.state == "running":
                    self._number += 1
                    now.append(TrackedContainer(view, view.started_at, self._number, steady_s, steady_s))
                    new.append(now[-1])
            gone += before.values()
            if now:
                self._pods[uid] = tuple(now)
            self._not_started.pop(uid, None)
            if (
                waiting := []
                if pod is None
                else [v for v in pod.containers if v.kind in KINDS and v.state == "waiting"]
            ):
                self._not_started[uid] = tuple(waiting)
        return new, gone, moved

    def containers(self) -> list[TrackedContainer]:
        """List all tracked containers; from any thread."""
        return [tracked for each in list(self._pods.values()) for tracked in each]

    def find(self, pod_uid: str, container: str) -> TrackedContainer | None:
        """Find the present instance of a container; from any thread."""
        return next((each for each in self._pods.get(pod_uid, ()) if each.view.container == container), None)

    def not_started(self) -> list[WatchedContainer]:
        """List the containers that wait for their start; from any thread."""
        return [view for waiting in list(self._not_started.values()) for view in waiting]


def _claimed(view: WatchedContainer) -> tuple[str, str, str]:
    return view.workload, view.app, view.image


class DecisionTracker:
    """The containers that are still checked, side by side with the state of the decision on each.

    A container is checked in every round until something is decided, then ever more seldom, but in every round again
    while predictions contradict the decision.
    """

    def __init__(self, options: WatcherOptions) -> None:
        self.containers: list[TrackedContainer] = []  # those that are still checked
        self._options = options
        self._states = initial_states(0)

    def add(self, containers: Sequence[TrackedContainer]) -> None:
        """Add new containers, which wait for a decision."""
        self._append(containers, initial_states(len(containers)))

    def resume(self, containers: Sequence[TrackedContainer], services: Sequence[str]) -> None:
        """Add containers with a decision from before a restart."""
        place = {service: number for number, service in enumerate(services)}
        decisions = [each.decision for each in containers if each.decision is not None]
        waited_s = np.array([decision.waited_s for decision in decisions], dtype=np.float64)
        states = replace(
            initial_states(len(decisions)),
            service=np.array([UNKNOWN if d.service is None else place[d.service] for d in decisions], dtype=np.int64),
            first_s=waited_s,
            since_s=waited_s,
            revisions=np.array([decision.revisions for decision in decisions], dtype=np.int64),
        )
        self._append(containers, states)

    def remove(self, numbers: Collection[int]) -> None:
        """Remove containers."""
        if numbers:
            self._keep([row for row, each in enumerate(self.containers) if each.number not in numbers])

    def renumber(self, before: Sequence[str], after: Sequence[str]) -> None:
        """Change to another model's services: decisions stand, and consecutive predictions are counted from zero.

        A container whose service the new model does not know is removed: no prediction could confirm it.
        """
        place = {service: number for number, service in enumerate(after)}
        moved = np.array([place.get(service, WAITING) for service in before], dtype=np.int64)
        decided = self._states.service >= 0
        service = self._states.service.copy()
        service[decided] = moved[service[decided]]
        fresh = initial_states(service.size)
        self._states = replace(self._states, service=service, said=fresh.said, streak=fresh.streak)
        self._keep(np.flatnonzero(~(decided & (service == WAITING))).tolist())

    def decide(
        self, predictions: dict[int, Prediction], services: Sequence[str], steady_s: float
    ) -> list[tuple[TrackedContainer, Decision, float]]:
        """Take new predictions into account.

        Parameters
        ----------
        predictions : dict of int to Prediction
            By number of the container; for the others only time passes.
        services : sequence of str
            The model's.
        steady_s : float
            Now, on the steady clock.

        Returns
        -------
        list of (TrackedContainer, Decision, float)
            Those with another decision than before, and how long they waited for it.
        """
        waited_s = np.array([each.waited_s(steady_s) for each in self.containers])
        before = self._states.service
        arrays = self._prediction_arrays(predictions, services)
        self._states = update_states(self._states, self._options.policy, waited_s, arrays)
        changed = np.flatnonzero(self._states.service != before)
        decisions = to_decisions(self._states.take(changed), services)
        return [
            (self.containers[row], decision, float(waited_s[row]))
            for row, decision in zip(changed.tolist(), decisions, strict=True)
        ]

    def schedule(self, checked: Collection[int], steady_s: float) -> None:
        """Schedule the next check of containers that were checked; remove those that no check would change any more.

        ``checked`` are the numbers of those whose samples were fetched; the others are due, or fetched in the next
        round. ``steady_s`` is now, on the steady clock.
        """
        settle_s, settled = self._options.settle_s, set()
        rows = zip(self.containers, self._states.service.tolist(), self._states.streak.tolist(), strict=True)
        for tracked, service, streak in rows:
            if tracked.number not in checked:
                continue
            age_s = tracked.waited_s(steady_s)
            if service == WAITING or streak:
                tracked.check_gap_s = 0.0
                continue
            if age_s >= settle_s and service != UNKNOWN:
                settled.add(tracked.number)
            slower_s = _SLOWER * max(self._options.interval_s, tracked.check_gap_s)
            tracked.check_gap_s = settle_s if age_s >= settle_s else slower_s
            tracked.next_check_s = steady_s + tracked.check_gap_s
        self.remove(settled)

    def buffered(self) -> NDArray[np.int64]:
        """Numbers of the containers whose samples are worth keeping until the next check."""
        slow_s = self._options.settle_s
        return np.array([each.number for each in self.containers if each.check_gap_s < slow_s], dtype=np.int64)

    def _prediction_arrays(self, predictions: dict[int, Prediction], services: Sequence[str]) -> PredictionArrays:
        rows = [row for row, each in enumerate(self.containers) if each.number in predictions]
        found = prediction_arrays([predictions[self.containers[row].number] for row in rows], services)
        count = len(self.containers)
        arrays = PredictionArrays(np.zeros(count, np.int64), np.zeros(count), np.ones(count), np.full(count, np.nan))
        for field in fields(PredictionArrays):
            getattr(arrays, field.name)[rows] = getattr(found, field.name)
        return arrays

    def _append(self, containers: Sequence[TrackedContainer], states: DecisionStates) -> None:
        self.containers += containers
        names = [field.name for field in fields(DecisionStates)]
        joined = {name: np.concatenate([getattr(self._states, name), getattr(states, name)]) for name in names}
        self._states = DecisionStates(**joined)

    def _keep(self, rows: Sequence[int]) -> None:
        self.containers = [self.containers[row] for row in rows]
        self._states = self._states.take(np.array(rows, dtype=np.int64))
