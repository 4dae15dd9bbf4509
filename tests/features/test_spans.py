"""When containers were seen: births, intervals, and how long the rows looked at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from podlab.features.rows import ObservationSpans

NEVER = np.nan


def spans(first_s: Sequence[float], last_s: Sequence[float], rows: Sequence[int]) -> ObservationSpans:
    return ObservationSpans(np.array(rows), np.array(first_s, dtype=np.float64), np.array(last_s, dtype=np.float64))


@pytest.mark.parametrize(
    ("first_s", "interval_s", "seen"),
    [(0.0, 1.0, True), (10.0, 1.0, True), (10.1, 1.0, False), (30.0, 20.0, True), (30.1, 20.0, False)],
)
def test_a_birth_was_seen_within_ten_seconds_or_one_and_a_half_intervals(first_s: float, interval_s: float, seen: bool):
    assert spans([first_s], [first_s + 4 * interval_s], [5]).start_observed.tolist() == [seen]


def test_a_lone_row_shows_a_birth_in_the_first_ten_seconds_only():
    assert spans([9.0, 11.0], [9.0, 11.0], [1, 1]).start_observed.tolist() == [True, False]


def test_the_interval_is_the_mean_time_between_rows():
    found = spans([2.0, 5.0, NEVER], [12.0, 5.0, NEVER], [6, 1, 0])
    assert found.interval_s.tolist() == [2.0, 0.0, 0.0]
    assert found.until_s.tolist() == [14.0, 5.0, 0.0]


def test_the_typical_interval_is_that_of_the_median_container_with_two_rows():
    found = spans([0.0, 0.0, 0.0, 0.0], [10.0, 20.0, 90.0, 0.0], [11, 11, 10, 1])
    assert found.typical_interval_s == 2.0
    assert spans([0.0, NEVER], [0.0, NEVER], [1, 0]).typical_interval_s == 0.0


def test_it_was_looked_at_from_its_start_where_that_was_seen_and_else_from_the_first_row():
    found = spans([3.0, 100.0, NEVER, -5.0], [20.0, 130.0, NEVER, -2.0], [18, 31, 0, 4])
    assert found.observed_s.tolist() == [20.0, 30.0, 0.0, 0.0]
