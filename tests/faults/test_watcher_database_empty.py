"""A database that works and holds nothing: said once for each container, with the reason."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, begin_now, events, run_pods


def _rounds(metrics: str) -> float:
    return float(metrics.split("podlab_tick_seconds_count ")[1].split()[0])


def test_no_metrics_is_said_once_for_each_container(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = begin_now(samples, 10.0)
    run_pods(watch_api, now)
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings={"metrics_timeout": "1s"}) as watcher:
        said = watcher.wait_for_announcements(6)
        rounds = _rounds(watcher.get("/metrics").text)
        watcher.poll("/metrics", lambda text: _rounds(text) >= rounds + 10)
        assert watcher.end() == 0
    assert {line["event"] for line in said} == {"no-metrics"}
    assert {line["reason"] for line in said} == {"unseen"}
    assert sorted(line["pod"] for line in said) == sorted(now["pod"].unique())
    assert [event["reason"] for event in events(watch_api)] == ["NoMetrics"] * 6
    assert watcher.errors == ""
