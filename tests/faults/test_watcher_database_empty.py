"""A database that works and holds nothing: said once, with the reason."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, announcements, begin_now, events, run_pods


def _rounds(metrics: str) -> float:
    return float(metrics.split("podlab_tick_seconds_count ")[1].split()[0])


def test_that_no_metrics_come_is_said_once_and_of_no_single_container(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(watch_api, begin_now(samples, 10.0))
    settings = {"metrics_timeout": "1s", "watch_pod": "podlab/podlab-watcher-1/uid-1"}
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings=settings) as watcher:
        watcher.wait_for_log("no metrics come")
        rounds = _rounds(watcher.get("/metrics").text)
        watcher.poll("/metrics", lambda text: _rounds(text) >= rounds + 10)
        ready = watcher.get("/readyz")
        assert (ready.status_code, watcher.get("/healthz").status_code) == (503, 200)
        assert "nothing of any of the containers that run" in ready.text
        assert watcher.end() == 0
    assert announcements(watcher.lines) == []
    assert sum("no metrics come" in line["message"] for line in watcher.lines) == 1
    [event] = events(watch_api)
    assert (event["reason"], event["type"], event["involvedObject"]["name"]) == (
        "NoMetricsAtAll", "Warning", "podlab-watcher-1",
    )  # fmt: skip
    assert watcher.errors == ""
