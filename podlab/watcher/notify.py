"""Announcements of decisions and alarms, and the notifier that sends each to every sink once."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, Protocol, get_args

import msgspec

from podlab.detect.scoring import ContributingSignal
from podlab.errors import PodlabError
from podlab.kubernetes.objects import WatchedContainer
from podlab.watcher.containers import DecisionRecord, TrackedContainer, describe
from podlab.watcher.state import StateStore

log = logging.getLogger(__name__)

Kind = Literal["identified", "revised", "unknown", "no-metrics", "anomalous", "anomaly-over", "mismatch", "miner-like"]
Topic = Literal["decision", "anomaly", "claim", "miner"]

#: Alarms of a container that come sooner after the last announced one are counted and not announced.
QUIET_S: Final = 600.0
USUAL_AGAIN: Final = "usual again"
MODEL_REPLACED: Final = "the model was replaced"
NO_SAMPLES: Final = "no samples come any more"

_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 60.0
#: After a while without announcements, this many seconds' worth is sent at once.
_BURST_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Announcement(ABC):
    """Something to announce of a container."""

    topic: ClassVar[Topic]  # a newer announcement of the same container and topic replaces this one
    measurement: ClassVar[str]  # its measurement in InfluxDB

    container: TrackedContainer
    cluster: str
    decided_s: float  # when it was decided, on the steady clock

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What it says."""

    @property
    @abstractmethod
    def content(self) -> str:
        """Identifies what it says of the container, whichever watcher says it."""

    @property
    @abstractmethod
    def message(self) -> str:
        """One sentence for people."""

    @property
    @abstractmethod
    def service(self) -> str | None:
        """The decided service; None: unknown."""

    @property
    @abstractmethod
    def at_s(self) -> float:
        """When it happened, in seconds since 1970."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Return the part of the log line's JSON object that only this kind of announcement has."""

    @abstractmethod
    def values(self) -> dict[str, float | int | str]:
        """Return the fields of its point in InfluxDB."""

    @abstractmethod
    def record(self, before: DecisionRecord | None) -> DecisionRecord | None:
        """Return what is stored of the container from now on; ``before`` is what is stored now."""

    @property
    def view(self) -> WatchedContainer:
        """Names and node of the container."""
        return self.container.view

    @property
    def id(self) -> str:
        """The same for the same announcement by any watcher; 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.container.key} {self.content}".encode()).hexdigest()[:16]

    @property
    def topic_key(self) -> _TopicKey:
        """A newer announcement with the same value replaces this one."""
        return self.container.key, self.topic

    def to_json(self) -> dict[str, object]:
        """Return the JSON object of the log line."""
        return {"event": self.kind, "id": self.id, "message": self.message, **self.describe()}


#: Key of a container, and topic.
_TopicKey = tuple[str, Topic]


@dataclass(frozen=True, slots=True)
class DecisionAnnouncement(Announcement):
    """A decision."""

    topic = "decision"
    measurement = "podlab_decision"

    decision: DecisionRecord

    @property
    def kind(self) -> Kind:
        """What it says."""
        if self.decision.revisions:
            return "revised"
        if self.decision.service is not None:
            return "identified"
        return "no-metrics" if self.decision.reason == "unseen" else "unknown"

    @property
    def content(self) -> str:
        """Identifies what it says of the container, whichever watcher says it."""
        return f"{self.decision.revisions} {self.decision.service}"

    @property
    def service(self) -> str | None:
        """The decided service; None: unknown."""
        return self.decision.service

    @property
    def at_s(self) -> float:
        """When it was decided, in seconds since 1970."""
        return self.decision.at_s

    @property
    def message(self) -> str:
        """One sentence for people."""
        decision, name = self.decision, self.view.container
        if self.kind == "no-metrics":
            return f"{name}: no metrics came within {decision.waited_s:.0f} s, so it cannot be identified"
        prediction = decision.prediction
        like = ", ".join(service for service, _ in prediction.similar) if prediction else ""
        like = f"; most similar to {like}" if like else ""
        seen = f" after {prediction.seconds_observed:.0f} s of metrics" if prediction else ""
        if decision.service is None:
            unlike = "it resembles no known service"
            why = unlike if decision.reason == "unlike" else "no service is probable enough"
            does = f"; it does this: {prediction.behaviour}" if prediction and prediction.behaviour else ""
            return f"{name}: unknown, {why}{seen}{like}{does}"
        again = "is now identified as" if self.kind == "revised" else "is"
        return f"{name} {again} {decision.service} (confidence {decision.confidence:.0%}{seen}{like})"

    def describe(self) -> dict[str, object]:
        """Return the part of the log line's JSON object that only decisions have."""
        return describe(self.view, self.cluster, self.container.started_at, self.decision)

    def values(self) -> dict[str, float | int | str]:
        """Return the fields of its point in InfluxDB."""
        decision = self.decision
        return {
            "confidence": float(decision.confidence), "waited_s": float(decision.waited_s), "reason": decision.reason,
            "revisions": decision.revisions,
        }  # fmt: skip

    def record(self, before: DecisionRecord | None) -> DecisionRecord | None:
        """Return what is stored of the container from now on; an alarm that stands goes on standing."""
        if before is None or before.alarm_s is None:
            return self.decision
        return msgspec.structs.replace(self.decision, alarm_s=before.alarm_s)


@dataclass(frozen=True, slots=True)
class AnomalyAnnouncement(Announcement):
    """An alarm that is raised, or is over; times are those of samples, in seconds since 1970."""

    topic = "anomaly"
    measurement = "podlab_anomaly"

    #: What the container was identified as; None: unknown.
    of_service: str | None
    #: Services whose detectors watch it, and their weights; empty: the pooled one.
    source_detectors: tuple[tuple[str, float], ...]
    #: Its first anomalous sample, and the last one so far.
    since_s: float
    until_s: float
    announced_s: float  # when it was announced first
    score: float  # the highest so far
    signals: tuple[ContributingSignal, ...]  # what contributed to it
    replicas: int  # in how many of the workload's replicas there is one
    omitted: int  # how many alarms before this one were not announced
    #: Why it is over; None: it is not.
    over: str | None

    @property
    def kind(self) -> Kind:
        """What it says."""
        return "anomaly-over" if self.over else "anomalous"

    @property
    def content(self) -> str:
        """Identifies what it says of the container, whichever watcher says it.

        A restarted watcher may find that the alarm begins with another sample. Two announced alarms are ``QUIET_S``
        apart, so the span of time that one falls into identifies it.
        """
        return f"{self.kind} {self.announced_s // QUIET_S:.0f}"

    @property
    def service(self) -> str | None:
        """The decided service; None: unknown."""
        return self.of_service

    @property
    def at_s(self) -> float:
        """When the last anomalous sample was taken, in seconds since 1970."""
        return self.until_s

    @property
    def message(self) -> str:
        """One sentence for people."""
        name, usual = self.view.container, f"usual for {self.of_service}" if self.of_service else "usual"
        since = datetime.fromtimestamp(self.since_s, UTC).strftime("%H:%M:%S")
        lasted = f"it was not for {self.until_s - self.since_s:.0f} s since {since} UTC"
        if self.over == USUAL_AGAIN:
            return f"{name} is as {usual} again; {lasted}"
        if self.over:
            return f"{name}: nobody knows whether it is as {usual}, since {self.over}; {lasted}"
        why = ": " + "; ".join(signal.text for signal in self.signals) if self.signals else ""
        more = f" ({self.omitted} more since the last announced one)" if self.omitted else ""
        where = f"{name} in {self.replicas} replicas" if self.replicas > 1 else name
        return f"{where} is not as {usual} since {since} UTC{why}{more}"

    def describe(self) -> dict[str, object]:
        """Return the part of the log line's JSON object that only alarms have."""
        return {
            **describe(self.view, self.cluster, self.container.started_at, None), "service": self.of_service,
            "donors": [[service, round(weight, 6)] for service, weight in self.source_detectors],
            "since": _instant(self.since_s), "until": _instant(self.until_s), "score": round(self.score, 6),
            "drivers": [signal.to_json() for signal in self.signals], "replicas": self.replicas, "untold": self.omitted,
            "reason": self.over,
        }  # fmt: skip

    def values(self) -> dict[str, float | int | str]:
        """Return the fields of its point in InfluxDB."""
        return {
            "kind": self.kind, "score": float(self.score), "lasted_s": float(self.until_s - self.since_s),
            "drivers": ", ".join(signal.signal for signal in self.signals), "untold": self.omitted,
        }  # fmt: skip

    def record(self, before: DecisionRecord | None) -> DecisionRecord | None:
        """Store whether the alarm stands; nothing where the decision before it was not stored either."""
        return before and msgspec.structs.replace(before, alarm_s=None if self.over else self.since_s)


def _instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")


class Sink(Protocol):
    """A receiver of announcements."""

    name: str  # as in the setting ``watch_sinks``
    repeatable: bool  # whether sending the same announcement twice changes nothing

    def send(self, announcement: Announcement) -> bool:
        """Send one announcement; False: it was sent before, by this watcher or by another.

        Raises PodlabError if it cannot be sent now; it is tried again later.
        """


@dataclass
class _Outbox:
    sink: Sink
    waiting: dict[_TopicKey, Announcement] = field(default_factory=dict)
    #: Those of them that the sink failed to take.
    refused: set[_TopicKey] = field(default_factory=set)
    paused_until_s: float = float("-inf")
    pause_s: float = _PAUSE_S


class Notifier:
    """Sends each announcement to all sinks, in their order, and stores what all sinks have.

    A sink that is not repeatable (a log line) is skipped where one before it reports that this was sent before. A sink
    that fails is left alone for a while, and then gets the last announcement of each container and topic, the one that
    failed last of all; the others go on.

    Parameters
    ----------
    failed : callable
        Called with what failed and its error: ``sink NAME``, or ``state`` for the store.
    steady : callable
        A clock that never goes back, in seconds.
    per_s : float
        Most announcements per second, and ten times as many at once after a pause.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        store: StateStore,
        *,
        failed: Callable[[str, PodlabError], None],
        steady: Callable[[], float],
        per_s: float,
    ) -> None:
        self._boxes = [_Outbox(sink) for sink in sinks]
        self._new: dict[_TopicKey, Announcement] = {}
        self._store = store
        self._failed = failed
        self._steady = steady
        self._per_s, self._allowed, self._counted_s = per_s, _BURST_S * per_s, steady()

    @property
    def waiting(self) -> int:
        """How many announcements some sink has not got yet."""
        return len(self._new.keys() | {topic_key for box in self._boxes for topic_key in box.waiting})

    def put(self, new: Announcement) -> None:
        """Queue an announcement; an older one of the same container and topic that no sink has is dropped."""
        self._new[new.topic_key] = new

    def forget(self, key: str) -> None:
        """Drop what waits of a container that is gone."""
        for topic in get_args(Topic):
            self._new.pop((key, topic), None)
            for box in self._boxes:
                box.waiting.pop((key, topic), None)
                box.refused.discard((key, topic))

    def leave_to_others(self, before_s: float) -> None:
        """Count what was decided before an instant as announced by another watcher."""
        announced = [announcement for announcement in self._new.values() if announcement.decided_s < before_s]
        for announcement in announced:
            del self._new[announcement.topic_key]
        self._record(announced)

    def deliver(self, proceed: Callable[[], bool]) -> None:
        """Send what waits, as much as is allowed and until ``proceed`` returns False; the rest waits.

        The newest containers come first: a new pod does not wait behind all those that a watcher finds at its start.
        """
        now_s = self._steady()
        passed_s, self._counted_s = min(now_s - self._counted_s, _BURST_S), now_s
        if passed_s > 0:
            self._allowed = min(_BURST_S * self._per_s, self._allowed + passed_s * self._per_s)
        done: list[Announcement] = []
        try:
            for topic_key, announcement in _newest_first(self._new):
                if self._allowed < 1 or not proceed():
                    break
                self._allowed -= 1
                del self._new[topic_key]
                if self._send_to_all(announcement):
                    done.append(announcement)
            for box in self._boxes:
                for topic_key, announcement in _newest_first(box.waiting, last=box.refused):
                    if self._steady() < box.paused_until_s or self._allowed < 1 or not proceed():
                        break
                    self._allowed -= 1
                    if self._offer(box, announcement) is not None and not self._is_waiting(topic_key):
                        done.append(announcement)
        finally:
            self._record(done)

    def _send_to_all(self, announcement: Announcement) -> bool:
        """Send to every sink; return whether all have it."""
        sent_before = False
        for box in self._boxes:
            if sent_before and not box.sink.repeatable:
                continue
            if self._steady() < box.paused_until_s:
                box.waiting[announcement.topic_key] = announcement
            else:
                sent_before |= self._offer(box, announcement) is False
        return not self._is_waiting(announcement.topic_key)

    def _is_waiting(self, topic_key: _TopicKey) -> bool:
        return topic_key in self._new or any(topic_key in box.waiting for box in self._boxes)

    def _offer(self, box: _Outbox, announcement: Announcement) -> bool | None:
        """Offer an announcement to a sink; None: the sink failed, and it waits, behind all others."""
        topic_key = announcement.topic_key
        box.waiting.pop(topic_key, None)
        box.refused.discard(topic_key)
        try:
            new = box.sink.send(announcement)
        except PodlabError as error:
            box.waiting[topic_key] = announcement
            box.refused.add(topic_key)
            box.paused_until_s = self._steady() + box.pause_s
            box.pause_s = min(2 * box.pause_s, _LONGEST_PAUSE_S)
            log.warning("the sink %s fails, and will be tried again: %s", box.sink.name, error)
            self._failed(f"sink {box.sink.name}", error)
            return None
        box.pause_s = _PAUSE_S
        return new

    def _record(self, done: Sequence[Announcement]) -> None:
        records: dict[str, DecisionRecord] = {}
        for announcement in done:
            key = announcement.container.key
            record = announcement.record(records.get(key) or self._store.get(key))
            if record is not None:
                records[key] = record
        try:
            self._store.record(records.values())
        except PodlabError as error:
            log.warning("announcements are remembered only until a restart: %s", error)
            self._failed("state", error)


def _newest_first(
    waiting: dict[_TopicKey, Announcement], *, last: Collection[_TopicKey] = ()
) -> list[tuple[_TopicKey, Announcement]]:
    """Order announcements by their container's start; those in ``last`` come last, in the order of arrival."""
    first = [item for item in waiting.items() if item[0] not in last]
    first.sort(key=lambda item: item[1].container.started_at, reverse=True)
    return first + [item for item in waiting.items() if item[0] in last]
