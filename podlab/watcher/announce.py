"""Telling what was decided, to every sink once: what a sink could not take is offered to it again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from podlab.cluster.pods import WatchedContainer
from podlab.errors import PodlabError
from podlab.watcher.cases import Case, Verdict
from podlab.watcher.journal import Entry

log = logging.getLogger(__name__)

Kind = Literal["identified", "revised", "unknown", "no-metrics"]

_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """One decision, as it is told.

    Attributes
    ----------
    key : str
        The container's.
    container : WatchedContainer
    started_at : datetime
    verdict : Verdict
    cluster : str
    decided_s : float
        When it was decided, on the steady clock.
    """

    key: str
    container: WatchedContainer
    started_at: datetime
    verdict: Verdict
    cluster: str
    decided_s: float

    @property
    def kind(self) -> Kind:
        """What it says."""
        if self.verdict.revisions:
            return "revised"
        if self.verdict.service is not None:
            return "identified"
        return "no-metrics" if self.verdict.reason == "unseen" else "unknown"

    @property
    def name(self) -> str:
        """The same for the same decision, whoever takes it; 16 hexadecimal digits."""
        said = f"{self.key} {self.verdict.revisions} {self.verdict.service}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def words(self) -> str:
        """One sentence for people."""
        verdict, name = self.verdict, self.container.container
        if self.kind == "no-metrics":
            return f"{name}: no metrics came within {verdict.waited_s:.0f} s, so nobody can tell what it is"
        sight = verdict.sight
        like = f"; most like {', '.join(service for service, _ in sight.similar)}" if sight and sight.similar else ""
        seen = f" after {sight.seconds_observed:.0f} s of metrics" if sight else ""
        if verdict.service is None:
            why = "it is like no known service" if verdict.reason == "unlike" else "no service is probable enough"
            return f"{name}: unknown, {why}{seen}{like}"
        again = "is after all" if self.kind == "revised" else "is"
        return f"{name} {again} {verdict.service} ({verdict.confidence:.0%} sure{seen}{like})"

    def to_json(self) -> dict[str, object]:
        """Give the JSON object of the log line."""
        return {
            "event": self.kind, "id": self.name, "message": self.words,
            **describe(self.container, self.started_at, self.verdict, self.cluster),
        }  # fmt: skip

    def entry(self) -> Entry:
        """Give what is kept of it."""
        v = self.verdict
        return Entry(self.key, v.service, v.reason, v.revisions, round(v.at_s, 3), round(v.waited_s, 3))


def describe(
    container: WatchedContainer, started_at: datetime | None, verdict: Verdict | None, cluster: str
) -> dict[str, object]:
    """Give what is known of a container as JSON values; what ``podlab identify --json`` says too has its names."""
    told: dict[str, object] = {
        "cluster": cluster, "namespace": container.namespace, "pod": container.pod, "pod_uid": container.pod_uid,
        "container": container.container, "node": container.node,
        "started_at": None if started_at is None else started_at.astimezone(UTC).isoformat(),
    }  # fmt: skip
    if verdict is None:
        return told
    told |= {
        "service": verdict.service, "confidence": round(verdict.confidence, 6), "reason": verdict.reason,
        "revisions": verdict.revisions, "waited_s": round(verdict.waited_s, 3),
        "decided_at": datetime.fromtimestamp(verdict.at_s, UTC).isoformat(timespec="milliseconds"),
    }  # fmt: skip
    sight = verdict.sight
    if sight is not None:
        told |= {
            "seconds_observed": round(sight.seconds_observed, 3),
            "candidates": {service: round(value, 6) for service, value in sight.candidates},
            "similar": [[service, round(value, 6)] for service, value in sight.similar],
            "known": sight.known, "novelty": round(sight.novelty, 6), "model": sight.model,
        }  # fmt: skip
    return told


class Sink(Protocol):
    """Someone who is told.

    Attributes
    ----------
    name : str
        As in the setting ``watch_sinks``.
    repeatable : bool
        Whether telling it the same twice changes nothing.
    """

    name: str
    repeatable: bool

    def tell(self, announcement: Announcement) -> bool:
        """Take one announcement; False: it was told before, by this watcher or by another.

        Raises
        ------
        PodlabError
            If it cannot be told now; it comes again later.
        """


@dataclass
class _Outbox:
    sink: Sink
    waiting: dict[str, Announcement] = field(default_factory=dict)
    paused_until_s: float = float("-inf")
    pause_s: float = _PAUSE_S


class Announcer:
    """Offers each announcement to all sinks, in their order.

    A sink that cannot be repeated (a log line) is left out where one before it says that this was told before. A sink
    that fails is left alone for a while, and gets the last announcement of each container then; the others go on.

    Parameters
    ----------
    sinks : sequence of Sink
    record : callable
        Called with the announcements that all sinks have.
    failed : callable
        Called with a sink's name and its error.
    steady : callable
        A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        record: Callable[[list[Announcement]], None],
        failed: Callable[[str, PodlabError], None],
        steady: Callable[[], float],
    ) -> None:
        self._boxes = [_Outbox(sink) for sink in sinks]
        self._new: dict[str, Announcement] = {}
        self._record = record
        self._failed = failed
        self._steady = steady

    @property
    def waiting(self) -> int:
        """How many announcements some sink has not got yet."""
        return len(self._new.keys() | {key for box in self._boxes for key in box.waiting})

    def put(self, case: Case, verdict: Verdict, cluster: str) -> Kind:
        """Take a decision that is to be told; an older one of the same container that nobody has got is dropped."""
        new = Announcement(case.key, case.container, case.started_at, verdict, cluster, self._steady())
        self._new[case.key] = new
        return new.kind

    def forget(self, key: str) -> None:
        """Drop what waits of a container that is no more."""
        self._new.pop(key, None)
        for box in self._boxes:
            box.waiting.pop(key, None)

    def leave_to_others(self, before_s: float) -> None:
        """Count what was decided before an instant as told by another watcher."""
        told = [announcement for announcement in self._new.values() if announcement.decided_s < before_s]
        for announcement in told:
            del self._new[announcement.key]
        self._record(told)

    def deliver(self, proceed: Callable[[], bool]) -> None:
        """Tell the sinks what waits, until ``proceed`` says no; the rest is for the next time."""
        done: list[Announcement] = []
        try:
            for box in self._boxes:
                for key, announcement in list(box.waiting.items()):
                    if self._steady() < box.paused_until_s or not proceed():
                        break
                    if self._offer(box, announcement) is not None:
                        del box.waiting[key]
                        if not self._is_waiting(key):
                            done.append(announcement)
            for key, announcement in list(self._new.items()):
                if not proceed():
                    break
                del self._new[key]
                if self._tell_all(announcement):
                    done.append(announcement)
        finally:
            self._record(done)

    def _tell_all(self, announcement: Announcement) -> bool:
        """Tell every sink; whether all have it."""
        told_before = False
        for box in self._boxes:
            if told_before and not box.sink.repeatable:
                continue
            box.waiting.pop(announcement.key, None)
            took = None if self._steady() < box.paused_until_s else self._offer(box, announcement)
            if took is None:
                box.waiting[announcement.key] = announcement
            told_before |= took is False
        return not self._is_waiting(announcement.key)

    def _is_waiting(self, key: str) -> bool:
        return key in self._new or any(key in box.waiting for box in self._boxes)

    def _offer(self, box: _Outbox, announcement: Announcement) -> bool | None:
        try:
            new = box.sink.tell(announcement)
        except PodlabError as error:
            box.paused_until_s = self._steady() + box.pause_s
            box.pause_s = min(2 * box.pause_s, _LONGEST_PAUSE_S)
            self._failed(box.sink.name, error)
            return None
        box.pause_s = _PAUSE_S
        return new
