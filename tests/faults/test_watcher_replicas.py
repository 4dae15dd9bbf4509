"""Two watchers beside each other, of which one is killed."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pandas as pd

from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import LEASE, WatchProcess, announcements, begin_now, crowd, events, play, run_pods


def test_nothing_is_announced_twice_and_nothing_is_missed(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = crowd(begin_now(samples, 30.0), 3)
    early = now["pod"].isin(sorted(now["pod"].unique())[:9])
    settings = {"watch_lease": LEASE}
    one = WatchProcess(watch_api, tmp_path / "1", model, influxd.url, database, settings=settings)
    two = WatchProcess(watch_api, tmp_path / "2", model, influxd.url, database, settings=settings)
    with one, two:
        one.poll(
            "/metrics", lambda text: "podlab_leader 1.0" in text or "podlab_leader 1.0" in two.get("/metrics").text
        )
        leader, other = (one, two) if "podlab_leader 1.0" in one.get("/metrics").text else (two, one)
        run_pods(watch_api, now)
        play(influxd, database, now[early], 10)
        for each in one, two:
            each.wait_for_look()
        play(influxd, database, now[early], 30)
        leader.wait_for_announcements(9)
        other.poll("/containers", lambda text: text.count('"waiting"') == 9)
        assert len(events(watch_api)) == 9
        leader.end(signal.SIGKILL)
        play(influxd, database, now[~early], 10)
        other.poll("/metrics", lambda text: "podlab_leader 1.0" in text)
        play(influxd, database, now[~early], 30)
        other.wait_for_announcements(9)
        assert other.end() == 0
    told = Counter(event["involvedObject"]["name"] for event in events(watch_api))
    logged = Counter(line["pod"] for line in announcements([*leader.lines, *other.lines]))
    assert told == logged == Counter(now["pod"].unique())
    assert watch_api.store.get("leases", "podlab-watcher", "podlab")["spec"]["holderIdentity"] == ""
