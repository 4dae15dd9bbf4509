"""The join on time against a twin that tries every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.sources.time_join import NOTHING, changes, match_rows, nearest_rows, sampling_interval

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 20)), max_size=25)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def naive_nearest(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> list[int | None]:
    """Distance to the nearest row of the same group; of two, the earlier one's time."""
    found = []
    for group, time in left:
        candidates = [(abs(t - time), t) for g, t in right if g == group]
        found.append(min(candidates)[1] if candidates else None)
    return found


@given(left=ROWS, right=ROWS)
def test_nearest_agrees_with_trying_every_pair(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    index, distance = nearest_rows(*columns(left), *columns(right))
    times = [right[i][1] if i != NOTHING else None for i in index]
    assert times == naive_nearest(left, right)
    for (group, time), i, apart in zip(left, index, distance, strict=True):
        assert i == NOTHING or (right[i][0] == group and abs(right[i][1] - time) == apart)


@given(left=ROWS, right=ROWS, tolerance=st.integers(0, 10))
def test_each_row_is_used_once_by_the_closest(
    left: list[tuple[int, int]], right: list[tuple[int, int]], tolerance: int
) -> None:
    left, right = sorted(set(left)), sorted(set(right))
    group, time = columns(left)
    got = match_rows(group, time, *columns(right), tolerance=np.full(len(left), tolerance), user=group)
    takers: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (g, t), nearest in zip(left, naive_nearest(left, right), strict=True):
        if nearest is not None and abs(nearest - t) <= tolerance:
            takers.setdefault((g, nearest), []).append((abs(nearest - t), t))
    expected = {(key[0], min(times)[1]): key for key, times in takers.items()}
    assert {left[n]: right[i] for n, i in enumerate(got) if i != NOTHING} == expected


def test_several_users_may_share_a_row() -> None:
    pod, time = np.zeros(2, dtype=np.int64), np.array([10, 11])
    index = match_rows(pod, time, pod[:1], time[:1], tolerance=np.array([5, 5]), user=np.array([0, 1]))
    assert index.tolist() == [0, 0]


def test_interval_is_the_median_step_of_each_group() -> None:
    group = np.array([0, 0, 0, 0, 1, 1, 2])
    time = np.array([0, 10, 20, 90, 5, 65, 7])
    assert sampling_interval(group, time, default=1).tolist() == [10, 10, 10, 10, 60, 60, 35]


@pytest.mark.parametrize("count", [0, 1])
def test_interval_without_any_step_is_the_default(count: int) -> None:
    ones = np.zeros(count, dtype=np.int64)
    assert sampling_interval(ones, ones, default=7).tolist() == [7] * count


def test_of_an_even_number_of_steps_the_shorter_middle_one_counts_and_repeated_instants_are_no_step() -> None:
    zeros = np.zeros(5, dtype=np.int64)
    assert sampling_interval(zeros, np.array([40, 0, 10, 10, 30]), default=1).tolist() == [10] * 5
    two = np.array([0, 0, 0])
    assert sampling_interval(two, np.array([0, 10, 40]), default=1).tolist() == [10] * 3


def test_a_row_just_within_the_tolerance_is_matched() -> None:
    group = np.zeros(1, dtype=np.int64)
    for tolerance, found in ((5, 0), (4, NOTHING)):
        index = match_rows(
            group, np.array([10]), group, np.array([15]), tolerance=np.array([tolerance]), user=group
        )  # fmt: skip
        assert index.tolist() == [found]


def test_a_row_differs_from_the_one_before_by_any_column_in_any_direction() -> None:
    one, other = np.array([3, 1, 1, 2, 2]), np.array([0, 0, 0, 0, -1])
    assert changes(one, other).tolist() == [True, True, False, True, True]
