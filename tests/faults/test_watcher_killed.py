"""kill -9 in the middle of a batch of announcements, and a restart."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import (
    WatchProcess,
    announcements,
    begin_now,
    crowd,
    events,
    play,
    run_pods,
    strike_at_event,
)


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_nothing_is_announced_twice_and_nothing_is_missed(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path, state: str
) -> None:
    now = crowd(begin_now(samples, 30.0), 5)
    written = play(influxd, database, now, 10)
    run_pods(watch_api, now)
    settings = {"watch_state": str(tmp_path / "announced.jsonl")} if state == "kept" else {}
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings=settings) as first:
        strike_at_event(watch_api, 7, first, signal.SIGKILL)
        first.wait_for_fetch(written)
        written = play(influxd, database, now, 30)
        assert first.process.wait() == -signal.SIGKILL
        first.end_of_output()
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings=settings) as second:
        second.wait_for_fetch(written)
        play(influxd, database, now, 40)
        # The event under way at the kill stands; only its log line may be lost.
        second.wait_for(lambda lines: len(announcements([*first.lines, *lines])) >= 29)
        second.poll("/containers", lambda text: text.count('"waiting"') == 0)
        assert second.end() == 0
    told = Counter(event["involvedObject"]["name"] for event in events(watch_api))
    logged = Counter(line["pod"] for line in announcements([*first.lines, *second.lines]))
    assert told == Counter(now["pod"].unique())
    assert set(logged.values()) == {1}
