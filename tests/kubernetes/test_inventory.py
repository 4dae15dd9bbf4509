"""The inventory has one row for each running container, whatever the pages."""

from __future__ import annotations

import logging

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from podlab.errors import InputError
from podlab.kubernetes.client import ApiConnection
from podlab.kubernetes.inventory import COLUMNS, read_inventory
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_node, make_pending_pod, make_pod

DIGEST = "sha256:" + "ab" * 32


def test_a_row_says_what_runs_where_since_when(api: KubeApi, connection: ApiConnection) -> None:
    pod = make_pod(
        "web-7d4b9c6f5d-x2kzq", namespace="shop", images={"web": "nginx:1.25", "proxy": "envoy"}, uid="u-1",
        labels={"app": "web"}, owner=("ReplicaSet", "web-7d4b9c6f5d"), started_at="2026-01-05T08:00:07Z",
    )  # fmt: skip
    api.store.put("pods", pod)
    api.store.put(
        "nodes", make_node("node-1", {(f"docker.io/library/nginx@{DIGEST}", "docker.io/library/nginx:1.25"): 71})
    )
    table = read_inventory(connection, cluster="east")
    assert table.dtypes.astype("str").to_dict() == COLUMNS
    proxy, web = table.to_dict("records")
    assert pd.isna(proxy["image_size_bytes"])
    assert web == {
        "cluster": "east", "node": "node-1", "namespace": "shop", "pod": "web-7d4b9c6f5d-x2kzq", "pod_uid": "u-1",
        "container": "web", "image": "nginx:1.25", "started_at": pd.Timestamp("2026-01-05T08:00:07Z"),
        "image_size_bytes": 71.0, "pod_labels": {"app": "web"}, "owner_kind": "ReplicaSet",
        "owner_name": "web-7d4b9c6f5d",
    }  # fmt: skip


def test_containers_that_do_not_run_have_no_row(api: KubeApi, connection: ApiConnection) -> None:
    sidecar = make_pod("with-sidecar", images={"main": "nginx", "log": "fluentd", "debug": "busybox"})
    regular, init, debug = sidecar["status"]["containerStatuses"]
    sidecar["status"] |= {
        "containerStatuses": [regular], "initContainerStatuses": [init], "ephemeralContainerStatuses": [debug],
    }  # fmt: skip
    ended = make_pod("ended")
    ended["status"]["containerStatuses"][0]["state"] = {
        "terminated": {"exitCode": 0, "startedAt": "2026-01-05T08:00:00Z"}
    }
    for pod in (sidecar, ended, make_pending_pod("pending"), make_pod("crashing", started_at=None)):
        api.store.put("pods", pod)
    table = read_inventory(connection)
    assert table[["pod", "container"]].to_numpy().tolist() == [["with-sidecar", "main"]]


def test_a_sidecar_is_a_container_like_others(api: KubeApi, connection: ApiConnection) -> None:
    pod = make_pod("web", images={"main": "nginx", "proxy": "envoy", "migrate": "flyway"})
    main, proxy, migrate = pod["status"]["containerStatuses"]
    pod["status"] |= {"containerStatuses": [main], "initContainerStatuses": [proxy, migrate]}
    containers = {each["name"]: each for each in pod["spec"]["containers"]}
    pod["spec"] |= {
        "containers": [containers["main"]],
        "initContainers": [{**containers["proxy"], "restartPolicy": "Always"}, containers["migrate"]],
    }
    api.store.put("pods", pod)
    table = read_inventory(connection)
    assert table[["container", "image"]].to_numpy().tolist() == [["main", "nginx"], ["proxy", "envoy"]]


def test_nothing_running_gives_no_rows_with_all_columns(connection: ApiConnection) -> None:
    assert read_inventory(connection).dtypes.astype("str").to_dict() == COLUMNS


def test_an_image_that_names_none_gives_way_to_one_that_does(api: KubeApi, connection: ApiConnection) -> None:
    by_digest = make_pod("a", images={"main": f"sha256:{'0a' * 32}"})
    by_digest["status"]["containerStatuses"][0]["image"] = "docker.io/library/redis:7"
    api.store.put("pods", by_digest)
    asked_for = make_pod("b", images={"main": "mysql:8.4"})
    asked_for["status"]["containerStatuses"][0]["image"] = f"sha256:{'0a' * 32}"
    api.store.put("pods", asked_for)
    assert read_inventory(connection)["image"].tolist() == ["docker.io/library/redis:7", "mysql:8.4"]


def test_the_digest_counts_more_than_a_tag_that_moved(api: KubeApi, connection: ApiConnection) -> None:
    api.store.put("nodes", make_node("node-1", {(f"nginx@{DIGEST}",): 50, ("docker.io/library/nginx:1.25",): 60}))
    api.store.put("nodes", make_node("node-2", {("docker.io/library/nginx:1.25",): 70}))
    api.store.put("pods", make_pod("a", image_id=f"docker-pullable://nginx@{DIGEST}"))
    api.store.put("pods", make_pod("b", node="node-2"))
    assert read_inventory(connection)["image_size_bytes"].tolist() == [50, 70]


@pytest.mark.parametrize("page_size", [1, 3, 7, 100])
def test_pages_of_any_size_give_the_same(api: KubeApi, connection: ApiConnection, page_size: int) -> None:
    for number in range(7):
        api.store.put("pods", make_pod(f"pod-{number}", namespace=f"ns-{number % 3}"))
        api.store.put("nodes", make_node(f"node-{number}", {("nginx:1.25",): number}))
    expected = read_inventory(connection, page_size=0)
    api.requests.clear()
    assert_frame_equal(read_inventory(connection, page_size=page_size), expected)
    assert len(expected) == 7
    assert expected.index.tolist() == list(range(7))
    assert sum(request.resource == "pods" for request in api.requests) == -(-7 // page_size)
    assert sum(request.resource == "nodes" for request in api.requests) == -(-7 // page_size)


def test_only_some_namespaces_and_labels(api: KubeApi, connection: ApiConnection) -> None:
    for namespace in ("a", "b", "c"):
        api.store.put("pods", make_pod("web", namespace=namespace, labels={"tier": "front"}))
        api.store.put("pods", make_pod("db", namespace=namespace))
    table = read_inventory(connection, namespaces=["c", "a", "c"], label_selector="tier in (front)", page_size=1)
    assert table[["namespace", "pod"]].to_numpy().tolist() == [["a", "web"], ["c", "web"]]


def test_a_selector_that_cannot_be_read_is_the_users_mistake(connection: ApiConnection) -> None:
    with pytest.raises(InputError, match=r"refuses to list pods.*unable to parse requirement"):
        read_inventory(connection, label_selector="a in b")


def test_rights_in_one_namespace_are_enough(
    api: KubeApi, connection: ApiConnection, caplog: pytest.LogCaptureFixture
) -> None:
    api._rights.clear()
    api.allow("reader", ["list"], ["pods"], namespace="shop")
    api.store.put("pods", make_pod("web", namespace="shop"))
    with caplog.at_level(logging.WARNING):
        table = read_inventory(connection, namespaces=["shop"])
    assert table["pod"].tolist() == ["web"]
    assert table["image_size_bytes"].isna().all()
    assert "image sizes are missing" in caplog.text
    assert 'cannot list resource "nodes"' in caplog.text


def test_no_more_rights_are_used_than_list(api: KubeApi, connection: ApiConnection) -> None:
    read_inventory(connection)
    assert {(request.verb, request.resource) for request in api.requests} == {("list", "pods"), ("list", "nodes")}
