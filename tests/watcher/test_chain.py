"""The whole chain: a replayed recording in a real InfluxDB, an API server over HTTP, the packaged entry point."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, begin_now, events, play, run_pods


def test_pods_that_appear_are_identified_and_their_events_tell_the_truth(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = begin_now(samples, 40.0)
    truth = dict(now[["pod", "service"]].drop_duplicates().itertuples(index=False))
    play(influxd, database, now, 20)
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database) as watcher:
        watcher.wait_for_log("pods at version")
        run_pods(watch_api, now)
        watcher.wait_for_look()
        play(influxd, database, now, 40)
        said = watcher.wait_for_announcements(len(truth))
        assert {line["pod"]: line["service"] for line in said} == truth
        assert watcher.get("/healthz").text == watcher.get("/readyz").text == "ok\n"
        assert "podlab_decisions_total{" in watcher.get("/metrics").text
        page = watcher.get("/").text
        assert all(pod in page for pod in truth)
        assert watcher.end() == 0
    told = events(watch_api)
    assert {event["involvedObject"]["name"]: event["message"].split()[2] for event in told} == truth
    assert len(told) == len(truth)
    assert {event["reason"] for event in told} == {"ServiceIdentified"}
    assert {event["involvedObject"]["uid"] for event in told} == set(now["pod_uid"])
