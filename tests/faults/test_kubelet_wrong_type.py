"""Values of another kind than they must be, or out of all bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.sources.kubelet import KubeletAddress, KubeletSource
from podlab.sources.kubelet_answers import Reading, read_summary
from tests.support.kubelet import Fault, running_cluster


@pytest.mark.parametrize("value", ["many", [1], 1.5, True])
def test_a_value_of_another_kind_is_named(
    samples: pd.DataFrame, certificates: tuple[Path, Path], value: object
) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(1)
        summary = cluster.kubelets[0].summary()
        summary["pods"][0]["containers"][0]["memory"]["rssBytes"] = value
        cluster.kubelets[0].always = Fault(body=json.dumps(summary).encode(), path="/stats")
        cluster.run(1)
        assert "at `$.pods[0].containers[0].memory.rssBytes`" in cluster.source.failures["node-0"].message


@pytest.mark.parametrize("value", [2**64 - 1, -5, None])
def test_a_value_that_cannot_be_is_missing(
    samples: pd.DataFrame, certificates: tuple[Path, Path], value: int | None
) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.at_s[0] += 1
        summary = cluster.kubelets[0].summary()
        pod = summary["pods"][0]["podRef"]["name"]
        summary["pods"][0]["containers"][0]["memory"]["rssBytes"] = value
        cluster.kubelets[0].always = Fault(body=json.dumps(summary).encode(), path="/stats")
        cluster.source.poll()
        got = cluster.fetch().set_index("pod")
    assert pd.isna(got.loc[pod, "memory_rss_bytes"])
    assert got["memory_usage_bytes"].notna().all()
    assert got["memory_rss_bytes"].notna().sum() == len(got) - 1


def test_sections_that_are_not_there_are_missing(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    bare = {
        "node": {"nodeName": "node-0"},
        "pods": [
            {"podRef": {"name": "a", "namespace": "n", "uid": "u"}, "containers": [
                {"name": "main", "memory": {"time": "2026-01-05T08:00:01Z", "usageBytes": 7}},
                {"name": "new", "cpu": {}, "memory": None}]},
            {"podRef": {"name": "b"}, "containers": None},
        ],
    }  # fmt: skip
    with running_cluster(samples[samples["node"] == "node-0"], certificates) as cluster:
        cluster.kubelets[0].always = Fault(body=json.dumps(bare).encode(), path="/stats")
        cluster.run(1)
        got = cluster.fetch()
    assert got[["pod", "container", "memory_usage_bytes"]].to_numpy().tolist() == [["a", "main", 7.0]]
    assert "cpu_usage_nanocores" not in got
    assert got["started_at"].isna().all()


def test_times_that_are_none(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    no_time = "0001-01-01T00:00:00Z"
    cpu = {"time": "2026-01-05T08:00:01Z", "usageNanoCores": 7}
    answer = {
        "node": {"nodeName": "node-0"},
        "pods": [
            {"podRef": {"name": "a"}, "containers": [{"name": "main", "startTime": no_time, "cpu": cpu}]},
            {"podRef": {"name": "b"}, "containers": [{"name": "main", "cpu": {**cpu, "time": no_time}}]},
        ],
    }
    with running_cluster(samples[samples["node"] == "node-0"], certificates) as cluster:
        cluster.kubelets[0].always = Fault(body=json.dumps(answer).encode(), path="/stats")
        cluster.run(1)
        got = cluster.fetch()
        assert got["pod"].tolist() == ["a"]
        assert got["started_at"].isna().all()
        cpu["time"] = "2026-01-05T08:00:02"
        cluster.kubelets[0].always = Fault(body=json.dumps(answer).encode(), path="/stats")
        cluster.run(1)
        assert "at `$.pods[0].containers[0].cpu.time`" in cluster.source.failures["node-0"].message


def test_what_nobody_expected_of_one_node_costs_no_other(
    samples: pd.DataFrame, certificates: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(answer: bytes, node: str, columns: tuple[str, ...]) -> Reading:
        if node == "node-0":
            raise RecursionError("so deep")
        return read_summary(answer, node, columns)

    monkeypatch.setattr("podlab.sources.kubelet.read_summary", read)
    with running_cluster(samples, certificates) as cluster:
        cluster.run(2)
        assert set(cluster.fetch()["node"]) == {"node-1", "node-2"}
        assert cluster.source.failures["node-0"].message == "its answer cannot be read: RecursionError: so deep"


def test_a_list_of_nodes_that_nobody_expected_holds_nobody_up() -> None:
    def nodes() -> list[KubeletAddress]:
        raise RecursionError("so deep")

    source = KubeletSource(nodes, lambda address, path: b"", interval_s=0.05).start()
    try:
        with pytest.raises(InputError):
            source.fetch(pd.Timestamp("2026-01-05T08:00Z"), pd.Timestamp("2026-01-05T09:00Z"))
    finally:
        source.close()
