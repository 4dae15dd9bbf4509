"""Which alarms of a container are told, and which are only counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from podlab.watcher.alarms import Alarm, Change
from podlab.watcher.anomaly import QUIET_S, USUAL_AGAIN, AnomalyAnnouncement
from podlab.watcher.cases import Case, Verdict

#: A time before all others, in nanoseconds since 1970.
NEVER: Final = int(np.iinfo(np.int64).min)


@dataclass(slots=True, eq=False)
class Watched:
    """A container that is scored.

    Attributes
    ----------
    case : Case
    place : int
        Its number in the scorer; another one's when it is gone.
    scored_ns : int
        Time of its last scored sample, since 1970.
    is_scored : bool
        Whether the detectors in use scored one.
    verdict : Verdict or None
        The decision that its donors follow from.
    donors : tuple of (str, float)
        None: the pooled detector.
    told_s : float
        When an alarm of it was told last, by the time of samples.
    untold : int
        How many were left out since.
    """

    case: Case
    place: int
    scored_ns: int = NEVER
    is_scored: bool = False
    verdict: Verdict | None = None
    donors: tuple[tuple[str, float], ...] = ()
    told_s: float = float("-inf")
    untold: int = 0


class Bulletin:
    """Collects what is to be announced: an alarm's beginning and end, and of one container one alarm in a while.

    Parameters
    ----------
    cluster : str
        This cluster's name.
    steady : callable
        A clock that never goes back, in seconds.
    """

    def __init__(self, cluster: str, steady: Callable[[], float]) -> None:
        self._cluster = cluster
        self._steady = steady
        self._news: list[AnomalyAnnouncement] = []

    def take(self) -> list[AnomalyAnnouncement]:
        """Give what is to be announced since the last time."""
        told, self._news = self._news, []
        return told

    def note(self, watched: Watched, change: Change) -> None:
        """Have told what is to be told of an alarm that is raised, stands or is over."""
        alarm = change.alarm
        if change.over:
            if alarm.told_s is None:
                watched.untold += 1
            else:
                self.over(watched, alarm, USUAL_AGAIN)
        elif alarm.told_s is None:
            at_s = max(alarm.since_s, watched.told_s + QUIET_S)
            if change.time_s >= at_s:
                alarm.told_s = watched.told_s = at_s
                self._news.append(self._announce(watched, alarm, None))
                watched.untold = 0

    def over(self, watched: Watched, alarm: Alarm, why: str) -> None:
        """Have told that an alarm is over, where it was told that it began."""
        if alarm.told_s is not None:
            self._news.append(self._announce(watched, alarm, why))

    def _announce(self, watched: Watched, alarm: Alarm, over: str | None) -> AnomalyAnnouncement:
        case = watched.case
        assert alarm.told_s is not None
        return AnomalyAnnouncement(
            case.key, case.container, case.started_at, self._cluster, self._steady(),
            of_service=watched.verdict.service if watched.verdict else None, donors=watched.donors,
            since_s=alarm.since_s, until_s=alarm.last_s, told_s=alarm.told_s, score=alarm.score,
            drivers=alarm.drivers, untold=watched.untold, over=over,
        )  # fmt: skip
