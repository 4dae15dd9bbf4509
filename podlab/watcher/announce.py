"""Telling what is to be announced, to every sink once: what a sink could not take is offered to it again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, get_args

from podlab.errors import PodlabError
from podlab.watcher.announcement import Announcement, Topic

log = logging.getLogger(__name__)

_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0
#: Of what was not told for a while, so many seconds' worth is told at once.
_BURST_S = 10.0
#: Key of a container, and what is told of it.
_Place = tuple[str, Topic]


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
    waiting: dict[_Place, Announcement] = field(default_factory=dict)
    #: Of those that wait, the ones that it failed to take.
    refused: set[_Place] = field(default_factory=set)
    paused_until_s: float = float("-inf")
    pause_s: float = _PAUSE_S


class Announcer:
    """Offers each announcement to all sinks, in their order.

    A sink that cannot be repeated (a log line) is left out where one before it says that this was told before. A sink
    that fails is left alone for a while, and gets the last announcement of each container and topic then, the one that
    failed last of all; the others go on.

    Parameters
    ----------
    sinks : sequence of Sink
    record : callable
        Called with the announcements that all sinks have.
    failed : callable
        Called with a sink's name and its error.
    steady : callable
        A clock that never goes back, in seconds.
    per_s : float
        So many are told each second at most, and ten times as many at once after a pause.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        record: Callable[[list[Announcement]], None],
        failed: Callable[[str, PodlabError], None],
        steady: Callable[[], float],
        per_s: float = inf,
    ) -> None:
        self._boxes = [_Outbox(sink) for sink in sinks]
        self._new: dict[_Place, Announcement] = {}
        self._record = record
        self._failed = failed
        self._steady = steady
        self._per_s, self._allowed, self._counted_s = per_s, _BURST_S * per_s, steady()

    @property
    def waiting(self) -> int:
        """How many announcements some sink has not got yet."""
        return len(self._new.keys() | {key for box in self._boxes for key in box.waiting})

    def put(self, new: Announcement) -> None:
        """Take what is to be told; an older one of the same container and topic that nobody has got is dropped."""
        self._new[_place(new)] = new

    def forget(self, key: str) -> None:
        """Drop what waits of a container that is no more."""
        for topic in get_args(Topic):
            self._new.pop((key, topic), None)
            for box in self._boxes:
                box.waiting.pop((key, topic), None)
                box.refused.discard((key, topic))

    def leave_to_others(self, before_s: float) -> None:
        """Count what was decided before an instant as told by another watcher."""
        told = [announcement for announcement in self._new.values() if announcement.decided_s < before_s]
        for announcement in told:
            del self._new[_place(announcement)]
        self._record(told)

    def deliver(self, proceed: Callable[[], bool]) -> None:
        """Tell the sinks what waits, as many as may be and until ``proceed`` says no; the rest is for the next time.

        What started last comes first: a new pod does not wait behind all those that a watcher finds when it starts.
        """
        now_s = self._steady()
        passed_s, self._counted_s = min(now_s - self._counted_s, _BURST_S), now_s
        if passed_s > 0:
            self._allowed = min(_BURST_S * self._per_s, self._allowed + passed_s * self._per_s)
        done: list[Announcement] = []
        try:
            for place, announcement in _newest_first(self._new):
                if self._allowed < 1 or not proceed():
                    break
                self._allowed -= 1
                del self._new[place]
                if self._tell_all(announcement):
                    done.append(announcement)
            for box in self._boxes:
                for place, announcement in _newest_first(box.waiting, last=box.refused):
                    if self._steady() < box.paused_until_s or self._allowed < 1 or not proceed():
                        break
                    self._allowed -= 1
                    if self._offer(box, announcement) is not None and not self._is_waiting(place):
                        done.append(announcement)
        finally:
            self._record(done)

    def _tell_all(self, announcement: Announcement) -> bool:
        """Tell every sink; whether all have it."""
        told_before, place = False, _place(announcement)
        for box in self._boxes:
            if told_before and not box.sink.repeatable:
                continue
            if self._steady() < box.paused_until_s:
                box.waiting[place] = announcement
            else:
                told_before |= self._offer(box, announcement) is False
        return not self._is_waiting(place)

    def _is_waiting(self, place: _Place) -> bool:
        return place in self._new or any(place in box.waiting for box in self._boxes)

    def _offer(self, box: _Outbox, announcement: Announcement) -> bool | None:
        """Offer an announcement to a sink; None: it could not take it, and it waits, behind all others."""
        place = _place(announcement)
        box.waiting.pop(place, None)
        box.refused.discard(place)
        try:
            new = box.sink.tell(announcement)
        except PodlabError as error:
            box.waiting[place] = announcement
            box.refused.add(place)
            box.paused_until_s = self._steady() + box.pause_s
            box.pause_s = min(2 * box.pause_s, _LONGEST_PAUSE_S)
            self._failed(box.sink.name, error)
            return None
        box.pause_s = _PAUSE_S
        return new


def _place(announcement: Announcement) -> _Place:
    return announcement.key, announcement.topic


def _newest_first(
    waiting: dict[_Place, Announcement], *, last: Collection[_Place] = ()
) -> list[tuple[_Place, Announcement]]:
    """Order what waits by its container's start, and some of it last, in the order in which it came."""
    first = [item for item in waiting.items() if item[0] not in last]
    first.sort(key=lambda item: item[1].started_at, reverse=True)
    return first + [item for item in waiting.items() if item[0] in last]
