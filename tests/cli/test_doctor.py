"""`podlab doctor` as a user sees it, for what works and for what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.missing_columns import SCORE
from podlab.model import bundle
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.bundles import write_bundle
from tests.support.command import Call
from tests.support.debian import free_ports
from tests.support.influxd import Influxd
from tests.support.kubeapi import KubeApi
from tests.support.kubelet import METRICS, STATS, Kubelet, running_kubelets
from tests.support.kubeobjects import make_node
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples
from tests.support.watch_process import TOKEN, begin_now, grant, run_pods
from tests.support.watching import starting_together

NO_IO = {
    "condition": "no I/O", "families": ["cpu", "memory", "network", "filesystem", "volume"], "horizon_s": 60.0,
    "n_deployments": 420, "lost": 0.012, "lost_low": 0.004, "lost_high": 0.02,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_bundle(tmp_path_factory.mktemp("model") / "small")
    bundle.add_scores(folder, {SCORE: [NO_IO]})
    return folder


@pytest.fixture
def lives() -> pd.DataFrame:
    samples = starting_together(make_samples(("nginx", "redis"), deployments_per_service=1, seconds=120))
    return begin_now(samples.assign(started_at=samples["started_at"].dt.as_unit("ns")), 60)


@pytest.fixture
def api(lives: pd.DataFrame, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    """A cluster in which the watcher may do what deploy/base grants."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODLAB_MODEL_PATH", str(model))
    monkeypatch.setenv("PODLAB_KUBELET_INTERVAL", "300ms")
    with KubeApi() as server:
        grant(server)
        run_pods(server, lives)
        monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "kubeconfig", TOKEN)))
        yield server


@pytest.fixture
def kubelets(
    api: KubeApi, lives: pd.DataFrame, certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Kubelet]]:
    monkeypatch.setenv("PODLAB_KUBELET_CA_FILE", str(certificates[1]))
    user = api.tokens[TOKEN]
    api.allow(user, ["list"], ["nodes"])
    api.allow(user, ["get"], ["nodes/stats", "nodes/metrics"])
    with running_kubelets(lives, certificates, {TOKEN: {STATS, METRICS}}) as running:
        for kubelet in running:
            api.store.put("nodes", make_node(kubelet.node, address=(kubelet.address.host, kubelet.address.port)))
        yield running


def findings(answer: Any) -> dict[str, dict[str, Any]]:
    return {finding["subject"]: finding for finding in answer.lines[0]["findings"]}


@pytest.mark.usefixtures("kubelets")
def test_a_cluster_where_the_watcher_works(call: Call) -> None:
    answer = call("doctor", "--source", "kubelet", "--json")
    assert answer.exit_code == 0, answer.out
    assert answer.lines[0]["works"] is True
    found = findings(answer)
    assert found["right: get nodes/stats"]["ok"]
    metrics = found["metrics of the kubelets"]
    assert metrics["details"]["containers"] == 2
    assert metrics["details"]["interval_s"] == pytest.approx(1.0, abs=0.3)
    assert metrics["details"]["newest_s"] < 10
    assert found["columns"]["ok"]
    assert TOKEN not in answer.out + answer.err


def test_a_missing_right_to_block_io_warns_and_tells_its_cost(call: Call, kubelets: list[Kubelet]) -> None:
    for kubelet in kubelets:
        kubelet.rights[TOKEN] = {STATS}
    answer = call("doctor", "--source", "kubelet", "--json")
    columns = findings(answer)["columns"]
    assert (columns["ok"], columns["needed"], answer.exit_code) == (False, False, 0)
    assert "without io_read_bytes, io_write_bytes" in columns["said"]
    assert "0.012 of macro-F1 (0.004 to 0.020) after 60 s, split by deployment, 420 deployments" in columns["said"]
    assert "kubectl apply -f deploy/overlays/kubelet/rbac.yaml" in columns["todo"]
    assert columns["details"]["cost"]["lost"] == 0.012
    assert columns["details"]["missing_share"]["io_read_bytes"] == 1.0


def test_kubelets_that_refuse_end_with_1(call: Call, kubelets: list[Kubelet]) -> None:
    for kubelet in kubelets:
        kubelet.rights.clear()
    answer = call("doctor", "--source", "kubelet")
    assert answer.exit_code == 1
    assert "the kubelet does not accept the credentials (401)" in answer.out
    assert "FAILS" in answer.out


def test_one_node_that_fails_is_named_and_only_warns(call: Call, kubelets: list[Kubelet], lives: pd.DataFrame) -> None:
    elsewhere = lives.assign(node="node-9")
    kubelets[0].node = "node-9"
    kubelets[0].take(elsewhere[:0])
    kubelets[0].rights.clear()
    answer = call("doctor", "--source", "kubelet", "--json")
    failing = [finding for subject, finding in findings(answer).items() if subject.startswith("kubelet of ")]
    if len(kubelets) > 1:
        assert [finding["needed"] for finding in failing] == [False]
        assert answer.exit_code == 0
    else:
        assert answer.exit_code == 1


@pytest.fixture
def in_influxdb(influxd: Influxd, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("URL", influxd.url),
        ("DATABASE", database),
        ("USER", "reader"),
        ("PASSWORD", influxd.reader[1]),
    ):
        monkeypatch.setenv(f"PODLAB_INFLUXDB_{name}", value)


@pytest.mark.usefixtures("api", "in_influxdb")
def test_rows_of_another_cluster_are_none_that_the_watcher_takes(
    call: Call, influxd: Influxd, database: str, lives: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = InfluxDatabase(influxd.url, database, *influxd.admin)
    replay(lives.assign(cluster="east"), target)
    answer = call("doctor", "--json")
    assert answer.exit_code == 1
    metrics = findings(answer)["metrics in InfluxDB"]
    assert metrics["said"].endswith("no rows of cluster 'local', only of 'east'")
    assert metrics["todo"].endswith("PODLAB_CLUSTER=east")
    assert "columns" not in findings(answer)
    monkeypatch.setenv("PODLAB_CLUSTER", "east")
    assert call("doctor", "--json").exit_code == 0
    target.close()


@pytest.mark.usefixtures("api", "in_influxdb")
def test_a_clock_ahead_of_ours_is_told(call: Call, influxd: Influxd, database: str, lives: pd.DataFrame) -> None:
    target = InfluxDatabase(influxd.url, database, *influxd.admin)
    ahead = pd.Timedelta("200s")
    replay(lives.assign(time=lives["time"] + ahead, started_at=lives["started_at"] + ahead), target)
    metrics = findings(call("doctor", "--json"))["metrics in InfluxDB"]
    assert (metrics["ok"], metrics["needed"]) == (False, False)
    assert metrics["said"].endswith("s ahead of our clock")
    assert "(NTP)" in metrics["todo"]
    target.close()


@pytest.mark.usefixtures("api", "in_influxdb")
def test_stale_metrics_fail_and_fresh_ones_do_not(
    call: Call, influxd: Influxd, database: str, lives: pd.DataFrame
) -> None:
    target = InfluxDatabase(influxd.url, database, *influxd.admin)
    old = lives.assign(time=lives["time"] - pd.Timedelta("400s"), started_at=lives["started_at"] - pd.Timedelta("400s"))
    replay(old.drop(columns=["io_read_bytes", "io_write_bytes"]), target)
    stale = call("doctor", "--json")
    assert stale.exit_code == 1
    metrics = findings(stale)["metrics in InfluxDB"]
    assert metrics["said"].endswith("stale")
    assert "see whether the agent still runs" in metrics["todo"]
    replay(lives.drop(columns=["io_read_bytes", "io_write_bytes"]), target)
    fresh = call("doctor", "--json")
    assert fresh.exit_code == 0, fresh.out
    assert "PODLAB_METRICS_SOURCE=kubelet" in findings(fresh)["columns"]["todo"]
    target.close()
    assert influxd.reader[1] not in stale.out + fresh.out


@pytest.mark.usefixtures("kubelets")
def test_other_sources_that_are_set_up_are_shown_and_decide_nothing(
    call: Call, prometheusd: Prometheusd, lives: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = prometheusd.write(lives[lives["time"] <= pd.Timestamp.now("UTC")])
    monkeypatch.setenv("PODLAB_PROMETHEUS_URL", prometheusd.url)
    monkeypatch.setenv("PODLAB_PROMETHEUS_LABELS", ",".join(f"{name}={value}" for name, value in labels.items()))
    [closed] = free_ports(1)
    monkeypatch.setenv("PODLAB_INFLUXDB_URL", f"http://127.0.0.1:{closed}")
    answer = call("doctor", "--source", "kubelet", "--json")
    assert (answer.exit_code, answer.lines[0]["works"]) == (0, True), answer.out
    found = findings(answer)
    assert {subject for subject, each in found.items() if each["alternative"]} == {
        "instead: metrics in Prometheus", "instead: metrics in InfluxDB",
    }  # fmt: skip
    there = found["instead: metrics in Prometheus"]
    assert (there["ok"], there["needed"], there["details"]["containers"]) == (True, False, 2)
    assert there["todo"] == "to use it: PODLAB_METRICS_SOURCE=prometheus"
    assert "columns (without logsfs_used_bytes)" in there["said"]
    away = found["instead: metrics in InfluxDB"]
    assert (away["ok"], away["needed"]) == (False, False)
    assert "InfluxDB cannot be reached" in away["said"]
    table = call("doctor", "--source", "kubelet")
    [line] = [line for line in table.out.splitlines() if line.startswith("instead: metrics in InfluxDB")]
    assert line.split()[4] == "no"


@pytest.mark.usefixtures("kubelets")
def test_kubelets_are_an_alternative_to_a_database_that_is_down(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    [closed] = free_ports(1)
    monkeypatch.setenv("PODLAB_PROMETHEUS_URL", f"http://127.0.0.1:{closed}")
    answer = call("doctor", "--source", "prometheus", "--json")
    assert answer.exit_code == 1
    found = findings(answer)
    assert (found["metrics in Prometheus"]["ok"], found["metrics in Prometheus"]["alternative"]) == (False, False)
    assert found["instead: metrics of the kubelets"]["ok"], found
    assert "instead: metrics in InfluxDB" not in found  # its address was not given


@pytest.mark.usefixtures("api")
def test_kubelets_that_may_not_be_asked_are_not_asked(call: Call) -> None:
    found = findings(call("doctor", "--source", "prometheus", "--json"))
    kubelets = found["instead: metrics of the kubelets"]
    assert kubelets["said"] == "not granted: list nodes, get nodes/stats"
    assert kubelets["todo"] == "kubectl apply -f deploy/overlays/kubelet/rbac.yaml"
