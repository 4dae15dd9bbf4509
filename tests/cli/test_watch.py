"""``podlab watch`` for a look, and without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.support.bundles import write_bundle
from tests.support.influxd import Influxd, free_ports
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod
from tests.support.synthetic import make_samples
from tests.support.watch_process import LEASE, WatchProcess, announcements, begin_now, events, grant, play, run_pods
from tests.support.watching import starting_together


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as server:
        grant(server)
        yield server


@pytest.fixture
def now() -> pd.DataFrame:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=30, seed=5)
    return begin_now(starting_together(samples), 35.0)


def test_once_says_what_runs_now_and_ends(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(api, now)
    run_pods(api, now.head(1).assign(pod="silent", pod_uid="uid-of-silent"))
    play(influxd, database, now)
    model = write_bundle(tmp_path / "model")
    truth = dict(now[["pod", "service"]].drop_duplicates().itertuples(index=False))
    settings = {"watch_state": str(tmp_path / "announced.jsonl")}
    for _ in range(2):  # whatever was said before, by this one or by a watcher in the cluster
        with WatchProcess(api, tmp_path, model, influxd.url, database, ("--once",), settings) as watcher:
            assert watcher.process.wait() == 0, watcher.errors
            watcher.end_of_output()
        said = {line["pod"]: line["service"] for line in announcements(watcher.lines)}
        assert said == truth | {"silent": None}
        assert len(events(api)) == 5


def test_once_takes_as_long_as_it_takes_to_tell_everybody(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(api, now)
    play(influxd, database, now)
    model = write_bundle(tmp_path / "model")
    # A round has no time for more than one Event.
    settings = {"watch_interval": "1ms"}
    with WatchProcess(api, tmp_path, model, influxd.url, database, ("--once",), settings) as watcher:
        assert watcher.process.wait() == 0, watcher.errors
    assert len(events(api)) == 4


def test_once_fails_where_an_event_cannot_be_made(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    api.faults += 20 * [Fault(500, b"{}", verb="create")]
    run_pods(api, now)
    play(influxd, database, now)
    model = write_bundle(tmp_path / "model")
    with WatchProcess(api, tmp_path, model, influxd.url, database, ("--once",)) as watcher:
        assert watcher.process.wait() == 1
    assert "4 announcements could not be made" in watcher.errors
    assert {request.verb for request in api.requests} == {"list", "watch", "create"}
    assert sum(request.verb == "create" for request in api.requests) == 1  # and nobody waited for the next try


def test_once_fails_where_there_are_no_metrics_to_be_had(api: KubeApi, now: pd.DataFrame, tmp_path: Path) -> None:
    run_pods(api, now)
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with WatchProcess(api, tmp_path, write_bundle(tmp_path / "model"), url, "telegraf", ("--once",)) as watcher:
        assert watcher.process.wait() == 2
    assert "InfluxDB cannot be reached" in watcher.errors


def test_a_dry_run_changes_nothing_anywhere(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(api, now)
    written = play(influxd, database, now, 10)
    state = tmp_path / "announced.jsonl"
    settings = {"watch_state": str(state), "watch_lease": LEASE, "watch_sinks": "log,event,annotation,influxdb"}
    model = write_bundle(tmp_path / "model")
    with WatchProcess(api, tmp_path, model, influxd.url, database, ("--dry-run",), settings) as watcher:
        watcher.wait_for_fetch(written)
        play(influxd, database, now, 30)
        watcher.wait_for_announcements(4)
        assert watcher.end() == 0
    assert {request.verb for request in api.requests} == {"list", "watch"}
    assert not state.exists()


def test_once_without_any_metrics_says_so_once(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path
) -> None:
    run_pods(api, now)
    model = write_bundle(tmp_path / "model")
    with WatchProcess(api, tmp_path, model, influxd.url, database, ("--once",), {}) as watcher:
        assert watcher.process.wait() == 2
        watcher.end_of_output()
    assert announcements(watcher.lines) == []
    assert events(api) == []
    assert "nothing of any of the containers that run" in watcher.errors


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"watch_namespaces": "a, b"}, {"a/mine", "a/other", "b/mine"}),
        ({"watch_excluded_namespaces": "a,c"}, {"b/mine"}),
        ({"watch_namespaces": "a,b", "watch_excluded_namespaces": "b", "watch_selector": "team=mine"}, {"a/mine"}),
    ],
)
def test_only_the_pods_that_are_asked_for_are_told_of(
    api: KubeApi, influxd: Influxd, database: str, now: pd.DataFrame, tmp_path: Path, settings: dict[str, str],
    told: set[str],
) -> None:  # fmt: skip
    one = now[now["pod"] == now["pod"].iloc[0]]
    start = one["started_at"].iloc[0].strftime("%Y-%m-%dT%H:%M:%SZ")
    for place in ("a/mine", "a/other", "b/mine", "c/mine"):
        namespace, name = place.split("/")
        api.store.put("pods", make_pod(name, namespace=namespace, labels={"team": name}, started_at=start))
        play(influxd, database, one.assign(namespace=namespace, pod=name, pod_uid=None))
    model = write_bundle(tmp_path / "model")
    with WatchProcess(api, tmp_path, model, influxd.url, database, ("--once", "--dry-run"), settings) as watcher:
        assert watcher.process.wait() == 0, watcher.errors
        watcher.end_of_output()
    assert {f"{line['namespace']}/{line['pod']}" for line in announcements(watcher.lines)} == told
