"""A database that takes connections and says nothing, or takes its time for each answer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import pandas as pd

from podlab.watcher.status import STUCK_S
from tests.faults.influxdb_case import server
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, announcements, begin_now, run_pods
from tests.support.watching import make_watched, pods_of
from tests.watcher.conftest import MakeBench


def test_a_round_of_very_many_ends_before_it_counts_as_stuck_and_all_are_told_in_the_end(
    bench: MakeBench, samples: pd.DataFrame
) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]]
    # It goes on for hours: where nothing came of anybody, nothing would be said of single containers.
    hours = one.iloc[[-1] * 6 * 60 * 4].reset_index(drop=True)
    hours["time"] += pd.to_timedelta(10 * (1 + hours.index), unit="s")
    here = bench(samples=pd.concat([one, hours], ignore_index=True))
    answer = here.table.fetch

    def answer_slowly(since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        here.clock.at_s += 25.0
        return answer(since, until, pods=pods)

    here.table.fetch = answer_slowly  # type: ignore[method-assign]
    start = here.clock.at_s
    started_at = pd.Timestamp(start, unit="s", tz="UTC").floor("s").to_pydatetime()
    here.appear(*pods_of(one), *(make_watched(f"pod-{n}", f"uid-{n}", started_at) for n in range(8000)))
    longest_s = 0.0
    while len(here.lines) < 8001:
        before_s = here.clock.at_s
        here.watcher.run_round()
        longest_s = max(longest_s, here.clock.at_s - before_s)
        here.clock.at_s += 10.0
        assert here.clock.at_s - start < 4 * 3600
    assert longest_s < STUCK_S
    assert len({line["pod"] for line in here.lines}) == 8001


def test_probes_are_answered_meanwhile_and_sigterm_does_not_wait_for_it(
    watch_api: KubeApi, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    with server(b"") as url, WatchProcess(watch_api, tmp_path, model, url, "telegraf") as watcher:
        watcher.wait_for_log("pods at version")
        watcher.poll("/readyz", lambda text: text == "ok\n")
        run_pods(watch_api, begin_now(samples, 10.0))
        watcher.poll("/containers", lambda text: '"waiting"' in text)
        assert watcher.get("/healthz").text == "ok\n"
        assert watcher.end() == 0  # well before the database's ten minutes are over
    assert announcements(watcher.lines) == []
    assert watcher.lines[-1]["message"] == "stopped"
