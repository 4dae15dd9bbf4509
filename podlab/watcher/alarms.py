"""When a score is an alarm: above the threshold for a while, and over when it was below for a while."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from podlab.detect.library import SAME_ALARM_S
from podlab.detect.scoring import ContributingSignal, StepScores, contributing_signals

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: A score that is above the threshold in all samples for so long is an alarm; of samples each 10 s it takes three.
#: ``python -m benchmarks.alarms`` tells what less and more finds: beside none a quarter to two fifths of the false
#: alarms, and nine tenths of the faults.
RAISED_AFTER_S = 20.0


@dataclass(slots=True, eq=False)
class Alarm:
    """A stretch in which a container is anomalous; times are those of samples, in seconds since 1970.

    Attributes
    ----------
    since_s : float
        Its first anomalous sample.
    last_s : float
        The last one so far.
    score, rarity : float
        Of the strangest sample so far, as :class:`podlab.detect.scoring.StepScores` has them.
    drivers : tuple of ContributingSignal
        What drove the score then.
    told_s : float or None
        When it was told; None: it is not told, since another one was shortly before.
    """

    since_s: float
    last_s: float
    score: float = 0.0
    rarity: float = 0.0
    drivers: tuple[ContributingSignal, ...] = ()
    told_s: float | None = None

    def to_json(self) -> dict[str, object]:
        """Give what is known of it as JSON values."""
        return {
            "since": datetime.fromtimestamp(self.since_s, UTC).isoformat(timespec="milliseconds"),
            "score": round(self.score, 6),
            "drivers": [driver.to_json() for driver in self.drivers],
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a sample changed.

    Attributes
    ----------
    place : int
        Number of the container.
    alarm : Alarm
        Which is raised, goes on, or is over.
    time_s : float
        Time of the sample.
    over : bool
    """

    place: int
    alarm: Alarm
    time_s: float
    over: bool


class Alarms:
    """The alarms of containers by their numbers.

    Parameters
    ----------
    size : int
        How many containers there are.
    raised_after_s : float
        How long a score must stay above the threshold.

    Attributes
    ----------
    standing : dict of int to Alarm
        By number of the container.
    """

    def __init__(self, size: int, *, raised_after_s: float = RAISED_AFTER_S) -> None:
        self.standing: dict[int, Alarm] = {}
        self._raised_after_s = raised_after_s
        self._above_since_s = np.full(size, np.nan)
        self._stands = np.zeros(size, dtype=bool)

    def resize(self, size: int) -> None:
        """Make room for more containers."""
        more = size - self._stands.size
        self._above_since_s = np.append(self._above_since_s, np.full(more, np.nan))
        self._stands = np.append(self._stands, np.zeros(more, dtype=bool))

    def forget(self, which: IntArray) -> None:
        """Begin anew with some containers, whose places others take."""
        for place in which.tolist():
            self.standing.pop(place, None)
        self._above_since_s[which], self._stands[which] = np.nan, False

    def restore(self, place: int, since_s: float) -> None:
        """Let an alarm stand that was told before a restart."""
        self.standing[place] = Alarm(since_s, since_s, told_s=since_s)
        self._stands[place] = True

    def step(self, which: IntArray, time_s: FloatArray, said: StepScores, may_rise: BoolArray) -> Iterator[Change]:
        """Take the scores of one sample of each of some containers.

        Parameters
        ----------
        which : array of int64 (n,)
            Their numbers, none twice.
        time_s : array of float64 (n,)
            Times of the samples.
        said : StepScores
        may_rise : array of bool (n,)
            Whether there may be a new alarm.

        Yields
        ------
        Change
            For each alarm that is raised or stands.
        """
        stood = self._stands[which]
        above = said.anomaly & may_rise & ~stood
        since_s = self._above_since_s[which]
        since_s = np.where(above, np.where(np.isnan(since_s), time_s, since_s), np.nan)
        self._above_since_s[which] = since_s
        with np.errstate(invalid="ignore"):
            raised = above & (time_s - since_s >= self._raised_after_s)
        for row in np.flatnonzero(stood | raised).tolist():
            place, at_s = int(which[row]), float(time_s[row])
            if raised[row]:
                self.standing[place] = Alarm(float(since_s[row]), at_s)
                self._stands[place] = True
            alarm = self.standing[place]
            if said.anomaly[row]:
                alarm.last_s = max(alarm.last_s, at_s)
                if said.rarity[row] > alarm.rarity:
                    alarm.score, alarm.rarity = float(said.score[row]), float(said.rarity[row])
                    alarm.drivers = contributing_signals(said.deviations[row])
            over = at_s - alarm.last_s > SAME_ALARM_S
            if over:
                self.forget(which[row : row + 1])
            yield Change(place, alarm, at_s, over)
