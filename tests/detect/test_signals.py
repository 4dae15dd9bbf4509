"""Signals: counters only as rates, NaN where nothing is known, and the same as a naive twin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.detect.signals import SIGNALS, SignalState
from tests.support.naive_signals import naive_signals

METRICS = ("cpu_usage_core_nanoseconds", "cpu_usage_nanocores", "memory_rss_bytes", "rx_bytes", "tx_bytes")
VALUES = st.dictionaries(st.sampled_from(METRICS), st.integers(0, 10**12), max_size=len(METRICS))


def feed(state: SignalState, time_s: float, values: Mapping[str, float], number: int = 0) -> tuple[np.ndarray, ...]:
    """One sample of one container, learned from."""
    kinds = {name: np.int64 if CATALOGUE[name].kind == "counter" else np.float64 for name in ORIGINAL_METRICS}
    which, when = np.array([number]), np.array([time_s])
    arrays = {name: np.array([values.get(name, 0)], dtype=kinds[name]) for name in METRICS}
    seen = state.observe(which, when, arrays, {name: np.array([name in values]) for name in METRICS})
    state.learn(which, when, seen.value)
    return seen.value[0], seen.change[0], seen.mean_square[0]


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


@pytest.mark.parametrize(
    ("name", "metric", "values", "told"),
    [
        ("cpu_usage_nanocores", "cpu_usage_nanocores", (1e6, 1e6), 1.0),  # a millicore
        ("memory_rss_bytes", "memory_rss_bytes", (2.0**20, 2.0**20), 1.0),  # a mebibyte
        ("memory_rss_bytes.growth", "memory_rss_bytes", (0.0, 2.0**16), 1.0),  # 64 KiB a second
        ("rx_bytes", "rx_bytes", (0, 1000), 1.0),  # a kilobyte a second
        ("io_read_bytes", "io_read_bytes", (0, 4096), 1.0),  # a page a second
        ("rootfs_used_bytes.growth", "rootfs_used_bytes", (0.0, 4096.0), 1.0),
        ("volume_used_bytes.growth", "volume_used_bytes", (0.0, 4096.0), 1.0),
        ("memory_page_faults", "memory_page_faults", (0, 10), 1.0),
    ],
)
def test_what_is_as_good_as_nothing_is_one_step_above_it(
    name: str, metric: str, values: tuple[float, float], told: float
) -> None:
    state, which = SignalState(1), np.array([0])
    kind = np.int64 if CATALOGUE[metric].kind == "counter" else np.float64
    for time_s, value in enumerate(values):
        sample = {metric: np.array([value], dtype=kind)}
        seen = state.observe(which, np.array([float(time_s)]), sample, {metric: np.array([True])})
    assert seen.value[0, SIGNALS.index(name)] == pytest.approx(np.arcsinh(told))


def test_a_mean_follows_within_seconds_and_the_own_usual_within_minutes() -> None:
    state = SignalState(1)
    for second in range(600):
        feed(state, second, {"memory_rss_bytes": 0.0})
    level = SIGNALS.index("memory_rss_bytes")
    told = [feed(state, 600 + second, {"memory_rss_bytes": 2.0**20}) for second in range(240)]
    assert np.sinh(told[4][0][level]) == pytest.approx(1 - np.exp(-1), abs=0.01)  # after 5 s
    usual = told[-1][0][level] - told[-1][1][level]
    assert 0.5 < usual / np.arcsinh(1.0) < 0.65  # after 240 s
    assert 0.2 < told[-1][2][level] ** 0.5 < 0.6


def test_a_gap_teaches_no_more_than_a_minute() -> None:
    state = SignalState(1)
    for time_s in (0.0, 30.0, 30.0 + 7200.0):
        feed(state, time_s, {"memory_rss_bytes": 2.0**20})
    seen = state.observe(np.array([0]), np.array([7300.0]), {}, {})
    assert seen.learned_s[0, SIGNALS.index("memory_rss_bytes")] == 90.0


def test_counters_read_before_their_row_have_rates_over_their_own_times() -> None:
    state, which, valid = SignalState(1), np.array([0]), {"rx_bytes": np.array([True])}
    for time_s, age_s, count in ((10.0, 2.0, 0), (20.0, 2.0, 10_000), (30.0, 7.0, 15_000)):
        ages = {"network": np.array([age_s])}
        seen = state.observe(which, np.array([time_s]), {"rx_bytes": np.array([count])}, valid, ages)
    assert seen.value[0, SIGNALS.index("rx_bytes")] == pytest.approx(np.arcsinh(1.0))
