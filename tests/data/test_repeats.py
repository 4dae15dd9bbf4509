"""Samples told twice, a moment apart, count once; idle containers, pauses and late samples stay as they are."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE
from podlab.data.recordings import read_recording
from podlab.data.samples import check_samples
from tests.support.synthetic import make_samples

START = pd.Timestamp("2026-01-05T08:00:00Z")


def container(seconds: list[float], rx: list[int | None], pod: str = "web-0", **others: object) -> pd.DataFrame:
    times = [START + pd.Timedelta(second, "s") for second in seconds]
    frame = pd.DataFrame({"time": times, "pod": pod, "container": "main", "rx_bytes": rx})
    return frame.astype({"rx_bytes": "Int64"}).assign(memory_rss_bytes=1.0, **others)


def kept(frame: pd.DataFrame) -> list[float]:
    return ((check_samples(frame, where="here")["time"] - START).dt.total_seconds()).round(3).tolist()


@pytest.fixture
def one() -> pd.DataFrame:
    """Containers each ten seconds."""
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=200, interval_s=10)
    return check_samples(samples, where="one")


@pytest.mark.parametrize("observers", [2, 3, 4])
@pytest.mark.parametrize("apart_ms", [1, 400, -600])
def test_what_several_observers_tell_counts_once(
    one: pd.DataFrame, observers: int, apart_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [one.assign(time=one["time"] + pd.Timedelta(apart_ms * n, "ms")) for n in range(observers)]
    with caplog.at_level(logging.WARNING):
        got = check_samples(pd.concat(parts, ignore_index=True), where="merged")
    # Of each sample the row that came first stays.
    first = parts[0] if apart_ms > 0 else parts[-1]
    pd.testing.assert_frame_equal(got, first.reset_index(drop=True))
    assert f"merged: {len(one) * (observers - 1)} rows repeat all counters of the row before" in caplog.text


def test_a_value_that_only_the_repeat_has_is_kept() -> None:
    frame = container([0, 0.4, 10, 10.4, 20, 20.4], [1, 1, 2, 2, 3, 3])
    frame["tx_bytes"] = pd.array([None, 7, 8, None, None, None], dtype="Int64")
    got = check_samples(frame, where="here")
    assert got["rx_bytes"].tolist() == [1, 2, 3]
    assert got["tx_bytes"].tolist() == [7, 8, pd.NA]


def test_observers_that_take_turns_or_see_something_new_are_kept() -> None:
    assert kept(container([0, 10, 20, 30.5, 40.5], [1, 2, 3, 4, 5])) == [0, 10, 20, 30.5, 40.5]
    assert kept(container([0, 0.4, 10, 10.4, 20, 20.4], [1, 2, 3, 4, 5, 6])) == [0, 0.4, 10, 10.4, 20, 20.4]


def test_an_idle_container_a_pause_and_late_samples_stay() -> None:
    idle = [0, 10, 20, 80, 90, 100]
    assert kept(container(idle, [5] * 6)) == idle
    busy = [0, 10, 20, 80, 90, 100]
    assert kept(container(busy, [1, 2, 3, 4, 5, 6])) == busy
    late = [0, 1, 2, 4.8, 4.81, 5, 6, 7, 8, 9, 10, 11]
    assert kept(container(late, [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11])) == late


def test_each_instance_and_each_container_counts_for_itself() -> None:
    lives = [container([0, 10, 20], [1, 2, 3], pod_uid="a"), container([0.4, 10.4, 20.4], [1, 2, 3], pod_uid="b")]
    assert len(kept(pd.concat(lives))) == 6
    pods = [container([0, 10, 20], [1, 2, 3], pod="a"), container([0.4, 10.4, 20.4], [1, 2, 3], pod="b")]
    assert len(kept(pd.concat(pods))) == 6


def test_where_no_counter_is_known_nothing_repeats() -> None:
    frame = container([0, 0.4, 10, 10.4], [None] * 4)
    assert len(kept(frame)) == 4


def test_a_recording_of_one_observer_stays_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = make_samples(("nginx",), deployments_per_service=2, seconds=60)
    path = tmp_path / "one.parquet"
    samples.to_parquet(path)
    with caplog.at_level(logging.WARNING):
        assert len(read_recording([path])) == len(samples)
    assert not caplog.records
    counters = [name for name, metric in CATALOGUE.items() if metric.kind == "counter" and name in samples]
    assert np.isin(["rx_bytes", "cpu_usage_core_nanoseconds"], counters).all()
