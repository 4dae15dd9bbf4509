"""A database that takes connections and says nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from tests.faults.influxdb_case import server
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, announcements, begin_now, run_pods


def test_probes_are_answered_meanwhile_and_sigterm_does_not_wait_for_it(
    watch_api: KubeApi, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    with server(b"") as url, WatchProcess(watch_api, tmp_path, model, url, "telegraf") as watcher:
        watcher.wait_for_log("pods at version")
        watcher.poll("/readyz", lambda text: text == "ok\n")
        run_pods(watch_api, begin_now(samples, 10.0))
        watcher.poll("/containers", lambda text: '"waiting"' in text)
        assert watcher.get("/healthz").text == "ok\n"
        before_s = time.monotonic()
        assert watcher.end() == 0
        assert (
            time.monotonic() - before_s < 25
        )  # the database may take 30 s for an answer, Kubernetes gives 30 s in all
    assert announcements(watcher.lines) == []
    assert watcher.lines[-1]["message"] == "stopped"
