"""Samples told again and again, and older ones after newer ones: each counts once, and none goes back in time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.kubelet import Cluster, running_cluster


def _counts(cluster: Cluster) -> pd.Series:
    return cluster.fetch().groupby("pod").size()


def test_a_kubelet_that_stands_still_brings_nothing_new(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(3)
        before = _counts(cluster)
        assert [cluster.source.poll() for _ in range(5)] == [0] * 5
        pd.testing.assert_series_equal(_counts(cluster), before)


def test_a_sample_from_before_the_last_one_is_left_out(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(10)
        before = _counts(cluster)
        cluster.at_s[0] -= 6
        assert cluster.source.poll() == 0
        cluster.run(9)
        got = cluster.fetch()
    assert not got.duplicated(["pod", "time"]).any()
    assert (got.groupby("pod").size() - before).between(2, 4).all()
    assert got.groupby("pod")["cpu_usage_core_nanoseconds"].diff().dropna().ge(0).all()


def test_a_container_told_twice_in_one_answer_counts_once(
    samples: pd.DataFrame, certificates: tuple[Path, Path]
) -> None:
    with running_cluster(samples, certificates) as cluster:
        for kubelet in cluster.kubelets:
            kubelet._lives += kubelet._lives
        cluster.run(5)
        assert not cluster.fetch().duplicated(["pod", "time"]).any()
        assert _counts(cluster).between(4, 6).all()
