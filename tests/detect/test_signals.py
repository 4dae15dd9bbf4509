"""Signals: counters only as rates, NaN where nothing is known, and the same as a naive twin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS
from podlab.detect.signals import SIGNALS, SignalState
from tests.support.naive_signals import naive_signals

METRICS = ("cpu_usage_core_nanoseconds", "cpu_usage_nanocores", "memory_rss_bytes", "rx_bytes", "tx_bytes")
VALUES = st.dictionaries(st.sampled_from(METRICS), st.integers(0, 10**12), max_size=len(METRICS))


def feed(state: SignalState, time_s: float, values: Mapping[str, float], number: int = 0) -> tuple[np.ndarray, ...]:
    """One sample of one container, learned from."""
    kinds = {name: np.int64 if CATALOGUE[name].kind == "counter" else np.float64 for name in FEATURE_METRICS}
    which, when = np.array([number]), np.array([time_s])
    arrays = {name: np.array([values.get(name, 0)], dtype=kinds[name]) for name in METRICS}
    seen = state.observe(which, when, arrays, {name: np.array([name in values]) for name in METRICS})
    state.learn(which, when, seen.now)
    return seen.now[0], seen.change[0], seen.square[0]


@given(st.lists(st.tuples(st.floats(-1, 30), VALUES), max_size=12))
@settings(max_examples=50)
def test_is_the_naive_twin(steps: list[tuple[float, dict[str, int]]]) -> None:
    times = np.cumsum([step for step, _ in steps]).tolist()
    samples = list(zip(times, (values for _, values in steps), strict=True))
    state = SignalState(3)
    for (time_s, values), told in zip(samples, naive_signals(samples), strict=True):
        mine = feed(state, time_s, values, number=1)
        for found, wanted, missing in zip(mine, told, (np.nan, np.nan, 0.0), strict=True):
            assert found == pytest.approx([wanted.get(name, missing) for name in SIGNALS], nan_ok=True, abs=1e-9)


def test_a_counter_is_seen_as_its_rate_only_and_a_restart_as_nothing() -> None:
    state, other = SignalState(1), SignalState(1)
    for second, count in enumerate((0, 5000, 10_000, 0, 5000)):
        now, *_ = feed(state, second, {"rx_bytes": count})
        offset, *_ = feed(other, second, {"rx_bytes": 2**60 + count})
        assert now == pytest.approx(offset, nan_ok=True)
        rate = now[SIGNALS.index("rx_bytes")]
        assert np.isnan(rate) if count == 0 else rate == pytest.approx(np.arcsinh(5.0))


def test_sampling_more_seldom_gives_the_same_signals() -> None:
    ends = []
    for interval in (1, 10):
        state = SignalState(1)
        for second in range(0, 121, interval):
            now, *_ = feed(state, second, {"memory_rss_bytes": 5e7, "rx_bytes": 3000 * second})
        ends.append(now)
    assert ends[0] == pytest.approx(ends[1], nan_ok=True)


def test_room_is_made_and_taken_back() -> None:
    state = SignalState(1)
    feed(state, 0, {"memory_rss_bytes": 5e7})
    state.resize(4)
    assert not np.isnan(feed(state, 1, {"memory_rss_bytes": 5e7})[1]).all()
    assert np.isnan(feed(state, 1, {"memory_rss_bytes": 5e7}, number=3)[1]).all()
    state.forget(np.array([0]))
    assert np.isnan(feed(state, 2, {"memory_rss_bytes": 5e7})[1]).all()


def test_memory_does_not_grow_with_time() -> None:
    state = SignalState(2)
    before = sum(array.nbytes for array in vars(state).values())
    for second in range(50):
        feed(state, second, {"rx_bytes": 100 * second})
    assert sum(array.nbytes for array in vars(state).values()) == before
