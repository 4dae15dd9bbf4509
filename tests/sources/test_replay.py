"""Replay: interrupted and resumed, shifted to the present, played at a speed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase, read_series
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples

NOW_S = 1_800_000_000.5
NO_SHIFT = pd.Timedelta(0)
# Seconds since 1970 as a float are no finer.
CLOCK_STEP_S = 1e-6


class Clock:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    both = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=30, jitter_s=0)
    # Side by side in time, as containers of one recording are.
    start = both.groupby("pod")["started_at"].transform("first")
    moved = both.assign(time=both["time"] - start + start.min(), started_at=start.min())
    return check_samples(moved, where="samples")


@pytest.fixture
def target(influxd: Influxd, database: str) -> InfluxDatabase:
    return InfluxDatabase(influxd.url, database, *influxd.admin)


def stored(target: InfluxDatabase, like: pd.DataFrame, shift: pd.Timedelta = NO_SHIFT) -> pd.DataFrame:
    source = InfluxSource(InfluxDatabase(target.url, target.database, target.user, target.password))
    return source.fetch(like["time"].min() + shift, like["time"].max() + shift + pd.Timedelta(1, "ns"))


def newest(target: InfluxDatabase) -> pd.Timestamp:
    answer = target.query("SELECT rx_bytes FROM kubernetes_pod_network ORDER BY time DESC LIMIT 1")
    [series] = read_series(answer, where=target.name)
    return pd.Timestamp(series.rows[0][0], tz="UTC")


def test_the_database_is_made_when_it_is_missing(samples: pd.DataFrame, influxd: Influxd) -> None:
    target = InfluxDatabase(influxd.url, 'new "one"', *influxd.admin)
    replay(samples, target)
    pd.testing.assert_frame_equal(stored(target, samples), samples)
    influxd.statement('DROP DATABASE "new \\"one\\""')


def test_writing_twice_changes_nothing(samples: pd.DataFrame, target: InfluxDatabase) -> None:
    replay(samples, target)
    replay(samples, target)
    pd.testing.assert_frame_equal(stored(target, samples), samples)


def test_ctrl_c_then_the_same_again_goes_on_from_there(
    samples: pd.DataFrame, target: InfluxDatabase, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"

    def interrupt(done: int, total: int, what: str = "") -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(samples, target, batch=50, state_path=state, progress=interrupt)
    assert len(stored(target, samples)) < len(samples)
    again = replay(samples, target, batch=50, state_path=state)
    assert 0 < again.resumed_at < len(samples)
    assert again.samples == len(samples) - again.resumed_at
    assert not state.exists()
    pd.testing.assert_frame_equal(stored(target, samples), samples)


def test_a_resumed_replay_keeps_its_shift(samples: pd.DataFrame, target: InfluxDatabase, tmp_path: Path) -> None:
    state, clock = tmp_path / "state.json", Clock()

    def interrupt(done: int, total: int, what: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(samples, target, batch=50, now=True, state_path=state, progress=interrupt, clock=clock)
    clock.now_s += 3600
    done = replay(samples, target, batch=50, now=True, state_path=state, clock=clock)
    assert done.until == pd.Timestamp(NOW_S, unit="s", tz="UTC")


@pytest.mark.parametrize("content", ["not json", "[]", '{"fingerprint": "of another recording", "samples": 9}'])
def test_a_state_of_something_else_starts_anew(
    samples: pd.DataFrame, target: InfluxDatabase, tmp_path: Path, content: str
) -> None:
    state = tmp_path / "state.json"
    state.write_text(content, encoding="utf-8")
    assert replay(samples, target, state_path=state).resumed_at == 0
    assert len(stored(target, samples)) == len(samples)


def test_now_puts_the_last_sample_at_the_present(samples: pd.DataFrame, target: InfluxDatabase) -> None:
    done = replay(samples, target, now=True, clock=Clock())
    assert done.until == pd.Timestamp(NOW_S, unit="s", tz="UTC")
    shift = done.until - samples["time"].max()
    expected = samples.assign(time=samples["time"] + shift, started_at=samples["started_at"] + shift)
    pd.testing.assert_frame_equal(stored(target, samples, shift), expected)


@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0])
def test_speed_plays_in_time(samples: pd.DataFrame, target: InfluxDatabase, speed: float) -> None:
    clock = Clock()
    replay(samples, target, speed=speed, clock=clock, sleep=clock.sleep)
    span_s = (samples["time"].max() - samples["time"].min()).total_seconds()
    assert clock.now_s - NOW_S == pytest.approx(span_s / speed, abs=CLOCK_STEP_S)
    assert max(clock.slept) <= 1 + 1 / speed
    pd.testing.assert_frame_equal(stored(target, samples), samples)


def test_now_at_a_speed_never_writes_into_the_future(samples: pd.DataFrame, target: InfluxDatabase) -> None:
    clock = Clock()
    ahead_s: list[float] = []

    def look(done: int, total: int, what: str = "") -> None:
        ahead_s.append(newest(target).timestamp() - clock.now_s)

    done = replay(samples, target, speed=2, now=True, clock=clock, sleep=clock.sleep, progress=look)
    assert len(ahead_s) > 5
    assert max(ahead_s) <= CLOCK_STEP_S
    assert done.until.timestamp() == pytest.approx(clock.now_s, abs=CLOCK_STEP_S)


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_is_none(samples: pd.DataFrame, target: InfluxDatabase, speed: float) -> None:
    with pytest.raises(InputError, match="the speed must be greater than 0"):
        replay(samples, target, speed=speed)


def test_progress_counts_to_the_end(samples: pd.DataFrame, target: InfluxDatabase) -> None:
    seen: list[tuple[int, int]] = []
    replay(samples, target, batch=100, progress=lambda done, total, what="": seen.append((done, total)))
    assert seen[-1] == (len(samples), len(samples))
    assert seen == sorted(seen)


def test_gauges_are_written_as_whole_numbers(samples: pd.DataFrame, target: InfluxDatabase) -> None:
    replay(samples.assign(memory_rss_bytes=samples["memory_rss_bytes"] + 0.25), target)
    pd.testing.assert_frame_equal(stored(target, samples), samples)


def test_of_names_a_recording_need_hold_only_the_least(samples: pd.DataFrame, target: InfluxDatabase) -> None:
    poor = samples[["time", "pod", "container", "memory_working_set_bytes"]]
    replay(poor, target)
    found = stored(target, poor)
    assert found["memory_working_set_bytes"].tolist() == poor["memory_working_set_bytes"].round().tolist()
    assert found["pod"].tolist() == poor["pod"].tolist()
