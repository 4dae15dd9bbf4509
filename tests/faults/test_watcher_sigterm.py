"""SIGTERM in the middle of a batch of announcements."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pandas as pd

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


def test_it_ends_cleanly_and_the_next_one_goes_on_where_it_was(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = crowd(begin_now(samples, 30.0), 5)
    written = play(influxd, database, now, 10)
    run_pods(watch_api, now)
    settings = {"watch_state": str(tmp_path / "announced.jsonl")}
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings=settings) as first:
        strike_at_event(watch_api, 7, first, signal.SIGTERM)
        first.wait_for_fetch(written)
        written = play(influxd, database, now, 30)
        first.wait_for_log("stopped")
        assert first.process.wait() == 0
    assert 7 <= len(events(watch_api)) <= 8  # the one under way is finished
    assert len(announcements(first.lines)) == len(events(watch_api))
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings=settings) as second:
        second.wait_for_fetch(written)
        play(influxd, database, now, 40)
        second.wait_for(lambda lines: len(announcements([*first.lines, *lines])) >= 30)
        assert second.end() == 0
    told = Counter(event["involvedObject"]["name"] for event in events(watch_api))
    logged = Counter(line["pod"] for line in announcements([*first.lines, *second.lines]))
    assert told == logged == Counter(now["pod"].unique())
