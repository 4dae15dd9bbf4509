"""The containers the watcher has met, from what the watch tells of pods."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from podlab.identify.early import Reason
from podlab.identify.prediction import Prediction
from podlab.kubernetes.objects import Change, WatchedContainer, WatchedPod

#: Init and ephemeral containers come and go with a task; what they serve, nobody watches over.
KINDS = ("main", "sidecar")
#: So many services are kept of a distribution: the rest says nothing anybody reads.
_MOST_KEPT = 3


class Sight(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the last look at a container said; its fields are some of those of :class:`podlab.identify.Prediction`."""

    candidates: tuple[tuple[str, float], ...]
    similar: tuple[tuple[str, float], ...]
    known: bool
    novelty: float
    seconds_observed: float
    model: str

    @classmethod
    def of(cls, answer: Prediction) -> Sight:
        """Keep what is told of an answer."""
        best = tuple(answer.candidates.items())[:_MOST_KEPT]
        return cls(
            best, answer.similar[:_MOST_KEPT], answer.known, answer.novelty, answer.seconds_observed, answer.model
        )

    def pack(self) -> bytes:
        """Make it five times smaller, for those that are kept of all containers."""
        return msgspec.msgpack.encode(self)


_PACKED_SIGHT: Final = msgspec.msgpack.Decoder(Sight)


def unpack_sight(packed: bytes) -> Sight | None:
    """Read what :meth:`Sight.pack` made; None: nothing. Raises msgspec.DecodeError if it was made by nobody."""
    return _PACKED_SIGHT.decode(packed) if packed else None


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What was decided of a container.

    Attributes
    ----------
    service : str or None
        None: unknown.
    reason : str
        As :class:`podlab.identify.early.Decision` has it.
    revisions : int
        How many decisions were taken back before.
    at_s : float
        When, in seconds since 1970.
    waited_s : float
        How long the container was waited for; what the database was out of reach for is not counted.
    seen : bytes
        What it was decided from, a packed :class:`Sight`; empty where no metrics came.
    """

    service: str | None
    reason: Reason
    revisions: int
    at_s: float
    waited_s: float
    seen: bytes

    @property
    def sight(self) -> Sight | None:
        """What it was decided from; None where no metrics came."""
        return unpack_sight(self.seen)

    @property
    def confidence(self) -> float:
        """Probability of the service decided on, of the most probable one where it is unknown; 0 without a look."""
        sight = self.sight
        candidates = dict(sight.candidates) if sight else {}
        return candidates.get(self.service or next(iter(candidates), ""), 0.0)


@dataclass(slots=True, eq=False)
class Case:
    """One container from its start to its end; a restarted one is another case.

    Attributes
    ----------
    container : WatchedContainer
        Who it is, as last seen.
    started_at : datetime
        Its start.
    number : int
        Tells cases apart; never used again.
    met_s : float
        When it was met, on the steady clock.
    blind_s : float
        How long since then the database was out of reach.
    next_look_s, gap_s : float
        When it is looked at again, on the steady clock, and how long after that once more.
    newest_s : float or None
        Time of its newest sample, in seconds since 1970 by the clock of whoever took it.
    sight : Sight or None
        What the last look said; None once its decision holds it.
    verdict : Verdict or None
        None while it is waited for.
    """

    container: WatchedContainer
    started_at: datetime
    number: int
    met_s: float
    next_look_s: float
    gap_s: float = 0.0
    blind_s: float = 0.0
    newest_s: float | None = None
    sight: Sight | None = None
    verdict: Verdict | None = None

    @property
    def key(self) -> str:
        """Tells the container from every other one, also after a restart of the watcher."""
        return key_of(self.container, self.started_at)


def key_of(container: WatchedContainer, started_at: datetime) -> str:
    """Name one life of a container."""
    return f"{container.pod_uid}/{container.container}/{started_at.astimezone(UTC).isoformat()}"


class Roster:
    """All cases; changes come from the watch's thread, everything else from the watcher's.

    What waits to be taken is the last state of each pod, so that it is bounded by the number of pods.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: dict[str, WatchedPod | None] = {}
        self._number = 0
        self._pods: dict[str, tuple[Case, ...]] = {}
        self._not_started: dict[str, tuple[WatchedContainer, ...]] = {}

    def put(self, changes: Iterable[Change]) -> None:
        """Take over what the watch saw; from any thread."""
        with self._lock:
            for change in changes:
                self._changed[change.pod.uid] = None if change.kind == "gone" else change.pod

    def take(self, steady_s: float) -> tuple[list[Case], list[Case]]:
        """Bring the cases up to date.

        Returns
        -------
        met, left : list of Case
            Containers that are new, and those that are no more.
        """
        with self._lock:
            changed, self._changed = self._changed, {}
        met: list[Case] = []
        left: list[Case] = []
        for uid, pod in changed.items():
            before = {(case.container.container, case.started_at): case for case in self._pods.pop(uid, ())}
            now: list[Case] = []
            for container in () if pod is None else pod.containers:
                if container.kind not in KINDS or container.started_at is None:
                    continue
                case = before.pop((container.container, container.started_at), None)
                if case is not None:
                    case.container = container
                    now.append(case)
                elif container.state == "running":
                    self._number += 1
                    now.append(Case(container, container.started_at, self._number, steady_s, steady_s))
                    met.append(now[-1])
            left += before.values()
            self._put_back(uid, now, pod)
        return met, left

    def _put_back(self, uid: str, cases: list[Case], pod: WatchedPod | None) -> None:
        if cases:
            self._pods[uid] = tuple(cases)
        waiting = () if pod is None else tuple(c for c in pod.containers if c.kind in KINDS and c.state == "waiting")
        if waiting:
            self._not_started[uid] = waiting
        else:
            self._not_started.pop(uid, None)

    def cases(self) -> list[Case]:
        """List all cases; from any thread."""
        return [case for cases in list(self._pods.values()) for case in cases]

    def not_started(self) -> list[WatchedContainer]:
        """List the containers that wait for their start; from any thread."""
        return [container for waiting in list(self._not_started.values()) for container in waiting]
