"""The demo is honest: what it plays was never learned from, and what the watcher gets tells no service."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influxd import Influxd
from tools import demo


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


@pytest.mark.parametrize(
    ("truth", "said", "right"), [("redis", "redis", True), ("redis", None, False), ("miner", None, True)]
)
def test_marks(truth: str, said: str | None, right: bool) -> None:
    assert demo._is_right(truth, {"service": said}) is right
    assert ("green" in demo._mark(truth, {"service": said})) is right
    assert "never shown" in demo._mark("miner", {"service": "node"})
