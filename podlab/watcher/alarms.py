"""When scores become an alarm, and which alarms of a container are announced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

import msgspec
import numpy as np

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.data.workloads import workload_of
from podlab.detect.library import SAME_ALARM_S
from podlab.detect.scoring import ContributingSignal, StepScores, contributing_signals
from podlab.watcher.containers import DecisionRecord, TrackedContainer, describe, to_iso
from podlab.watcher.notify import Announcement, Kind

#: Alarms of a container that come sooner after the last announced one are counted and not announced.
QUIET_S: Final = 600.0
USUAL_AGAIN: Final = "usual again"
MODEL_REPLACED: Final = "the model was replaced"
NO_SAMPLES: Final = "no samples come any more"
#: A score above the threshold for this long is an alarm; with samples each 10 s it takes three.
#: ``python -m benchmarks.alarms`` shows what less and more finds: compared with none, a quarter to two fifths of the
#: false alarms, and nine tenths of the faults.
RAISED_AFTER_S: Final = 20.0


@dataclass(slots=True, eq=False)
class ActiveAlarm:
    """A span in which a container is anomalous; times are those of samples, in seconds since 1970."""

    since_s: float  # its first anomalous sample
    last_s: float  # the last one so far
    #: Of the most anomalous sample so far, as in :class:`podlab.detect.scoring.StepScores`.
    score: float = 0.0
    rarity: float = 0.0
    signals: tuple[ContributingSignal, ...] = ()  # what contributed to that score
    #: When it was announced; None: it is not, because another one was shortly before.
    announced_s: float | None = None
    replicas: int = 1  # in how many of the workload's replicas it was anomalous then

    def to_json(self) -> dict[str, object]:
        """Describe it as JSON values."""
        return {
            "since": to_iso(self.since_s), "score": round(self.score, 6),
            "drivers": [signal.to_json() for signal in self.signals],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """What a sample changed about an alarm."""

    slot: int  # of the container
    alarm: ActiveAlarm  # which is raised, continues, or is over
    time_s: float  # time of the sample
    over: bool


class Alarms:
    """The alarms of containers by their slots.

    Parameters
    ----------
    size : int
        Number of containers.
    raised_after_s : float
        How long a score must stay above the threshold.
    """

    def __init__(self, size: int, *, raised_after_s: float = RAISED_AFTER_S) -> None:
        self.standing: dict[int, ActiveAlarm] = {}  # by slot
        self._raised_after_s = raised_after_s
        self._above_since_s = np.full(size, np.nan)
        self._stands = np.zeros(size, dtype=bool)

    def resize(self, size: int) -> None:
        """Make room for more containers."""
        more = size - self._stands.size
        self._above_since_s = np.append(self._above_since_s, np.full(more, np.nan))
        self._stands = np.append(self._stands, np.zeros(more, dtype=bool))

    def forget(self, which: IntArray) -> None:
        """Reset some slots, which other containers take."""
        for slot in which.tolist():
            self.standing.pop(slot, None)
        self._above_since_s[which], self._stands[which] = np.nan, False

    def restore(self, slot: int, since_s: float) -> None:
        """Let an alarm stand that was announced before a restart."""
        self.standing[slot] = ActiveAlarm(since_s, since_s, announced_s=since_s)
        self._stands[slot] = True

    def step(
        self, which: IntArray, time_s: FloatArray, scores: StepScores, may_rise: BoolArray
    ) -> Iterator[AlarmChange]:
        """Take the scores of one sample of each of some containers.

        Parameters
        ----------
        which : array of int64 (n,)
            Their slots, none twice.
        time_s : array of float64 (n,)
            Times of the samples.
        may_rise : array of bool (n,)
            Whether there may be a new alarm.

        Yields
        ------
        AlarmChange
            For each alarm that is raised or stands.
        """
        stood = self._stands[which]
        above = scores.anomaly & may_rise & ~stood
        since_s = self._above_since_s[which]
        since_s = np.where(above, np.where(np.isnan(since_s), time_s, since_s), np.nan)
        self._above_since_s[which] = since_s
        with np.errstate(invalid="ignore"):
            raised = above & (time_s - since_s >= self._raised_after_s)
        for row in np.flatnonzero(stood | raised).tolist():
            slot, at_s = int(which[row]), float(time_s[row])
            if raised[row]:
                self.standing[slot] = ActiveAlarm(float(since_s[row]), at_s)
                self._stands[slot] = True
            alarm = self.standing[slot]
            if scores.anomaly[row]:
                alarm.last_s = max(alarm.last_s, at_s)
                if scores.rarity[row] > alarm.rarity:
                    alarm.score, alarm.rarity = float(scores.score[row]), float(scores.rarity[row])
                    alarm.signals = contributing_signals(scores, row)
            over = at_s - alarm.last_s > SAME_ALARM_S
            if over:
                self.forget(which[row : row + 1])
            yield AlarmChange(slot, alarm, at_s, over)


def replicas_of(tracked: TrackedContainer) -> tuple[str, str, str]:
    """Identify the replicas of a container: namespace, workload and container."""
    view = tracked.view
    return view.namespace, view.workload or workload_of(view.pod), view.container


class AlarmThrottle:
    """Collects the announcements of alarms' beginnings and ends, of each workload one alarm in a while.

    Alarms of several replicas are one announcement, of the replica whose alarm came first. Another one is announced
    when that alarm is over and some time has passed. ``steady`` is a clock that never goes back, in seconds.
    """

    def __init__(self, cluster: str, steady: Callable[[], float]) -> None:
        self._cluster = cluster
        self._steady = steady
        self._new: list[Announcement] = []
        self._due: dict[int, tuple[TrackedContainer, ActiveAlarm, float]] = {}  # by the container's number
        # The last one of some replicas, the time of the day that it is of, and when it was announced.
        self._announced: dict[tuple[str, str, str], tuple[ActiveAlarm, float, float]] = {}

    def take(self, standing: Mapping[int, ActiveAlarm], at: Mapping[int, TrackedContainer]) -> list[Announcement]:
        """Return the announcements since the last call, given the alarms that stand and the containers, by slot."""
        number, steady_s = Counter(replicas_of(at[slot]) for slot in standing), self._steady()
        for tracked, alarm, at_s in self._due.values():
            replicas = replicas_of(tracked)
            last, last_s, _ = self._announced.get(replicas, (None, -inf, -inf))
            if at_s >= last_s + QUIET_S and not any(each is last for each in standing.values()):
                alarm.announced_s = tracked.alarm_announced_s = at_s
                alarm.replicas = number[replicas]
                self._announced[replicas] = alarm, at_s, steady_s
                self._announce(tracked, alarm, at_s, None)
                tracked.alarms_omitted = 0
        self._due.clear()
        self._announced = {
            key: each for key, each in self._announced.items() if number[key] or steady_s - each[2] < QUIET_S
        }
        new, self._new = self._new, []
        return new

    def note(self, tracked: TrackedContainer, change: AlarmChange) -> None:
        """Announce an alarm that is raised, stands or is over, if it is to be."""
        alarm = change.alarm
        if change.over:
            due = self._due.pop(tracked.number, None)
            if due and replicas_of(tracked) not in self._announced:  # it came and went between two announcements
                alarm.announced_s = tracked.alarm_announced_s = due[2]
            if alarm.announced_s is None:
                tracked.alarms_omitted += 1
            else:
                self.close(tracked, alarm, USUAL_AGAIN)
        elif alarm.announced_s is None:
            at_s = max(alarm.since_s, tracked.alarm_announced_s + QUIET_S)
            if change.time_s >= at_s:
                self._due[tracked.number] = tracked, alarm, at_s
        else:
            self._announced.setdefault(replicas_of(tracked), (alarm, alarm.announced_s, self._steady()))

    def close(self, tracked: TrackedContainer, alarm: ActiveAlarm, why: str) -> None:
        """Announce that an alarm is over, if its beginning was announced."""
        if alarm.announced_s is not None:
            self._announce(tracked, alarm, alarm.announced_s, why)

    def _announce(self, tracked: TrackedContainer, alarm: ActiveAlarm, announced_s: float, over: str | None) -> None:
        self._new.append(
            announce_alarm(
                tracked, alarm, cluster=self._cluster, decided_s=self._steady(), announced_s=announced_s, over=over
            )
        )


def announce_alarm(
    tracked: TrackedContainer, alarm: ActiveAlarm, *, cluster: str, decided_s: float, announced_s: float,
    over: str | None = None,
) -> Announcement:  # fmt: skip
    """Make the announcement of an alarm that is raised, or over if there is a reason why.

    A restarted watcher may find that the alarm begins with another sample. Two announced alarms are :data:`QUIET_S`
    apart, so the span of time that ``announced_s``, of the first announcement, falls into identifies it.
    """
    kind: Kind = "anomaly-over" if over else "anomalous"
    service = tracked.detectors_for.service if tracked.detectors_for else None
    since_s, until_s, score, signals = alarm.since_s, alarm.last_s, alarm.score, alarm.signals
    sources, replicas, omitted = tracked.source_detectors, alarm.replicas, tracked.alarms_omitted

    def details() -> dict[str, object]:
        return {
            **describe(tracked.view, cluster, tracked.started_at, None), "service": service,
            "donors": [[service, round(weight, 6)] for service, weight in sources],
            "since": to_iso(since_s), "until": to_iso(until_s), "score": round(score, 6),
            "drivers": [signal.to_json() for signal in signals], "replicas": replicas, "untold": omitted,
            "reason": over,
        }  # fmt: skip

    def record(before: DecisionRecord | None) -> DecisionRecord | None:
        # Nothing where the decision before it was not stored either.
        return before and msgspec.structs.replace(before, alarm_s=None if over else since_s)

    return Announcement(
        container=tracked, cluster=cluster, decided_s=decided_s, topic="anomaly", kind=kind,
        content=f"{kind} {announced_s // QUIET_S:.0f}", message=_say_alarm(tracked, alarm, service, over),
        service=service, at_s=until_s, details=details, record=record, measurement="podlab_anomaly",
        values={
            "kind": kind, "score": float(score), "lasted_s": float(until_s - since_s),
            "drivers": ", ".join(signal.signal for signal in signals), "untold": omitted,
        },
    )  # fmt: skip


def _say_alarm(tracked: TrackedContainer, alarm: ActiveAlarm, service: str | None, over: str | None) -> str:
    name, usual = tracked.view.container, f"usual for {service}" if service else "usual"
    since = datetime.fromtimestamp(alarm.since_s, UTC).strftime("%H:%M:%S")
    lasted = f"it was not for {alarm.last_s - alarm.since_s:.0f} s since {since} UTC"
    if over == USUAL_AGAIN:
        return f"{name} is as {usual} again; {lasted}"
    if over:
        return f"{name}: nobody knows whether it is as {usual}, since {over}; {lasted}"
    why = ": " + "; ".join(signal.text for signal in alarm.signals) if alarm.signals else ""
    more = f" ({tracked.alarms_omitted} more since the last announced one)" if tracked.alarms_omitted else ""
    where = f"{name} in {alarm.replicas} replicas" if alarm.replicas > 1 else name
    return f"{where} is not as {usual} since {since} UTC{why}{more}"
