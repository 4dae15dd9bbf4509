"""Pauses grow with failures in a row, and only a watch that lasted ends the row."""

from __future__ import annotations

import pytest

from podlab.kubernetes.informer import LONGEST_PAUSE_S, SETTLED_S, Backoff


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_pauses_grow_up_to_the_longest(clock: Clock) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    pauses = [backoff.pause_s(failed=True) for _ in range(2000)]
    assert pauses[:8] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
    assert set(pauses[8:]) == {LONGEST_PAUSE_S}


def test_chance_lengthens_a_pause_by_up_to_a_half(clock: Clock) -> None:
    assert Backoff(clock, lambda: 0.5).pause_s(failed=True) == pytest.approx(1.0)
    assert Backoff(clock, lambda: 0.999).pause_s(failed=True) < 1.2


@pytest.mark.parametrize(("lasted_s", "pauses"), [(SETTLED_S - 1, [1.6, 3.2]), (SETTLED_S, [0.8, 1.6])])
def test_only_a_watch_that_lasted_counts_as_success(clock: Clock, lasted_s: float, pauses: list[float]) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    backoff.pause_s(failed=True)
    backoff.opened()
    clock.now_s += lasted_s
    assert [backoff.pause_s(failed=True) for _ in range(2)] == pauses


def test_one_that_ended_in_time_is_followed_by_the_next_at_once(clock: Clock) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    backoff.opened()
    clock.now_s += 60
    assert backoff.pause_s(failed=False) == 0
    assert backoff.pause_s(failed=False) == 0.8


def test_a_watch_counts_once(clock: Clock) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    backoff.opened()
    clock.now_s += 60
    assert [backoff.pause_s(failed=True) for _ in range(3)] == [0.8, 1.6, 3.2]


def test_what_the_server_asks_for_is_kept_within_reason(clock: Clock) -> None:
    backoff = Backoff(clock, lambda: 0.0)
    assert [backoff.pause_s(failed=True, asked_s=asked_s) for asked_s in (5, 0, 1e9)] == [5, 1.6, 300]
