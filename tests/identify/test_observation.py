"""Which observation windows there are follows from what the training containers show."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.features.rows import ObservationSpans
from podlab.identify.observation import ObservationWindow, choose_windows, covered_horizons, segment_starts


def spans(last_s: list[float], *, first_s: float = 0.0, interval_s: float = 1.0) -> ObservationSpans:
    """Containers seen from one moment to another each, at even intervals."""
    last = np.array(last_s)
    return ObservationSpans(np.rint((last - first_s) / interval_s + 1).astype(int), np.full(last.size, first_s), last)


def startup(seen: ObservationSpans, horizons_s: list[float] | None = None) -> list[float]:
    return [window.length_s for window in choose_windows(seen, horizons_s) if window.kind == "startup"]


def segments(seen: ObservationSpans) -> list[float]:
    return [window.length_s for window in choose_windows(seen, None) if window.kind == "steady"]


@pytest.mark.parametrize(
    ("until_s", "horizons_s"),
    [(56, [10, 30]), (58, [10, 30, 60]), (114, [10, 30, 60]), (115, [10, 30, 60, 120]),
     (1720, [10, 30, 60, 120, 300, 600, 1800])],
)  # fmt: skip
def test_a_horizon_is_used_that_half_the_containers_nearly_reach(until_s: float, horizons_s: list[float]) -> None:
    assert startup(spans([until_s - 1.0] * 2 + [5.0, 9000.0])) == horizons_s


@pytest.mark.parametrize(("interval_s", "shortest_s"), [(5.0, 10.0), (5.2, 10.0), (5.4, 30.0), (15.0, 30.0)])
def test_a_horizon_holds_two_samples(interval_s: float, shortest_s: float) -> None:
    assert startup(spans([20 * interval_s], interval_s=interval_s))[0] == shortest_s


def test_where_containers_live_for_less_than_any_horizon_their_whole_life_is_looked_at() -> None:
    assert startup(spans([6.0, 6.0, 6.0])) == [7.0]
    assert startup(spans([0.2], interval_s=0.1)) == [1.0]


def test_lives_twice_as_long_as_the_longest_horizon_below_half_an_hour_are_seen_whole_as_well() -> None:
    assert startup(spans([1199.0]))[-2:] == [600.0, 1200.0]
    assert startup(spans([1130.0]))[-1] == 600.0
    assert startup(spans([9000.0]))[-1] == 1800.0, "half an hour tells enough"


def test_horizons_asked_for_are_used_in_order_if_half_the_containers_show_a_sample_by_then() -> None:
    assert startup(spans([100.0]), [45.0, 20.0, 45.0]) == [20.0, 45.0]
    late = spans([100.0, 100.0, 100.0], first_s=8.0)
    assert covered_horizons(late, [8.0, 8.5, 60.0]) == [8.5, 60.0]
    assert covered_horizons(spans([400.0], first_s=300.0), [600.0]) == [], "no birth was seen"


@pytest.mark.parametrize(
    ("until_s", "interval_s", "lengths_s"),
    [(87, 1.0, []), (89, 1.0, [60]), (440, 1.0, [60]), (442, 1.0, [60, 300]), (2700, 1.0, [60, 300, 1800]),
     (400, 20.0, [60]), (500, 21.0, [300]), (500, 100.0, [300])],
)  # fmt: skip
def test_steady_state_segments_begin_half_their_length_after_the_start_and_hold_three_samples(
    until_s: float, interval_s: float, lengths_s: list[float]
) -> None:
    assert segments(spans([until_s - interval_s], interval_s=interval_s)) == lengths_s


def test_a_longer_segment_is_used_where_half_of_the_containers_show_it() -> None:
    assert segments(spans([500.0, 500.0, 100.0, 100.0])) == [60.0, 300.0]
    assert segments(spans([500.0, 100.0, 100.0])) == [60.0]


def test_segments_overlap_by_half_and_there_are_three_at_most() -> None:
    begins = segment_starts(spans([119.0, 300.0, 50.0]), 60.0)
    assert [begin.tolist()[:2] for begin in begins[:1]] == [[30.0, 30.0]]
    assert begins[1].tolist()[:2] == [60.0, 60.0]
    assert np.isnan(begins[2][0])
    assert begins[2][1] == 90.0
    assert len(begins) == 3
    assert all(np.isnan(begin[2]) for begin in begins)


def test_where_the_start_was_not_observed_segments_begin_at_the_first_row() -> None:
    assert segment_starts(spans([200.0], first_s=100.0), 60.0)[0].tolist() == [100.0]


def test_of_short_pieces_of_mid_life_all_that_was_seen_is_looked_at() -> None:
    assert choose_windows(spans([120.0, 120.0], first_s=100.0), None) == (ObservationWindow("steady", 21.0),)
    assert choose_windows(spans([100.2], first_s=100.0, interval_s=0.1), None) == (ObservationWindow("steady", 1.0),)


def test_a_look_is_named_by_its_kind_and_length() -> None:
    assert [ObservationWindow("startup", 10.0).name, ObservationWindow("steady", 0.5).name] == [
        "birth10s",
        "midlife0.5s",
    ]
