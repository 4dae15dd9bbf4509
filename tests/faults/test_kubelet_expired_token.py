"""A token that expires, and rights that are missing, wholly or in part."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import InputError
from tests.support.kubelet import METRICS, STATS, TOKEN, running_cluster


def test_what_came_before_stays_and_a_renewed_token_goes_on(
    samples: pd.DataFrame, certificates: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(2)
        before = len(cluster.fetch())
        for kubelet in cluster.kubelets:
            kubelet.rights.clear()
        cluster.run(3)
        assert len(cluster.fetch()) == before
        assert "the kubelet does not accept the credentials (401); renew the token" in caplog.text
        assert TOKEN not in caplog.text
        for kubelet in cluster.kubelets:
            kubelet.rights[TOKEN] = {STATS, METRICS}
        cluster.run(1)
        assert len(cluster.fetch()) > before
        assert "node node-0 answers again" in caplog.text


def test_a_right_that_is_missing_is_named(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        for kubelet in cluster.kubelets:
            kubelet.rights[TOKEN] = {METRICS}
        cluster.run(1)
        with pytest.raises(InputError, match=r"no right to /stats/summary \(403\).*grant the verb get on nodes/stats"):
            cluster.fetch()


def test_without_the_right_to_metrics_only_block_io_is_missing(
    samples: pd.DataFrame, certificates: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with running_cluster(samples, certificates) as cluster:
        for kubelet in cluster.kubelets:
            kubelet.rights[TOKEN] = {STATS}
        cluster.run(4)
        got = cluster.fetch()
    assert "io_read_bytes" not in got
    assert got["rx_bytes"].notna().all()
    told = [record.message for record in caplog.records]
    assert len(told) == 3
    assert all("no block I/O" in text and "nodes/metrics" in text for text in told)
