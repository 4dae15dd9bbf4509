"""The demo is honest: what it plays was never learned from, and what the watcher gets tells no service."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.contract.golden import FIXTURES
from tests.support.influxd import Influxd
from tools import demo

ROOT = Path(__file__).parents[1]
#: A demo in the foreground of a terminal of its own, with a model that is there.
DEMO = """
import fcntl, sys, termios
from pathlib import Path
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from tools import demo
model = Path(sys.argv.pop())
demo._learn = lambda known, folder: model
demo.main()
"""


@pytest.fixture(scope="module")
def chosen() -> tuple[pd.DataFrame, pd.DataFrame]:
    return demo._choose()


def test_no_deployment_is_both_learned_from_and_played(chosen: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    known, played = chosen
    assert not set(known["deployment"]) & set(played["deployment"])
    assert not set(known["pod"]) & set(played["pod"])
    assert played.groupby("service")["deployment"].nunique().eq(1).all()
    assert set(played["service"]) == set(known["service"]) | set(demo.UNKNOWN)
    assert not set(known["service"]) & set(demo.UNKNOWN)


def test_containers_begin_one_after_the_other_and_keep_their_course(chosen: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    _, played = chosen
    lives = demo._lay_out(played)
    starts = lives.groupby("pod")["started_at"].first().sort_values()
    assert starts.diff().dropna().dt.total_seconds().between(demo.STAGGER_S - 1, demo.STAGGER_S + 1).all()
    assert lives["time"].is_monotonic_increasing
    assert lives["time"].max() <= starts.max() + pd.Timedelta(seconds=demo.LAST_S + 5)
    one = lives[lives["pod"] == lives["pod"].iloc[0]]
    before = played[played["pod"] == one["pod"].iloc[0]].head(len(one))
    assert (one["time"].diff().dropna().to_numpy() == before["time"].diff().dropna().to_numpy()).all()


def test_what_comes_into_the_database_tells_no_service(
    chosen: tuple[pd.DataFrame, pd.DataFrame], influxd: Influxd, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = demo._lay_out(chosen[1]).head(20)
    at_once = demo.replay

    def play_at_once(*arguments: Any, speed: float) -> None:
        at_once(*arguments)

    monkeypatch.setattr(demo, "replay", play_at_once)
    demo._play(lives, InfluxDatabase(influxd.url, database, *influxd.admin))
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))
    found = source.fetch(lives["time"].min(), lives["time"].max() + pd.Timedelta(seconds=1)).dropna(axis=1, how="all")
    assert len(found) == len(lives)
    assert not {"service", "deployment", "variant", "version", "image", "pod_uid", *demo.NOT_CARRIED} & set(found)


def test_impostors_are_others_than_they_claim_and_start_first(chosen: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    known, played = chosen
    assert set(demo.IMPOSTORS.values()) <= set(known["service"])
    assert all(service != claim for service, claim in demo.IMPOSTORS.items())
    lives = demo._lay_out(played).drop_duplicates("pod").sort_values("started_at")
    assert set(lives["service"].iloc[: len(demo.IMPOSTORS)]) == set(demo.IMPOSTORS)


def _close_terminal(process: subprocess.Popen[bytes], terminal: int) -> None:
    os.close(terminal)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda process, terminal: os.write(terminal, b"\x03"), id="Ctrl-C"),
        pytest.param(lambda process, terminal: process.send_signal(signal.SIGTERM), id="SIGTERM"),
        pytest.param(_close_terminal, id="closed-terminal"),
    ],
)
def test_a_demo_that_is_ended_leaves_nothing_behind(
    end: Callable[[subprocess.Popen[bytes], int], object], tmp_path: Path
) -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", DEMO, FIXTURES / "model"],
        cwd=ROOT, stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(inside)
    said = b""
    while b"starts" not in said:  # servers and watcher run
        said += os.read(terminal, 4096)
    children = _marked(tmp_path)
    assert len(children) >= 3  # the demo, a database, a watcher
    end(process, terminal)
    process.wait(120)
    assert _marked(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []


def _marked(folder: Path) -> set[int]:
    """Find the processes that have the folder for temporary files."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={folder}\0".encode() in each.read_bytes() + b"\0":
                found.add(int(each.parent.name))
        except OSError:  # ended, or somebody else's
            continue
    return found


@pytest.mark.parametrize(
    ("truth", "said", "right"), [("redis", "redis", True), ("redis", None, False), ("miner", None, True)]
)
def test_marks(truth: str, said: str | None, right: bool) -> None:
    assert demo._is_right(truth, {"service": said}) is right
    assert ("green" in demo._mark(truth, {"service": said})) is right
    assert "never shown" in demo._mark("miner", {"service": "node"})
