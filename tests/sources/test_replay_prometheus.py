"""Replay into a real Prometheus and a real VictoriaMetrics: whole, resumed, played at a speed, refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.sources.prometheus import PrometheusSource
from podlab.sources.prometheus_client import OutOfOrderError, PrometheusApi
from podlab.sources.replay import replay
from tests.sources.test_replay import NOW_S, Clock
from tests.support.prometheusd import ANY_AGE, Prometheusd, running_prometheus, running_victoria
from tests.support.synthetic import make_samples

KEY = ["pod", "time"]


@pytest.fixture(params=["prometheus", "victoria"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Prometheusd]:
    """An empty server of this test alone: it refuses what is older than what it has."""
    folder = tmp_path / "server"
    folder.mkdir()
    running = running_prometheus(folder, "", *ANY_AGE) if request.param == "prometheus" else running_victoria(folder)
    with running as started:
        yield started


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    both = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=30, jitter_s=0.2)
    start = both.groupby("pod")["started_at"].transform("first")
    moved = both.assign(time=(both["time"] - start + start.min()).dt.floor("ms"), started_at=start.min().floor("ms"))
    return check_samples(moved, where="samples")


def stored(server: Prometheusd, like: pd.DataFrame) -> pd.DataFrame:
    """Give what the server holds, with the columns of the recording that it can hold."""
    server.settle()
    source = PrometheusSource(server.api())
    since, until = like["time"].min(), like["time"].max() + pd.Timedelta(1, "ms")
    return source.fetch(since, until).sort_values(KEY, ignore_index=True)


def assert_same(got: pd.DataFrame, sent: pd.DataFrame) -> None:
    sent = sent.sort_values(KEY, ignore_index=True)
    assert len(got) == len(sent) > 0
    columns = [*KEY, "started_at", "pod_uid", "memory_rss_bytes", "rx_bytes", "cpu_usage_core_nanoseconds"]
    for column in columns:
        assert got[column].tolist() == sent[column].tolist(), column


def test_a_recording_arrives_whole(server: Prometheusd, samples: pd.DataFrame) -> None:
    seen: list[tuple[int, int]] = []
    done = replay(samples, server.api(), batch=100, progress=lambda n, of, what="": seen.append((n, of)))
    assert_same(stored(server, samples), samples)
    assert (done.samples, seen[-1]) == (len(samples), (len(samples), len(samples)))
    assert done.points > 10 * len(samples)


def test_ctrl_c_at_any_moment_then_the_same_again(server: Prometheusd, samples: pd.DataFrame, tmp_path: Path) -> None:
    state = tmp_path / "state.json"

    class Interrupted(PrometheusApi):
        """Ctrl-C after a request arrived and before that is written down."""

        left = 3

        def write(self, body: bytes) -> None:
            super().write(body)
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(samples, Interrupted(server.url), batch=50, state_path=state)
    again = replay(samples, PrometheusApi(server.url), batch=50, state_path=state)
    assert 0 < again.resumed_at < len(samples)
    assert again.resumed_at + again.samples == len(samples)
    assert not state.exists()
    assert_same(stored(server, samples), samples)


def test_now_puts_the_last_sample_at_the_present(server: Prometheusd, samples: pd.DataFrame) -> None:
    clock = Clock()
    clock.now_s = float(int(time.time()))  # VictoriaMetrics takes nothing of the future
    done = replay(samples, server.api(), now=True, clock=clock)
    assert done.until == pd.Timestamp(clock.now_s, unit="s", tz="UTC")
    shift = done.until - samples["time"].max()
    moved = samples.assign(time=samples["time"] + shift, started_at=samples["started_at"] + shift)
    moved = moved.assign(time=moved["time"].dt.floor("ms"), started_at=moved["started_at"].dt.floor("ms"))
    assert_same(stored(server, moved), moved)


@pytest.mark.parametrize("speed", [0.5, 10.0])
def test_speed_plays_in_time(server: Prometheusd, samples: pd.DataFrame, speed: float) -> None:
    clock = Clock()
    replay(samples, server.api(), speed=speed, clock=clock, sleep=clock.sleep)
    span_s = (samples["time"].max() - samples["time"].min()).total_seconds()
    assert clock.now_s - NOW_S == pytest.approx(span_s / speed, abs=1e-3)
    assert_same(stored(server, samples), samples)


def test_a_sample_older_than_what_is_there_is_refused_with_what_to_do(
    prometheusd: Prometheusd, samples: pd.DataFrame
) -> None:
    replay(samples, prometheusd.api())
    with pytest.raises(OutOfOrderError, match=r"newer samples than these: out of order sample; shift .* \(--now\)"):
        replay(samples, prometheusd.api())


def test_a_server_that_takes_no_writes_says_how_it_would(samples: pd.DataFrame, tmp_path: Path) -> None:
    with (
        running_prometheus(tmp_path, "", *ANY_AGE, receiver=False) as server,
        pytest.raises(InputError, match=r"takes no remote writes: 404 .*; start Prometheus with --web\.enable-remote"),
    ):
        replay(samples, server.api())
