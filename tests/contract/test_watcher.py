"""What the watcher serves, tells and keeps, against a real InfluxDB and an API server over HTTP."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.conftest import ASKED, BUNDLE
from tests.contract.golden import FIXTURES, check, shape_of
from tests.support.command import Call
from tests.support.influxd import READER, Influxd
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod
from tests.support.watch_process import WatchProcess, announcements, events, grant, play, run_pods

STATE = FIXTURES / "announced.jsonl"
#: The containers of the state file; all started when a pod of the test API server does.
OLD_PODS = ("old-identified", "old-unknown", "old-silent", "old-anomalous")


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as server:
        grant(server)
        yield server


@pytest.fixture
def now() -> pd.DataFrame:
    """The asked recording, as if all its containers had started together a little more than a minute ago."""
    samples = pd.read_parquet(ASKED)
    start = pd.Timestamp.now(tz="UTC").floor("s") - pd.Timedelta(seconds=65)
    shift = start - samples["started_at"].dt.floor("s")
    return samples.assign(cluster="local", time=samples["time"] + shift, started_at=samples["started_at"] + shift)


def _without_times(event: dict[str, Any]) -> dict[str, Any]:
    """Leave out what differs from run to run: times, and the names made of them."""
    metadata = {key: value for key, value in event["metadata"].items() if key in ("namespace",)}
    changing = ("firstTimestamp", "lastTimestamp", "reportingInstance", "source", "metadata")
    kept = {key: value for key, value in event.items() if key not in changing}
    return kept | {"metadata": metadata, "component": event["source"]["component"], "keys": sorted(event)}


def test_one_look_tells_what_it_told(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(api, now)
    play(influxd, database, now)
    with WatchProcess(api, tmp_path, BUNDLE, influxd.url, database, ("--once",)) as watcher:
        assert watcher.process.wait() == 0
        watcher.end_of_output()
    told = {event["involvedObject"]["name"]: _without_times(event) for event in events(api)}
    check("watcher-events", told)
    lines = announcements(watcher.lines)
    check("watcher-lines", {line["event"]: shape_of(line) for line in lines})
    services = ("service", "confidence", "candidates", "similar", "known", "novelty")
    check("watcher-answers", {line["pod"]: {key: line.get(key) for key in services} for line in lines})


def test_what_a_watcher_serves_and_keeps(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    state = tmp_path / "announced.jsonl"
    shutil.copy(STATE, state)
    before = [json.loads(line) for line in STATE.read_text().splitlines()]
    for pod in OLD_PODS:
        api.store.put("pods", make_pod(pod, namespace="lab", uid=f"uid-of-{pod}", images={"main": "example.test/a:1"}))
    api.store.put("pods", make_pod("crashing", namespace="lab", uid="uid-of-crashing", started_at=None))
    settings = {"watch_state": str(state)}
    written = play(influxd, database, now, 30)
    with WatchProcess(api, tmp_path, BUNDLE, influxd.url, database, settings=settings) as watcher:
        watcher.wait_for_log("pods at version")
        run_pods(api, now)
        watcher.wait_for_fetch(written)
        play(influxd, database, now, 58)
        watcher.wait_for_announcements(1)
        probes = {path: watcher.get(path).text for path in ("/healthz", "/readyz")}
        check("watcher-probes", probes)
        check("watcher-metrics", _families(watcher.get("/metrics").text))
        containers = {each["pod"]: each for each in json.loads(watcher.get("/containers").text)}
        page, overview = watcher.get("/").text, json.loads(watcher.get("/overview").text)
        assert watcher.end() == 0
    by_state: dict[str, list[Any]] = {}
    for each in containers.values():
        by_state.setdefault(str(each["state"]), []).append(each)
    decided = [each for each in by_state["decided"] if "candidates" in each]
    forms = {"not started": by_state["not started"][0], "decided": decided[0]}
    check("watcher-containers", {name: shape_of(_plain(each)) for name, each in forms.items()})
    # Nothing that was told before the restart is told again.
    assert {pod: containers[pod]["service"] for pod in OLD_PODS} == {
        entry["key"].split("/")[0].removeprefix("uid-of-"): entry["service"] for entry in before
    }
    assert not set(OLD_PODS) & {line["pod"] for line in announcements(watcher.lines)}
    columns = re.findall(r'<th scope="col">(.*?)</th>', page)
    check("watcher-page", {"columns": columns, "overview": sorted(overview)})
    entries = [json.loads(line) for line in state.read_text().splitlines()]
    new = [entry for entry in entries if entry["key"] not in {each["key"] for each in before}]
    assert new
    check("watcher-state", shape_of(new[0]))
    assert [shape_of(entry).keys() for entry in before] == [shape_of(new[0]).keys()] * len(before)


def _plain(container: dict[str, Any]) -> dict[str, Any]:
    """Leave the services out of the candidates, so that the form does not depend on which container it is."""
    return container | ({"candidates": sorted(container["candidates"])} if "candidates" in container else {})


def _families(text: str) -> dict[str, Any]:
    """Give type, help and labels of each metric; buckets too, and values of labels that are no names of models."""
    found = {}
    for family in text_string_to_metric_families(text):
        labels = {name for sample in family.samples for name in sample.labels}
        fixed = ("state", "what", "le")
        found[family.name] = {
            "type": family.type,
            "help": family.documentation,
            "labels": sorted(labels),
            "values": {
                name: list(dict.fromkeys(sample.labels[name] for sample in family.samples if name in sample.labels))
                for name in fixed
                if name in labels
            },
            "samples": sorted({sample.name for sample in family.samples}),
        }
    return found


@pytest.mark.usefixtures("no_folder")
def test_collecting_and_replaying(
    call: Call, influxd: Influxd, database: str, now: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recording = tmp_path / "now.parquet"
    now.to_parquet(recording, index=False)
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", influxd.admin[1])
    where = ("--influxdb-url", influxd.url, "--influxdb-database", database)
    replayed = call("replay", recording, *where, "--influxdb-user", influxd.admin[0], "--json")
    assert (replayed.exit_code, replayed.err) == (0, "")
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", READER[1])
    words = (*where, "--influxdb-user", READER[0], "--out", tmp_path / "out.parquet", "--inventory", "no", "--json")
    collected = call("collect", *words)
    assert (collected.exit_code, collected.err) == (0, "")
    check("json-live", {"replay": shape_of(replayed.lines[0]), "collect": shape_of(collected.lines[0])})
    columns = pd.read_parquet(tmp_path / "out.parquet").dtypes
    check("recording-collected", {name: str(kind) for name, kind in columns.items()})
