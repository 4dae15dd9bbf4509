"""Series whose pods and containers stand in different labels, all in one real server: each is read by its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from podlab.sources.prometheus import PrometheusSource
from podlab.sources.remote_write import OutSeries, write_series
from tests.support.prometheusd import Prometheusd

BEGIN_MS = 1_767_600_000_000
STEP_MS, COUNT = 10_000, 6
UID = "577dee3a-0f95-4a6f-8c64-c72c45d5bb{:02d}"
#: How the names of namespace, pod and container are written, and what the scrape's target adds.
SPELLINGS: dict[str, tuple[tuple[str, str, str], dict[str, str]]] = {
    "kubelet-0": (("namespace", "pod", "container"), {"job": "kubelet"}),
    "older-0": (("namespace", "pod_name", "container_name"), {"job": "kubelet-1.15"}),
    "federated-0": (
        ("exported_namespace", "exported_pod", "exported_container"),
        {"job": "federate", "namespace": "monitoring", "pod": "prometheus-0", "container": "prometheus"},
    ),
    "halfway-0": (
        ("exported_namespace", "exported_pod", "container"),
        {"job": "half", "namespace": "kube-system", "pod": "agent-0"},
    ),
}  # fmt: skip


def cadvisor(pod: str, number: int, names: tuple[str, str, str], others: Mapping[str, str]) -> list[OutSeries]:
    """Series of one container, and of its pod's cgroup and network."""
    time_ms = BEGIN_MS + STEP_MS * np.arange(COUNT, dtype=np.int64)
    namespace, pod_label, container = names
    path = f"/kubepods/burstable/pod{UID.format(number)}"
    of_pod = {**others, namespace: "lab", pod_label: pod}
    of_container = {**of_pod, container: "main", "id": f"{path}/0a"}
    series = {
        "container_memory_working_set_bytes": [(of_container, number * 1e6), ({**of_pod, "id": path}, 7e9)],
        "container_memory_rss": [(of_container, number * 1e5), ({**others, "id": "/system.slice"}, 9e9)],
        "container_start_time_seconds": [(of_container, BEGIN_MS / 1000 - 5)],
        "container_network_receive_bytes_total": [({**of_pod, "interface": "eth0", "id": path}, number * 10.0)],
        "container_network_transmit_bytes_total": [({**of_pod, "interface": "eth0", "id": path}, number * 10.0)],
    }
    return [
        OutSeries(dict(sorted({"__name__": name, **labels}.items())), time_ms, np.full(COUNT, value))
        for name, each in series.items()
        for labels, value in each
    ]


@pytest.fixture(scope="module", params=["prometheusd", "victoria"])
def source(request: pytest.FixtureRequest) -> PrometheusSource:
    server: Prometheusd = request.getfixturevalue(request.param)
    own = {"recording": "spellings"}
    series = [
        each
        for number, (pod, (names, others)) in enumerate(SPELLINGS.items(), 1)
        for each in cadvisor(pod, number, names, {**others, **own})
    ]
    write_series(series, server.api())
    server.settle()
    return PrometheusSource(server.api(), labels=own)


def fetch(source: PrometheusSource, pods: list[str] | None = None) -> pd.DataFrame:
    since = pd.Timestamp(BEGIN_MS, unit="ms", tz="UTC")
    return source.fetch(since, since + pd.Timedelta(STEP_MS * COUNT, "ms"), pods=pods)


def test_each_container_comes_and_nothing_else(source: PrometheusSource) -> None:
    got = fetch(source)
    assert got.groupby(["namespace", "pod", "container"]).size().to_dict() == {
        ("lab", pod, "main"): COUNT for pod in SPELLINGS
    }
    by_pod = got.groupby("pod").first()
    for number, pod in enumerate(SPELLINGS, 1):
        row = by_pod.loc[pod]
        assert row[["memory_working_set_bytes", "memory_rss_bytes", "rx_bytes"]].tolist() == [
            number * 1e6, number * 1e5, number * 10,
        ]  # fmt: skip
        assert row["pod_uid"] == UID.format(number)


@pytest.mark.parametrize("pods", [[pod] for pod in SPELLINGS] + [["kubelet-0", "federated-0"]])
def test_each_can_be_asked_for_by_name(source: PrometheusSource, pods: list[str]) -> None:
    got = fetch(source, pods)
    assert got["pod"].value_counts().to_dict() == dict.fromkeys(pods, COUNT)
    assert got["rx_bytes"].notna().all()
