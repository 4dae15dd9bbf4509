"""Containers that may share a configuration share a deployment."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.data.workloads import deployments_of, strip_generated, workload_of


def pods(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"namespace": "shop", "pod": "web-0"} | row for row in rows])


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d4b9c6f5d-x2kzq", "web"),
        ("shop-web-5f9bd7c8d6-wxz2v", "shop-web"),
        ("mysql-0", "mysql"),
        ("fluentd-x2kzq", "fluentd"),
        ("backup-29123460-7hd2k", "backup"),
        ("train-3-7hd2k", "train"),
        ("mysql-primary", "mysql-primary"),
        ("mysql-proxy", "mysql-proxy"),
        ("nginx", "nginx"),
        ("42", "42"),
        ("-0", "-0"),
        ("recording-000123", "recording-000123"),
    ],
)
def test_only_generated_endings_go(pod: str, workload: str) -> None:
    assert strip_generated(pod) == workload


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (
            {"pod_labels": {"app.kubernetes.io/instance": "release-1"}, "owner_kind": "Job", "owner_name": "x"},
            "release-1",
        ),
        ({"owner_kind": "ReplicaSet", "owner_name": "web-7d4b9c6f5d"}, "web"),
        ({"owner_kind": "ReplicaSet", "owner_name": "web-by-hand"}, "web-by-hand"),
        ({"owner_kind": "StatefulSet", "owner_name": "db-1"}, "db-1"),
        ({"owner_kind": "Job", "owner_name": "backup-29123460"}, "backup"),
        ({"owner_kind": "Node", "owner_name": "node-1", "pod": "etcd-node-1"}, "etcd-node"),
        ({"pod": "lone"}, "lone"),
    ],
)
def test_label_goes_before_owner_before_name(row: dict[str, Any], name: str) -> None:
    assert deployments_of(pods(row)).tolist() == [f"local/shop/{name}"]


def test_clusters_and_namespaces_are_kept_apart() -> None:
    rows = pods({"cluster": "east"}, {"cluster": "west"}, {"namespace": "x"}, {"namespace": None})
    assert deployments_of(rows).tolist() == ["east/shop/web", "west/shop/web", "local/x/web", "local//web"]


def test_a_pod_that_is_gone_joins_its_replicas() -> None:
    rows = pods(
        {"pod": "web-7d4b9c6f5d-x2kzq", "pod_labels": {"app.kubernetes.io/instance": "release"}},
        {"pod": "web-5f9bd7c8d6-bbbbb"},
        {"pod": "web-5f9bd7c8d6-bbbbb", "namespace": "other"},
    )
    assert deployments_of(rows).tolist() == ["local/shop/release", "local/shop/release", "local/other/web"]


RANDOM = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=5)
HASH = st.integers(10_000, 2**32 - 1).map(
    lambda number: str(number).translate(str.maketrans("0123456789", "456789bcdf"))
)


@given(st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True), st.lists(st.tuples(HASH, RANDOM), min_size=2))
def test_all_replicas_and_revisions_of_a_workload_are_one_deployment(name: str, endings: list[tuple[str, str]]) -> None:
    rows = [{"pod": f"{name}-{template}-{ending}"} for template, ending in endings]
    assert len(set(deployments_of(pods(*rows)))) == 1


@given(
    st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    st.lists(st.integers(0, 9999), min_size=2, max_size=5),
)
def test_all_members_of_a_stateful_set_are_one_deployment(name: str, ordinals: list[int]) -> None:
    rows = [{"pod": f"{name}-{ordinal}"} for ordinal in ordinals]
    assert len(set(deployments_of(pods(*rows)))) == 1


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d4b9c6f5d-x2kzq", "Deployment/web"),
        ("backup-29123460-7hd2k", "CronJob/backup"),
        ("train-3-7hd2k", "Job/train"),
        ("fluentd-x2kzq", "DaemonSet/fluentd"),
        ("mysql-0", "StatefulSet/mysql"),
        ("mysql-primary", "Pod/mysql-primary"),
    ],
)
def test_the_kind_of_a_workload_is_guessed_from_the_ending_of_the_name(pod: str, workload: str) -> None:
    assert workload_of(pod) == workload
