"""`podlab collect` and `podlab watch` with Prometheus as the source, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from podlab.data.recordings import read_recording, write_recording
from podlab.data.samples import check_samples
from tests.support.bundles import write_bundle
from tests.support.command import Call
from tests.support.kubeapi import KubeApi
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples
from tests.support.watch_process import WatchProcess, announcements, begin_now, grant, run_pods
from tests.support.watching import starting_together


@pytest.fixture
def now() -> pd.DataFrame:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=30, seed=5)
    return begin_now(starting_together(samples), 35.0)


@pytest.fixture
def ask(prometheusd: Prometheusd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the settings lead to the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODLAB_PROMETHEUS_URL", prometheusd.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


def _only(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())


@pytest.mark.usefixtures("ask")
def test_several_clusters_go_into_one_recording(
    call: Call, prometheusd: Prometheusd, now: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = check_samples(pd.concat([now.assign(cluster="east"), now.assign(cluster="west")]), where="both")
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", _only(prometheusd.write(both)))
    done = call("collect", "--source", "prometheus", "--since", "600s", "--out", "got.parquet", "--json")
    assert (done.exit_code, done.err) == (0, "")
    assert done.lines[0]["rows"] == len(both)
    got = read_recording([Path("got.parquet")])
    assert got.groupby("cluster").size().to_dict() == {"east": len(now), "west": len(now)}
    assert got["pod_uid"].notna().all()


@pytest.mark.usefixtures("ask")
def test_collecting_again_adds_what_is_new_and_nothing_twice(
    call: Call, prometheusd: Prometheusd, now: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = now["time"] < now["started_at"].min() + pd.Timedelta(15, "s")
    labels = prometheusd.write(now[early])
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", _only(labels))

    def collect_again() -> pd.DataFrame:
        done = call("collect", "--source", "prometheus", "--since", "600s", "--out", "fleet/", "--json")
        assert done.exit_code == 0, done.err
        return read_recording([Path("fleet")])

    assert len(collect_again()) == early.sum()
    prometheusd.add(now[~early], labels)
    for _ in range(2):
        got = collect_again()
        assert len(got) == len(now)
        assert not got.duplicated(["pod", "container", "time"]).any()


@pytest.mark.usefixtures("ask")
def test_a_server_that_holds_nothing_says_what_to_do(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", "cluster=nowhere")
    done = call("collect", "--source", "prometheus", "--out", "got.parquet")
    assert done.exit_code == 2
    [line] = done.err.splitlines()
    assert "no container metrics from" in line
    assert "let Prometheus scrape the kubelets' /metrics/cadvisor" in line
    assert not Path("got.parquet").exists()


def test_the_watcher_tells_what_runs(prometheusd: Prometheusd, now: pd.DataFrame, tmp_path: Path) -> None:
    labels = prometheusd.write(now)
    settings = {
        "metrics_source": "prometheus", "prometheus_url": prometheusd.url, "prometheus_labels": _only(labels),
        "watch_sinks": "log",
    }  # fmt: skip
    with KubeApi() as api:
        grant(api)
        run_pods(api, now)
        model = write_bundle(tmp_path / "model")
        with WatchProcess(api, tmp_path, model, "http://127.0.0.1:1", "none", ("--once",), settings) as watcher:
            assert watcher.process.wait() == 0
            watcher.end_of_output()
    truth = dict(now[["pod", "service"]].drop_duplicates().itertuples(index=False))
    assert {line["pod"]: line["service"] for line in announcements(watcher.lines)} == truth
    assert prometheusd.url not in json.dumps([line for line in watcher.lines if line["event"] != "log"])


@pytest.mark.usefixtures("ask")
def test_a_recording_is_replayed_and_collected_again(
    call: Call, prometheusd: Prometheusd, now: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(now.assign(cluster="replayed"), Path("sent.parquet"))
    sent = call("replay", "sent.parquet", "--to", "prometheus", "--now", "--json")
    assert (sent.exit_code, sent.err) == (0, "")
    assert sent.lines[0]["samples"] == len(now)
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", "cluster=replayed")
    got = call("collect", "--source", "prometheus", "--since", "600s", "--out", "got.parquet", "--json")
    assert got.exit_code == 0, got.err
    assert got.lines[0]["rows"] == len(now)
    again = call("replay", "sent.parquet", "--to", "prometheus", "--prometheus-url", prometheusd.url)
    assert again.exit_code == 2
    [line] = again.err.splitlines()
    assert "the server has newer samples than these" in line


@pytest.mark.usefixtures("ask")
def test_a_recording_is_replayed_at_a_kubelets_cadence(
    call: Call, now: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(now.assign(cluster="sparse"), Path("sent.parquet"))
    sent = call("replay", "sent.parquet", "--to", "prometheus", "--now", "--kubelet-cadence", "--json")
    assert (sent.exit_code, sent.err) == (0, "")
    assert 0 < sent.lines[0]["samples"] <= len(now) / 8
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", "cluster=sparse")
    got = call("collect", "--source", "prometheus", "--since", "600s", "--out", "got.parquet", "--json")
    assert got.exit_code == 0, got.err
    # What was measured apart, too far from any row, has a row of its own.
    measured = read_recording([Path("got.parquet")])["memory_usage_bytes"].notna()
    assert measured.sum() == sent.lines[0]["samples"]
