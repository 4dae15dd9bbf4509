"""Announcements of decisions and alarms, the notifier that sends each to every sink once, and the state store.

That keeps what was announced over a restart, so that nothing is announced twice: a file of JSON lines that is appended
to and compacted from time to time. A line that a kill or a full disk truncates loses nothing but itself.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import msgspec

from podlab.errors import InputError, PodlabError
from podlab.files import atomic_file, explain_os_error
from podlab.http import DECODE_ERRORS
from podlab.kubernetes.objects import WatchedContainer
from podlab.watcher.containers import DecisionRecord, TrackedContainer, describe, unpack_summary

log = logging.getLogger(__name__)

Kind = Literal["identified", "revised", "unknown", "no-metrics", "anomalous", "anomaly-over", "mismatch", "miner-like"]
Topic = Literal["decision", "anomaly", "claim", "miner"]

_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 60.0
#: After a while without announcements, this many seconds' worth is sent at once.
_BURST_S: Final = 10.0


#: Key of a container, and topic.
_TopicKey = tuple[str, Topic]


def _as_before(before: DecisionRecord | None) -> DecisionRecord | None:
    return before


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Announcement:
    """Something to announce of a container; a newer one of the same container and topic replaces it."""

    container: TrackedContainer
    cluster: str
    decided_s: float  # when it was decided, on the steady clock
    topic: Topic
    kind: Kind
    content: str  # identifies what it says of the container, whichever watcher says it
    message: str  # one sentence for people
    service: str | None  # the decided service; None: unknown
    at_s: float  # when it happened, in seconds since 1970
    details: Callable[[], dict[str, object]]  # gives the part of the log line's JSON object that only this kind has
    measurement: str  # in InfluxDB
    values: Mapping[str, float | int | str]  # the fields of its point there
    #: Turns what is stored of the container into what is stored from now on.
    record: Callable[[DecisionRecord | None], DecisionRecord | None] = _as_before

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
        return {"event": self.kind, "id": self.id, "message": self.message, **self.details()}


def announce_decision(
    container: TrackedContainer, decision: DecisionRecord, *, cluster: str, decided_s: float
) -> Announcement:
    """Make the announcement of a decision; an alarm that stands goes on standing."""
    kind: Kind = "no-metrics" if decision.reason == "unseen" else "unknown"
    if decision.revisions:
        kind = "revised"
    elif decision.service is not None:
        kind = "identified"

    def record(before: DecisionRecord | None) -> DecisionRecord | None:
        if before is None or before.alarm_s is None:
            return decision
        return msgspec.structs.replace(decision, alarm_s=before.alarm_s)

    return Announcement(
        container=container, cluster=cluster, decided_s=decided_s, topic="decision", kind=kind,
        content=f"{decision.revisions} {decision.service}", message=_say_decision(container.view, decision, kind),
        service=decision.service, at_s=decision.at_s, record=record, measurement="podlab_decision",
        details=lambda: describe(container.view, cluster, container.started_at, decision),
        values={
            "confidence": float(decision.confidence), "waited_s": float(decision.waited_s), "reason": decision.reason,
            "revisions": decision.revisions,
        },
    )  # fmt: skip


def _say_decision(view: WatchedContainer, decision: DecisionRecord, kind: Kind) -> str:
    name, prediction = view.container, decision.prediction
    if kind == "no-metrics":
        return f"{name}: no metrics came within {decision.waited_s:.0f} s, so it cannot be identified"
    like = ", ".join(service for service, _ in prediction.similar) if prediction else ""
    like = f"; most similar to {like}" if like else ""
    seen = f" after {prediction.seconds_observed:.0f} s of metrics" if prediction else ""
    if decision.service is None:
        why = "it resembles no known service" if decision.reason == "unlike" else "no service is probable enough"
        does = f"; it does this: {prediction.behaviour}" if prediction and prediction.behaviour else ""
        return f"{name}: unknown, {why}{seen}{like}{does}"
    again = "is now identified as" if kind == "revised" else "is"
    return f"{name} {again} {decision.service} (confidence {decision.confidence:.0%}{seen}{like})"


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


#: Lines of containers that are gone may stay in the file until it is compacted.
_SLACK: Final = 1000
#: The file never grows beyond this; some 90,000 containers. While it is compacted, the old one exists as well.
MOST_BYTES: Final = 48 * 2**20
#: Share of that after compacting, so that there is room for more lines before the next time.
_KEPT_SHARE: Final = 0.8


class StateStore:
    """The last announced decision on each container, in memory and in a file.

    Raises InputError if the file exists and cannot be read, or contains something else.

    Parameters
    ----------
    path : Path, optional
        The file; without one they are kept in memory only.
    most_bytes : int
        The file never grows beyond this: if not all containers fit, it holds the newest announcements, and the others
        may be announced again after a restart.
    """

    def __init__(self, path: Path | None, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._records: dict[str, DecisionRecord] = {}
        self._lines = self._bytes = 0
        self._left_out = 0
        self._behind = False
        if path is not None:
            self._read(path)

    @property
    def size(self) -> int:
        """Number of containers."""
        return len(self._records)

    def get(self, key: str) -> DecisionRecord | None:
        """Return what was announced of a container; None: nothing."""
        return self._records.get(key)

    def record(self, records: Iterable[DecisionRecord]) -> None:
        """Store announced decisions.

        Raises PodlabError if the file cannot be written; they are kept in memory, and the whole file is written the
        next time.
        """
        new = list(records)
        self._records |= {record.key: record for record in new}
        if self.path is None or not (new or self._behind):
            return
        lines = b"".join(_line(record) for record in new)
        too_many = self._lines > 2 * len(self._records) + _SLACK
        if self._behind or too_many or self._bytes + len(lines) > self._most_bytes:
            self._compact(self.path)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                _write_all(file.fileno(), lines)
        except OSError as error:
            self._behind = True
            raise explain_os_error(error, self.path) from error
        self._lines += len(new)
        self._bytes += len(lines)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop containers that are gone; the file follows when it is compacted."""
        for key in keys:
            self._records.pop(key, None)

    def keep(self, keys: Collection[str]) -> None:
        """Drop all containers except these."""
        self._records = {key: record for key, record in self._records.items() if key in keys}

    def _read(self, path: Path) -> None:
        broken, foreign = 0, False
        if path.exists() and not path.is_file():
            raise InputError("is not a file", where=str(path), hint="choose another watch_state")
        try:
            with path.open("rb") as file:
                for line in file:
                    self._lines += 1
                    self._bytes += len(line)
                    self._behind |= not line.endswith(b"\n")
                    try:
                        record = msgspec.json.decode(line, type=DecisionRecord)
                        unpack_summary(record.seen)
                    except DECODE_ERRORS:
                        broken += bool(line.strip())
                        foreign |= line.strip() != b"" and line.endswith(b"\n") and not line.startswith(b"{")
                        self._behind = True
                    else:
                        self._records[record.key] = record
        except FileNotFoundError:
            return
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise InputError(what, where=str(path), hint="choose another watch_state") from error
        if foreign and not self._records:  # it would be overwritten, which nobody asked for
            raise InputError("contains something else", where=str(path), hint="choose another watch_state")
        if broken:
            log.warning("%s: %d broken lines are left out", path, broken)

    def _compact(self, path: Path) -> None:
        kept: list[bytes] = []
        room = int(_KEPT_SHARE * self._most_bytes)
        for record in sorted(self._records.values(), key=lambda record: record.at_s, reverse=True):
            line = _line(record)
            if len(line) > room:
                break
            room -= len(line)
            kept.append(line)
        self._warn_left_out(path, len(self._records) - len(kept))
        kept.reverse()
        content = b"".join(kept)
        try:
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
        except PodlabError:
            self._behind = True
            raise
        self._lines, self._bytes, self._behind = len(kept), len(content), False

    def _warn_left_out(self, path: Path, count: int) -> None:
        """Warn when the file begins to be too small, not each time it is written."""
        if count and not self._left_out:
            log.warning(
                "%s: holds what was announced of the newest %d of %d containers, because it may not grow beyond "
                "%d MiB; the others may be announced again after a restart",
                path, len(self._records) - count, len(self._records), self._most_bytes // 2**20,
            )  # fmt: skip
        self._left_out = count


def _line(record: DecisionRecord) -> bytes:
    alarm_s = None if record.alarm_s is None else round(record.alarm_s, 3)
    rounded = msgspec.structs.replace(
        record, at_s=round(record.at_s, 3), waited_s=round(record.waited_s, 3), alarm_s=alarm_s
    )
    return msgspec.json.encode(rounded) + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    """Write everything, or raise; a full disk may take a part first."""
    while content:
        content = content[os.write(descriptor, content) :]
