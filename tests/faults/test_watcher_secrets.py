"""No secret in what the watcher writes, serves or shows, whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from tests.support.influxd import READER, Influxd, free_ports
from tests.support.kubeapi import KubeApi
from tests.support.watch_process import TOKEN, WatchProcess, begin_now, events, play, run_pods, secrets_in

SHOWN = ("/", "/metrics", "/containers", "/healthz", "/readyz", "/none")


def _shown_by(watcher: WatchProcess) -> list[str]:
    """Everything that somebody else can see of a running watcher."""
    in_process_list = Path(f"/proc/{watcher.process.pid}/cmdline").read_text()
    assert "watch" in in_process_list
    return [in_process_list, *(watcher.get(path).text for path in SHOWN)]


def test_none_while_all_is_well(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    now = begin_now(samples, 40.0)
    run_pods(watch_api, now)
    written = play(influxd, database, now, 10)
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database) as watcher:
        watcher.wait_for_fetch(written)
        play(influxd, database, now, 30)
        watcher.wait_for_announcements(6)
        shown = _shown_by(watcher)
        assert watcher.end() == 0
    assert len(shown[0]) > 10
    assert secrets_in(*shown, json.dumps(watcher.lines), watcher.errors, json.dumps(events(watch_api))) == []
    assert secrets_in(f"{TOKEN} {READER[1]}") == [TOKEN, READER[1]]  # the grep finds what is there


def test_none_while_everybody_refuses_it(
    watch_api: KubeApi, influxd: Influxd, database: str, model: Path, samples: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(watch_api, begin_now(samples, 10.0))
    settings = {"influxdb_user": "nobody", "metrics_timeout": "1s"}
    with WatchProcess(watch_api, tmp_path, model, influxd.url, database, settings=settings) as watcher:
        watcher.wait_for_log("metrics cannot be fetched")
        watch_api.tokens.clear()
        watch_api.order("end")
        watcher.wait_for_log("does not accept the credentials")
        shown = _shown_by(watcher)
        assert watcher.end() == 0
    assert secrets_in(*shown, json.dumps(watcher.lines), watcher.errors) == []


def test_none_where_it_cannot_begin(watch_api: KubeApi, model: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with WatchProcess(watch_api, tmp_path, tmp_path / "no-model", url, "telegraf") as watcher:
        assert watcher.process.wait() == 2
    assert "no-model" in watcher.errors
    assert secrets_in(json.dumps(watcher.lines), watcher.errors) == []
