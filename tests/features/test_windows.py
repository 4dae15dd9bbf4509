"""Windows: every sampling interval, gaps, falling and huge counters, missing columns, and a naive twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.samples import check_samples
from podlab.features.rows import read_rows
from podlab.features.windows import make_windows
from tests.support import naive_windows
from tests.support.synthetic import EPOCH, make_samples


def one(
    offsets_s: Sequence[float], pod: str = "a", started_at: pd.Timestamp | None = EPOCH, **columns: Sequence[object]
) -> pd.DataFrame:
    """A table of one container."""
    count = len(offsets_s)
    values = {
        name: pd.Series(list(column), dtype="Int64" if isinstance(next(filter(None, column), 0), int) else "float64")
        for name, column in columns.items()
    }
    times = [EPOCH + pd.Timedelta(milliseconds=round(1000 * offset)) for offset in offsets_s]
    frame = pd.DataFrame({"time": times, "pod": pod, "container": "main", "started_at": [started_at] * count, **values})
    return check_samples(frame, where="test")


def only_series(samples: pd.DataFrame, series: int = 0) -> np.ndarray:
    return make_windows(samples, horizon_s=10.0).cells[0, series]


milliseconds = st.lists(st.integers(0, 40_000), min_size=1, max_size=25, unique=True).map(sorted)
counts = st.one_of(st.none(), st.integers(0, 2**62), st.integers(0, 1000))
gauges = st.one_of(st.none(), st.integers(1, 10**10).map(float))
horizons = st.sampled_from([2.0, 7.3, 10.0, 30.0, 60.0, 90.0])


@settings(max_examples=60)
@given(data=st.data(), horizon_s=horizons, started=st.booleans())
def test_same_as_the_naive_twin(data: st.DataObject, horizon_s: float, started: bool) -> None:
    tables, expected = [], []
    for pod in ("a", "b", "c"):
        times = data.draw(milliseconds)
        size = len(times)
        own = data.draw(st.lists(counts, min_size=size, max_size=size))
        shared = data.draw(st.lists(counts, min_size=size, max_size=size))
        disk = data.draw(st.lists(gauges, min_size=size, max_size=size))
        tables.append(
            one(
                [t / 1000 for t in times], pod, EPOCH if started else None,
                io_read_bytes=own, rx_bytes=shared, rootfs_used_bytes=disk,
            )
        )  # fmt: skip
        at = [t / 1000 if started else (t - times[0]) / 1000 for t in times]
        expected.append(
            {
                "rootfs_used_bytes": naive_windows.level(list(zip(at, disk, strict=True)), horizon_s),
                "rx_bytes": naive_windows.rate(list(zip(at, shared, strict=True)), horizon_s, from_zero=False),
                "io_read_bytes": naive_windows.rate(list(zip(at, own, strict=True)), horizon_s, from_zero=started),
            }
        )
    windows = make_windows(check_samples(pd.concat(tables, ignore_index=True), where="test"), horizon_s=horizon_s)
    for row, series in enumerate(expected):
        for name, values in series.items():
            found = windows.cells[row, windows.series.index(name)]
            # Beyond float32's 7 digits the twin differs where the share of a cell is a rounding of 1 ms.
            np.testing.assert_allclose(found, values, rtol=2e-5, atol=1e-3)


def test_the_horizon_ends_before_its_last_instant() -> None:
    samples = one([0.0, 5.0, 9.999, 10.0], rootfs_used_bytes=[1.0, 1.0, 1.0, 9.0])
    windows = make_windows(samples, horizon_s=10.0)
    assert windows.spans.rows.tolist() == [3]
    assert windows.spans.last_s.tolist() == [9.999]
    assert windows.cells.max() == 1.0


def test_rows_before_the_start_do_not_count() -> None:
    windows = make_windows(one([-3.0, 1.0], rootfs_used_bytes=[9.0, 1.0]), horizon_s=10.0)
    assert windows.spans.rows.tolist() == [1]
    assert windows.spans.first_s.tolist() == [1.0]


def test_time_runs_from_the_first_row_where_the_start_is_missing() -> None:
    windows = make_windows(
        one([500.0, 505.0, 511.0], started_at=None, rootfs_used_bytes=[1.0, 2.0, 3.0]), horizon_s=10.0
    )
    assert windows.spans.rows.tolist() == [2]
    assert windows.spans.last_s.tolist() == [5.0]


def test_without_a_horizon_all_rows_count() -> None:
    windows = make_windows(one([-1.0, 0.0, 500.0], rootfs_used_bytes=[1.0, 2.0, 3.0]), horizon_s=None)
    assert windows.spans.rows.tolist() == [3]
    assert windows.cells[0, 0, -1] == pytest.approx(3.0, rel=0.01)


def test_counters_are_exact_beyond_two_to_the_53rd() -> None:
    base = 2**62
    rates = only_series(one([0, 1, 2, 9], rx_bytes=[base + 1, base + 2, base + 4, base + 4]))
    assert rates[:3].tolist() == [1.0, 2.0, 0.0]


def test_a_falling_counter_has_no_rate_in_that_step() -> None:
    rates = only_series(
        one([0, 2, 4, 6, 8, 10.5], rx_bytes=[100, 120, 140, 0, 20, 40], rootfs_used_bytes=[1.0] * 6), series=1
    )
    assert rates == pytest.approx([10.0] * 10)


def test_a_pods_counters_do_not_begin_with_its_container() -> None:
    rates = only_series(one([4, 8], rx_bytes=[1_000_000, 1_000_000]))
    assert rates.tolist() == [0.0] * 10


def test_a_containers_counters_begin_at_its_start() -> None:
    rates = only_series(one([4, 8], io_read_bytes=[400, 400]))
    assert rates[:4] == pytest.approx([100.0] * 4)
    assert rates[4:].tolist() == [0.0] * 6
    unknown_start = one([4, 8], started_at=None, io_read_bytes=[400, 400])
    assert only_series(unknown_start).tolist() == [0.0] * 10


def test_a_first_row_of_zeros_is_missing() -> None:
    samples = one(
        [0, 1, 2], cpu_usage_core_nanoseconds=[0, 5 * 10**9, 6 * 10**9], memory_rss_bytes=[0.0, 70.0, 70.0],
        started_at=None, rootfs_used_bytes=[0.0, 1.0, 1.0],
    )  # fmt: skip
    windows = make_windows(samples, horizon_s=10.0)
    by_name = dict(zip(windows.series, windows.cells[0], strict=True))
    assert by_name["cpu_usage_nanocores"].tolist() == [1e9] * 10
    assert by_name["memory_rss_bytes"].tolist() == [70.0] * 10
    assert by_name["rootfs_used_bytes"][0] == 0.5


def test_an_idle_container_may_use_no_cpu() -> None:
    rates = only_series(one([0, 1, 2, 9], cpu_usage_nanocores=[0.0, 4.0, 0.0, 0.0]))
    assert rates[0] == 4.0
    assert rates[-1] == 0.0


def test_either_cpu_column_gives_the_same_series() -> None:
    times = np.arange(0.0, 12.0)
    counter = one(times, cpu_usage_core_nanoseconds=[10**9 + int(t) * 250_000_000 for t in times], started_at=None)
    gauge = one(times, cpu_usage_nanocores=[250e6] * 12, started_at=None)
    assert make_windows(counter, horizon_s=10.0).series == make_windows(gauge, horizon_s=10.0).series
    np.testing.assert_allclose(only_series(counter), only_series(gauge))


def test_the_sampling_interval_does_not_change_what_is_steady() -> None:
    often, seldom = np.arange(0.0, 60.0), np.arange(0.0, 60.0, 10.0)
    windows = [
        make_windows(
            one(times, rx_bytes=[int(7 * t) for t in times], memory_rss_bytes=[50.0 + t for t in times]),
            horizon_s=60,
        )
        for times in (often, seldom)
    ]
    # After the last sample a level is held, a rate goes on.
    np.testing.assert_allclose(windows[0].cells[:, :, :50], windows[1].cells[:, :, :50], rtol=1e-6)


def test_a_missing_column_is_missing_and_breaks_nothing() -> None:
    samples = one([0, 1], rx_bytes=[0, 5])
    windows = make_windows(samples, horizon_s=10.0, columns=("rx_bytes", "io_read_bytes"))
    assert windows.series == ("rx_bytes", "io_read_bytes")
    assert np.isnan(windows.cells[0, 1]).all()
    assert windows.usable.tolist() == [True]


def test_a_container_without_rows_in_the_window_stays_in_the_answer() -> None:
    samples = pd.concat([one([0, 1], rx_bytes=[0, 5]), one([100, 101], "b", rx_bytes=[0, 5])])
    windows = make_windows(check_samples(samples, where="test"), horizon_s=10.0)
    assert windows.spans.rows.tolist() == [2, 0]
    assert windows.usable.tolist() == [True, False]
    assert np.isnan(windows.cells[1]).all()


def test_a_restarted_container_is_another_one() -> None:
    later = one([50, 51], started_at=EPOCH + pd.Timedelta(seconds=50), rx_bytes=[0, 5])
    windows = make_windows(
        check_samples(pd.concat([one([0, 1], rx_bytes=[0, 9]), later]), where="test"), horizon_s=10.0
    )
    assert windows.cells[:, 0, 0].tolist() == [9.0, 5.0]


def test_the_order_of_rows_does_not_matter() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=20)
    shuffled = samples.sample(frac=1.0, random_state=1)
    a, b = make_windows(samples, horizon_s=20), make_windows(shuffled, horizon_s=20)
    order = [b.containers["pod"].tolist().index(pod) for pod in a.containers["pod"]]
    np.testing.assert_array_equal(a.cells, b.cells[order])


def test_a_window_may_begin_later() -> None:
    samples = one(np.arange(0.0, 30.0), rootfs_used_bytes=list(np.arange(1.0, 31.0)))
    later = make_windows(read_rows(samples), horizon_s=10.0, begin_s=20.0).cells[0, 0]
    np.testing.assert_allclose(later[:9], np.arange(21.5, 30.0))


def test_counters_are_taken_at_their_own_times() -> None:
    start = pd.Timestamp("2026-01-05T08:00:00Z")
    at_s = np.array([2.0, 12.0, 22.0, 32.0])
    # 100 bytes a second from 8 to 18 s on, read up to 4 s before and 6 s after the rows; the last one is told twice.
    read_s = np.array([-2.0, 8.0, 18.0, 18.0])
    counted = np.array([500, 500, 1500, 1500])
    samples = check_samples(
        pd.DataFrame(
            {
                "time": start + pd.to_timedelta(at_s, unit="s"), "pod": "p", "container": "c", "started_at": start,
                "memory_rss_bytes": 1.0, "rx_bytes": counted, "network_age_seconds": at_s - read_s,
            }
        ),
        where="test",
    )  # fmt: skip
    windows = make_windows(samples, horizon_s=40.0, columns=["rx_bytes"])
    rates = windows.cells[0, 0]
    assert rates[:8].tolist() == [0.0] * 8
    assert rates[8:18] == pytest.approx(100.0)
    without = make_windows(samples.drop(columns="network_age_seconds"), horizon_s=40.0, columns=["rx_bytes"]).cells[
        0, 0
    ]
    assert without[12:22] == pytest.approx(100.0)


def test_counters_that_are_read_each_second_count_each_time() -> None:
    counted = [0] * 5 + [100] * 6
    samples = one(np.arange(1.0, 12.0), rx_bytes=counted).assign(network_age_seconds=0.5)
    rates = make_windows(check_samples(samples, where="test"), horizon_s=12.0, columns=["rx_bytes"]).cells[0, 0]
    # Between 4.5 and 5.5 s.
    assert rates == pytest.approx([0, 0, 0, 0, 50, 50, 0, 0, 0, 0, 0, 0])


def test_ages_of_zero_change_nothing() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=30)
    plain = make_windows(samples, horizon_s=20.0).cells
    aged = check_samples(samples.assign(network_age_seconds=0.0), where="test")
    np.testing.assert_array_equal(make_windows(aged, horizon_s=20.0).cells, plain)
