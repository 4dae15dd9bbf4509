"""How judgements are put together: smoothing, the two judgements' weights, the threshold, and what was watched."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.detect.detector import TrainingRows, smooth, weigh
from podlab.detect.library import alarm_peaks, choose_threshold, count_alarms
from podlab.detect.signals import SIGNALS, ObservedSignals


def observed(learned_s: list[float]) -> ObservedSignals:
    shape = (len(learned_s), len(SIGNALS))
    learned = np.zeros(shape)
    learned[:, 0] = learned_s
    return ObservedSignals(np.zeros(shape), np.zeros(shape), np.zeros(shape), learned)


def rows(age_s: np.ndarray, container: np.ndarray) -> TrainingRows:
    return TrainingRows(observed([0.0] * age_s.size), age_s, container, container)


def test_a_jump_is_believed_by_two_thirds_after_six_seconds() -> None:
    values = np.array([0.0, 1.0, 1.0, 0.0])
    smoothed = smooth(values, np.array([0.0, 6.0, 12.0, 12.0]), np.zeros(4, dtype=np.int64))
    assert smoothed == pytest.approx([0, 1 - np.exp(-1), 1 - np.exp(-2), 1 - np.exp(-2)])


def test_smoothing_begins_anew_with_each_container_and_a_step_back_in_time_adds_nothing() -> None:
    smoothed = smooth(np.array([8.0, 2.0, 5.0]), np.array([100.0, 0.0, -1.0]), np.array([0, 1, 1]))
    assert smoothed.tolist() == [8.0, 2.0, 2.0]


def test_the_service_counts_half_at_first_and_ever_less_as_the_own_usual_is_known() -> None:
    weighed = weigh(np.ones(4), np.zeros(4), observed([0.0, 30.0, 90.0, 3000.0]))
    assert weighed == pytest.approx([0.5, 0.25, 0.05, 0.0], abs=1e-4)
    assert weigh(np.zeros(1), np.ones(1), observed([30.0])) == pytest.approx([0.75])


def test_watched_is_the_time_between_rows_of_one_container_gaps_counting_a_minute_at_most() -> None:
    watched = rows(np.array([0.0, 10.0, 500.0, 3.0, 5.0]), np.array([0, 0, 0, 1, 1]))
    assert watched.watched_s == 10 + 60 + 2


def test_alarms_half_a_minute_apart_are_one_and_those_farther_apart_two() -> None:
    strange, container = np.ones(2, dtype=bool), np.zeros(2, dtype=np.int64)
    assert [count_alarms(strange, np.array([0.0, gap_s]), container) for gap_s in (30.0, 30.1)] == [1, 2]


def normal(peaks: list[float], *, at_s: float, until_s: float = 200.0) -> tuple[np.ndarray, TrainingRows]:
    """Containers that are calm but for one moment of this rarity each."""
    age_s = np.arange(0.0, until_s, 10.0)
    rarity = np.full((len(peaks), age_s.size), 0.5)
    rarity[:, int(at_s // 10)] = peaks
    number = np.arange(len(peaks))
    return rarity.reshape(-1), rows(np.tile(age_s, len(peaks)), np.repeat(number, age_s.size))


def test_so_many_starts_and_days_may_alarm_where_enough_was_recorded() -> None:
    peaks = (1.0 + np.arange(1000) / 100).tolist()  # 1 to 10.99
    assert choose_threshold([normal(peaks, at_s=50.0)]) == pytest.approx(10.8, abs=0.1)
    late = normal(peaks, at_s=70.0, until_s=8_700.0)  # 100 days
    assert choose_threshold([late], 2.0) == pytest.approx(9.0, abs=0.1)
    half, other = normal(peaks[::2], at_s=50.0), normal(peaks[1::2], at_s=50.0)
    assert choose_threshold([half, other]) == pytest.approx(10.8, abs=0.1), "over all services"


def test_where_less_was_recorded_the_threshold_lies_beyond_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    peaks = 2.0 + rng.exponential(0.5, 100)  # one such peak in 130 s, so 665 times as many as one a day
    rare, where = normal(peaks.tolist(), at_s=100.0)
    found = choose_threshold([(rare, where)])
    assert found == pytest.approx(2.0 + 0.5 * np.log(665), abs=1.0)
    assert choose_threshold([(rare, where)], 100.0) < found - 1.0
    assert choose_threshold([(rare, where)], 0.01) > peaks.max()


def test_the_threshold_is_one_in_ten_at_least_and_one_in_a_trillion_at_most() -> None:
    assert choose_threshold([normal([0.6] * 10, at_s=50.0)]) == 1.0
    assert choose_threshold([normal([20.0] * 10, at_s=50.0)]) == 12.0


def test_the_peaks_of_alarms_are_their_highest_scores() -> None:
    score = np.array([3.0, 5.0, 1.0, 4.0, 6.0])
    time_s, container = np.array([0.0, 10.0, 20.0, 60.0, 5.0]), np.array([0, 0, 0, 0, 1])
    assert alarm_peaks(score, time_s, container, 2.0).tolist() == [5.0, 4.0, 6.0]
    assert alarm_peaks(score, time_s, container, 9.0).tolist() == []
