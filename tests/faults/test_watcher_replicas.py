"""Two watchers beside each other, of which one is killed."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pandas as pd

from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import LEASE, WatchProcess, announcements, begin_now, crowd, events, play, run_pods


def lead(one: WatchProcess, two: WatchProcess) -> tuple[WatchProcess, WatchProcess]:
    """Wait until one of two announces; give it first."""

    def leads(watcher: WatchProcess) -> bool:
        return "podlab_leader 1.0" in watcher.get("/metrics").text

    one.poll("/metrics", lambda text: "podlab_leader 1.0" in text or leads(two))
    return (one, two) if leads(one) else (two, one)


def test_nothing_is_announced_twice_and_nothing_is_missed(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = crowd(begin_now(samples, 30.0), 3)
    early = now["pod"].isin(sorted(now["pod"].unique())[:9])
    settings = {"watch_lease": LEASE}
    one = WatchProcess(watch_api, tmp_path / "1", model, influxd.url, database, settings=settings)
    two = WatchProcess(watch_api, tmp_path / "2", model, influxd.url, database, settings=settings)
    with one, two:
        lead(one, two)
        run_pods(watch_api, now)
        written = play(influxd, database, now[early], 10)
        for each in one, two:
            each.wait_for_fetch(written)
        written = play(influxd, database, now[early], 30)
        for each in one, two:
            each.poll("/containers", lambda text: text.count('"waiting"') == 9)
        one.poll("/metrics", lambda _: len(announcements([*one.read_lines(), *two.read_lines()])) == 9)
        assert len(events(watch_api)) == 9
        # On a busy machine the one may have lost the Lease to the other meanwhile.
        leader, other = lead(one, two)
        leader.end(signal.SIGKILL)
        # A decision takes two checks, also where the other holds the Lease already.
        other.wait_for_fetch(written, play(influxd, database, now[~early], 10))
        other.poll("/metrics", lambda text: "podlab_leader 1.0" in text)
        play(influxd, database, now[~early], 30)
        other.poll("/metrics", lambda _: len(announcements([*leader.lines, *other.read_lines()])) == 18)
        assert other.end() == 0
    told = Counter(event["involvedObject"]["name"] for event in events(watch_api))
    logged = Counter(line["pod"] for line in announcements([*leader.lines, *other.lines]))
    assert told == logged == Counter(now["pod"].unique())
    assert watch_api.store.get("leases", "podlab-watcher", "podlab")["spec"]["holderIdentity"] == ""
