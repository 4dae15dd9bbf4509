"""Answers that end too early although the connection says that they are whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.kubelet import Fault, running_cluster


def test_a_truncated_summary_is_refused(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(1)
        body = b'{"node": {"nodeName": "node-0"}, "pods": [{"podRef": {"name": "a'
        cluster.kubelets[0].always = Fault(body=body, path="/stats")
        cluster.run(1)
        assert "is not a kubelet's or broke off" in cluster.source.failures["node-0"].message


def test_truncated_metrics_cost_the_block_io_only(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        whole = cluster.kubelets[0].cadvisor().encode()
        cluster.kubelets[0].always = Fault(body=whole[: len(whole) // 2 - 3], path="/metrics")
        cluster.run(3)
        got = cluster.fetch()
        assert not cluster.source.failures
    here = got["node"] == "node-0"
    assert here.sum() >= 4
    assert got.loc[here, "io_read_bytes"].isna().all()
    assert got.loc[here, "memory_rss_bytes"].notna().all()
    assert got.loc[~here, "io_read_bytes"].notna().all()
