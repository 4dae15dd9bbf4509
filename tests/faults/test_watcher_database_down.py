"""A database that cannot be reached: everything waits, nothing is given up, and all is caught up afterwards."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from podlab.errors import InputError
from tests.support.influxd import free_ports
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import WatchProcess, announcements, begin_now, run_pods
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth


def test_time_without_it_is_no_waiting_and_it_is_asked_once_a_round(bench: MakeBench, samples: pd.DataFrame) -> None:
    here = bench()
    here.appear(*pods_of(samples))
    here.table.fault = InputError("InfluxDB cannot be reached: Connection refused", where="http://db:8086")
    here.run(600)
    assert here.lines == []
    assert len(here.table.asked) == 61
    assert here.watcher.database_error == "http://db:8086: InfluxDB cannot be reached: Connection refused"
    here.table.fault = None
    # What happened in the beginning of those ten minutes is still within reach.
    here.clock.at_s = samples["time"].min().timestamp() + 20
    here.run(80)
    assert dict(here.announced()) == truth(samples)
    assert here.watcher.database_error is None


def test_the_process_lives_and_says_so_once_a_minute(
    watch_api: KubeApi, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(watch_api, begin_now(samples, 10.0))
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with WatchProcess(watch_api, tmp_path, model, url, "telegraf", settings={"metrics_timeout": "1s"}) as watcher:
        watcher.wait_for_log("metrics cannot be fetched, and will be later")
        errors = 'podlab_errors_total{part="database"}'
        watcher.poll("/metrics", lambda text: errors in text and float(text.split(errors)[1].split()[0]) >= 10)
        assert watcher.get("/healthz").status_code == 200
        assert watcher.get("/readyz").status_code == 503
        assert "no metrics come: " in watcher.get("/readyz").text
        assert "InfluxDB cannot be reached" in watcher.get("/overview").text
        assert watcher.end() == 0
    assert announcements(watcher.lines) == []
    assert sum("metrics cannot be fetched" in line["message"] for line in watcher.lines) == 1
