"""The bounded store of samples, beside a naive twin that keeps everything."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import FEATURE_METRICS
from podlab.features.rows import read_rows
from podlab.watcher.containers import TrackedContainer
from podlab.watcher.samples import SampleArrays, SampleBuffer
from tests.support.synthetic import make_samples
from tests.support.watching import pods_of, starting_together

EPOCH = pd.Timestamp("2026-01-05T08:00:00Z")
METRICS = ("memory_rss_bytes", "rx_bytes")


def rows(numbers: list[int], seconds: list[float], **columns: object) -> SampleArrays:
    time = EPOCH + pd.to_timedelta(pd.Series(seconds, dtype="float64"), unit="s")
    given = columns or {"memory_rss_bytes": [float(second) for second in seconds]}
    return SampleArrays.read(pd.DataFrame({"time": time, **given}), np.array(numbers, dtype=np.int64), METRICS)


def seconds_of(samples: SampleArrays) -> list[float]:
    return [float(second) for second in (samples.time_ns - EPOCH.value) / 1e9]


def metric(samples: SampleArrays, name: str) -> list[float | int | None]:
    nobody = np.zeros(len(samples), dtype=np.int64)
    found = samples.rows(pd.DataFrame(), nobody, nobody.astype(np.float64), nobody[:0])
    pairs = zip(found.values[name].tolist(), found.valid[name].tolist(), strict=True)  # noqa: PD011
    return [value if valid else None for value, valid in pairs]


BATCH = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 50)), min_size=1, max_size=30)


@settings(max_examples=60)
@given(batches=st.lists(BATCH, min_size=1, max_size=6))
def test_a_store_with_room_holds_the_last_row_of_each_instant(batches: list[list[tuple[int, int]]]) -> None:
    buffer, twin = SampleBuffer(METRICS), {}
    for turn, batch in enumerate(batches):
        numbers, seconds = [n for n, _ in batch], [float(s) for _, s in batch]
        values = [float(turn * 100 + place) for place in range(len(batch))]
        buffer.add(rows(numbers, seconds, memory_rss_bytes=values))
        twin |= {(n, s): value for n, s, value in zip(numbers, seconds, values, strict=True)}
    kept = buffer.of(np.arange(6))
    found = zip(kept.number.tolist(), seconds_of(kept), metric(kept, "memory_rss_bytes"), strict=True)
    assert list(found) == [(n, s, value) for (n, s), value in sorted(twin.items())]


def test_a_long_life_keeps_its_first_and_newest_rows_and_no_more_than_it_may() -> None:
    buffer = SampleBuffer(METRICS, most_rows=20)
    for second in range(0, 1000, 5):
        buffer.add(rows([1] * 5, [float(second + n) for n in range(5)]))
        assert len(buffer) <= 22
    seconds = seconds_of(buffer.of(np.array([1])))
    assert (seconds[0], seconds[-1]) == (0.0, 999.0)
    assert max(np.diff(seconds)) <= 2 * 64  # 1,000 s by 19 spans are 53 s each: 64 s


def test_very_many_containers_share_the_room() -> None:
    buffer = SampleBuffer(METRICS, most_rows=50, room=1000)
    numbers = np.repeat(np.arange(200), 40)
    buffer.add(rows(numbers.tolist(), np.tile(np.arange(40.0), 200).tolist()))
    assert len(buffer) <= 200 * 10
    assert set(buffer.of(np.arange(200)).number.tolist()) == set(range(200))


def test_counters_beyond_what_floats_hold_stay_exact_and_missing_stays_missing() -> None:
    buffer = SampleBuffer(METRICS)
    big = 2**53 + 1
    buffer.add(rows([1], [0.0], rx_bytes=pd.array([big], dtype="Int64")))
    buffer.add(rows([1], [1.0]))
    kept = buffer.of(np.array([1]))
    assert metric(kept, "rx_bytes") == [big, None]
    assert metric(kept, "memory_rss_bytes") == [None, 1.0]


def test_who_is_not_kept_is_forgotten() -> None:
    buffer = SampleBuffer(METRICS)
    buffer.add(rows([1, 2, 3], [0.0, 0.0, 0.0]))
    buffer.keep(np.array([2]))
    assert buffer.of(np.array([1, 2, 3])).number.tolist() == [2]


def test_rows_of_metrics_that_were_not_kept_before_miss_them_and_the_rest_stays() -> None:
    buffer = SampleBuffer(METRICS)
    buffer.add(rows([1], [0.0], memory_rss_bytes=[4096.0], rx_bytes=pd.array([7], dtype="Int64")))
    after = ("rx_bytes", "threads", "rx_packets")
    buffer.keep_metrics(after)
    time = pd.Series([EPOCH + pd.Timedelta(seconds=1)])
    table = pd.DataFrame(
        {"time": time, "rx_bytes": [8], "threads": [3.0], "rx_packets": [2], "memory_rss_bytes": [0.0]}
    )
    buffer.add(SampleArrays.read(table, np.array([1]), after))
    kept = buffer.of(np.array([1]))
    assert {name: metric(kept, name) for name in after} == {
        "rx_bytes": [7, 8], "threads": [None, 3.0], "rx_packets": [None, 2],
    }  # fmt: skip


def test_a_model_reads_the_same_rows_as_from_a_samples_table() -> None:
    samples = starting_together(
        make_samples(("nginx", "redis"), deployments_per_service=2, seconds=30, seed=4, columns=FEATURE_METRICS)
    )
    # The watcher knows starts in whole seconds; an agent writes 0 for all of CPU and memory before it has values.
    samples["started_at"] = samples["started_at"].dt.floor("s")
    empty = samples["time"] < samples["time"].min() + pd.Timedelta(seconds=3)
    for name in samples.columns[samples.columns.str.startswith(("cpu_", "memory_"))]:
        samples[name] = samples[name].where(~empty, 0)
    views = [pod.containers[0] for pod in pods_of(samples)]
    tracked = [
        TrackedContainer(view, view.started_at, number, 0.0, 0.0)
        for number, view in enumerate(views, 1)
        if view.started_at is not None
    ]
    number = samples["pod"].map({each.view.pod: each.number for each in tracked}).to_numpy(np.int64)
    buffer = SampleBuffer(FEATURE_METRICS)
    buffer.add(SampleArrays.read(samples, number, FEATURE_METRICS))
    here, found = buffer.rows_of(tracked, "local")
    wanted = read_rows(samples)
    assert [each.view.pod for each in here] == found.containers["pod"].tolist() == wanted.containers["pod"].tolist()
    np.testing.assert_array_equal(found.code, wanted.code)
    np.testing.assert_allclose(found.offset_s, wanted.offset_s, rtol=0, atol=1e-9)
    for name in wanted.metrics:
        np.testing.assert_array_equal(found.valid[name], wanted.valid[name])
        here_valid = wanted.valid[name]
        np.testing.assert_array_equal(found.values[name][here_valid], wanted.values[name][here_valid])  # noqa: PD011
    assert not any(found.valid[name].any() for name in set(found.metrics) - set(wanted.metrics))
