"""What is strange for a moment is no alarm, and an alarm is over when nothing was strange for half a minute."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.detect import SIGNALS, StepScores
from podlab.detect.signals import ObservedSignals
from podlab.watcher.alarms import AlarmChange, Alarms

NOTHING = ObservedSignals(*(np.zeros((1, len(SIGNALS))) for _ in range(4)))
UNKNOWN = np.full((1, len(SIGNALS)), np.nan)


def step(alarms: Alarms, time_s: float, rarity: float, *, place: int = 0, may_rise: bool = True) -> list[AlarmChange]:
    far = np.zeros((1, 2 * len(SIGNALS)))
    far[0, 0] = 3.0 * rarity
    said = StepScores(np.array([1 - 10.0**-rarity]), np.array([rarity]), np.array([rarity > 1]), far, NOTHING, UNKNOWN)
    return list(alarms.step(np.array([place]), np.array([time_s]), said, np.array([may_rise])))


def told(alarms: Alarms, rarities: list[float], *, interval_s: float) -> list[tuple[float, bool]]:
    """Play samples; when an alarm was raised and over."""
    found: list[tuple[float, bool]] = []
    for number, rarity in enumerate(rarities):
        stood = 0 in alarms.standing
        for change in step(alarms, number * interval_s, rarity):
            if change.over or not stood:
                found.append((change.time_s, change.over))
    return found


@pytest.mark.parametrize(("interval_s", "above"), [(1.0, 20), (5.0, 4), (10.0, 2)])
def test_less_than_twenty_seconds_are_no_alarm(interval_s: float, above: int) -> None:
    rarities = [0.0] * 5 + [2.0] * above + [0.0] * 60
    assert told(Alarms(1), rarities, interval_s=interval_s) == []
    assert told(Alarms(1), [0.5, *[2.0] * (above + 1)], interval_s=interval_s) == [((above + 1) * interval_s, False)]


def test_short_pauses_do_not_end_an_alarm_and_long_ones_do() -> None:
    rarities = [2.0] * 25 + [0.0] * 25 + [2.0] + [0.0] * 40
    assert told(Alarms(1), rarities, interval_s=1.0) == [(20.0, False), (81.0, True)]


def test_an_alarm_is_what_its_strangest_sample_was() -> None:
    alarms = Alarms(1)
    for at_s, rarity in ((0.0, 1.1), (10.0, 4.0), (20.0, 2.0), (30.0, 3.0)):
        changes = step(alarms, at_s, rarity)
    [change] = changes
    assert (change.alarm.since_s, change.alarm.last_s, change.alarm.rarity) == (0.0, 30.0, 3.0)
    [driver] = change.alarm.signals
    assert (driver.signal, driver.deviation) == (SIGNALS[0], pytest.approx(9.0))
    assert (driver.now, driver.before) == (0.0, 0.0)


def test_none_is_raised_where_none_may_be() -> None:
    alarms = Alarms(1)
    assert [change for at_s in range(60) for change in step(alarms, float(at_s), 5.0, may_rise=False)] == []
    assert [change for at_s in range(60, 80) for change in step(alarms, float(at_s), 5.0)] == []
    assert len(step(alarms, 80.0, 5.0)) == 1


def test_one_that_stood_before_a_restart_is_not_over_because_of_what_was_before_it() -> None:
    alarms = Alarms(1)
    alarms.restore(0, 1000.0)
    assert not any(change.over for at_s in range(400, 1030) for change in step(alarms, float(at_s), 0.0))
    assert step(alarms, 1031.0, 0.0)[0].over
    assert alarms.standing == {}


def test_places_do_not_mix_and_begin_anew() -> None:
    alarms = Alarms(1)
    alarms.resize(3)
    for at_s in range(25):
        for place in range(3):
            step(alarms, float(at_s), 2.0 if place == 1 else 0.0, place=place)
    assert list(alarms.standing) == [1]
    alarms.forget(np.array([1]))
    assert alarms.standing == {}
    assert step(alarms, 25.0, 2.0, place=1) == []
