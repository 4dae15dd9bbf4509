"""A disk that takes no more bytes while announcements are remembered."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from podlab.watcher.notify import StateStore
from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, begin_now, crowd, events, play, run_pods


def test_announcing_goes_on_and_the_file_stays_readable(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = crowd(begin_now(samples, 30.0), 3)
    state = tmp_path / "announced.jsonl"
    run_pods(watch_api, now)
    written = play(influxd, database, now, 10)
    with WatchProcess(
        watch_api, tmp_path, model, influxd.url, database, settings={"watch_state": str(state)}, most_file_bytes=1000
    ) as watcher:
        watcher.wait_for_fetch(written)
        play(influxd, database, now, 30)
        watcher.wait_for_announcements(18)
        watcher.wait_for_log("announcements are remembered only until a restart")
        watcher.wait_for_log("the file would pass the size limit")
        assert watcher.get("/healthz").text == "ok\n"
        assert 'podlab_errors_total{part="state"}' in watcher.get("/metrics").text
        assert watcher.end() == 0
    assert len(events(watch_api)) == 18
    assert not state.exists() or StateStore(state).size <= 18
