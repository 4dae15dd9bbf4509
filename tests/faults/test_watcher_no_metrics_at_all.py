"""A source that fails, or has nothing of any container, as where its address is another cluster's."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pandas as pd
import pytest

from podlab.errors import PodlabError
from podlab.identify.early import TriggerPolicy
from podlab.watcher.runtime import SourceHealth
from tests.support.watching import make_watched, pods_of
from tests.watcher.conftest import MakeBench, bench, model, samples

__all__ = ["bench", "model", "samples"]


@pytest.mark.parametrize("failing", [False, True])
def test_it_is_said_once_and_of_no_single_container(
    failing: bool, bench: MakeBench, samples: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    here = bench(health=SourceHealth(60.0, told.append))
    here.table.delay_s = 1e6
    here.table.fault = PodlabError("it is down", where="table") if failing else None
    here.appear(*pods_of(samples))
    with caplog.at_level(logging.INFO, logger="podlab"):
        here.run(3000)
    assert here.lines == []
    assert len(told) == 1
    expected = "it is down" if failing else "nothing of any of the containers that run"
    assert expected in told[0]
    assert here.watcher.health.trouble == told[0]
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) <= 2, said
    assert sum("no metrics come" in line for line in said) == 1


def test_each_is_told_once_metrics_come(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench(policy=TriggerPolicy(timeout_s=20.0))
    here.table.fault = PodlabError("it is down", where="table")
    here.appear(*pods_of(samples))
    here.run(50)
    assert here.watcher.health.trouble is not None
    assert here.lines == []
    here.table.fault = None
    here.run(30)
    assert here.watcher.health.trouble is None
    assert [line["event"] for line in here.lines] == ["identified"] * 6


def test_a_source_that_stops_later_is_noticed_as_well(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    here.run(600)  # the samples ended at 100 s
    assert len(here.lines) == 6
    start = datetime.fromtimestamp(here.clock.at_s, UTC)
    here.appear(*(make_watched(f"late-{number}", f"uid-{number}", start) for number in range(5)))
    here.run(600)
    assert len(here.lines) == 6
    assert "nothing of any of the containers" in str(here.watcher.health.trouble)


def test_one_without_metrics_beside_others_that_are_due_again_and_have_some_is_no_outage(
    bench: MakeBench, samples: pd.DataFrame
) -> None:
    """As where a round takes longer than the gap until the next check."""
    policy = TriggerPolicy(consecutive=1, timeout_s=1e-9)
    here = bench(health=SourceHealth(0.0), policy=policy, begin_s=samples["time"].max().timestamp() + 10)
    here.appear(*pods_of(samples), make_watched("silent", "1", samples["started_at"].iloc[0].to_pydatetime()))
    here.run(30, interval_s=30.0)
    assert here.watcher.health.trouble is None
    assert ("silent", None) in here.announced()


def test_what_cannot_be_told_is_told_again() -> None:
    told: list[str] = []
    refusing = [True]

    def send(why: str) -> None:
        if refusing[0]:
            raise PodlabError("the API server is away")
        told.append(why)

    health = SourceHealth(30.0, send)
    health.note("nothing", 0.0)
    assert health.trouble is None
    health.note("nothing", 40.0)
    assert health.trouble == "nothing"
    refusing[0] = False
    for at_s in (50.0, 60.0):
        health.note("nothing", at_s)
    assert told == ["nothing"]
    health.note(None, 70.0)
    health.note("nothing again", 80.0)
    assert (health.trouble, told) == (None, ["nothing"])
    health.note("nothing again", 111.0)
    assert told == ["nothing", "nothing again"]
