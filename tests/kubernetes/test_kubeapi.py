"""The test API server is held to the documented behaviour, as the official client sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiClient, ApiException, CoreV1Api

from tests.kubernetes.conftest import core_of
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_node, make_pending_pod, make_pod


@pytest.fixture
def core(api: KubeApi) -> Iterator[CoreV1Api]:
    for number in range(5):
        api.store.put("pods", make_pod(f"web-{number}", namespace="shop", labels={"app": "web", "n": str(number)}))
    api.store.put("pods", make_pod("db-0", namespace="data", node="node-2", labels={"app": "db"}))
    api.store.put("pods", make_pending_pod("late"))
    api.store.put("nodes", make_node("node-1", {("docker.io/library/nginx:1.25",): 70}))
    return core_of(api)


def names(page: Any) -> list[str]:
    return [item.metadata.name for item in page.items]


def refusal(error: pytest.ExceptionInfo[ApiException]) -> tuple[int, str]:
    return error.value.status, error.value.body


def test_the_official_client_reads_pods_and_nodes(core: CoreV1Api) -> None:
    pods = core.list_pod_for_all_namespaces()
    assert names(pods) == ["db-0", "late", "web-0", "web-1", "web-2", "web-3", "web-4"]
    assert pods.items[0].status.container_statuses[0].state.running.started_at.year == 2026
    assert core.list_node().items[0].status.images[0].size_bytes == 70
    assert core.read_namespaced_pod("db-0", "data").spec.node_name == "node-2"


def test_versions_are_numbers_that_grow_with_every_write(api: KubeApi, core: CoreV1Api) -> None:
    before = core.list_pod_for_all_namespaces()
    changed = api.store.put("pods", make_pod("web-0", namespace="shop"))
    after = core.list_pod_for_all_namespaces()
    assert int(before.metadata.resource_version) < int(after.metadata.resource_version)
    assert changed["metadata"]["uid"] == before.items[2].metadata.uid
    api.store.delete("pods", "web-0", "shop")
    api.store.put("pods", make_pod("web-0", namespace="shop"))
    assert core.read_namespaced_pod("web-0", "shop").metadata.uid != changed["metadata"]["uid"]


def test_pages_show_the_moment_of_the_first(api: KubeApi, core: CoreV1Api) -> None:
    page = core.list_pod_for_all_namespaces(limit=3)
    assert page.metadata.remaining_item_count == 4
    api.store.delete("pods", "web-4", "shop")
    api.store.put("pods", make_pod("web-9", namespace="shop"))
    seen = names(page)
    while page.metadata._continue:
        page = core.list_pod_for_all_namespaces(limit=3, _continue=page.metadata._continue)
        seen += names(page)
    assert seen == ["db-0", "late", "web-0", "web-1", "web-2", "web-3", "web-4"]


def test_an_old_token_expires_and_the_answer_offers_an_inconsistent_rest(api: KubeApi, core: CoreV1Api) -> None:
    token = core.list_pod_for_all_namespaces(limit=3).metadata._continue
    api.store.put("pods", make_pod("web-9", namespace="shop"))
    api.store.compact()
    with pytest.raises(ApiException) as error:
        core.list_pod_for_all_namespaces(limit=3, _continue=token)
    status, body = refusal(error)
    assert status == 410
    assert '"reason": "Expired"' in body
    rest = ApiClient().deserialize(body, "V1Status", "application/json").metadata._continue
    assert names(core.list_pod_for_all_namespaces(_continue=rest)) == ["web-1", "web-2", "web-3", "web-4", "web-9"]


def test_a_page_may_be_empty_where_nothing_left_matches(core: CoreV1Api) -> None:
    page = core.list_pod_for_all_namespaces(limit=1, label_selector="app=db")
    assert names(page) == ["db-0"]
    assert page.metadata.remaining_item_count is None
    last = core.list_pod_for_all_namespaces(limit=1, label_selector="app=db", _continue=page.metadata._continue)
    assert names(last) == []
    assert not last.metadata._continue


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=db", ["db-0"]),
        ("app==web,n!=0,n notin (1, 2)", ["web-3", "web-4"]),
        ("app!=web", ["db-0", "late"]),
        ("n in (0,4)", ["web-0", "web-4"]),
        ("app,!n", ["db-0"]),
        ("n notin (0,1,2,3,4)", ["db-0", "late"]),
    ],
)
def test_label_selectors(core: CoreV1Api, selector: str, expected: list[str]) -> None:
    assert names(core.list_pod_for_all_namespaces(label_selector=selector)) == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("spec.nodeName=node-2", ["db-0"]),
        ("status.phase!=Running", ["late"]),
        ("spec.nodeName=,status.phase=Pending", ["late"]),
        ("metadata.namespace==shop,metadata.name=web-1", ["web-1"]),
    ],
)
def test_field_selectors(core: CoreV1Api, selector: str, expected: list[str]) -> None:
    assert names(core.list_pod_for_all_namespaces(field_selector=selector)) == expected


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ({"label_selector": "a in b"}, 400, "unable to parse requirement"),
        ({"field_selector": "spec.colour=red"}, 400, "field label not supported: spec.colour"),
        ({"_continue": "nonsense"}, 400, "continue key is not valid"),
        ({"resource_version": "99999", "resource_version_match": "NotOlderThan"}, 504, "Too large resource version"),
        ({"resource_version": "1001", "resource_version_match": "Exact"}, 410, "too old"),
        ({"resource_version": "1001", "limit": 1}, 410, "too old"),
        ({"resource_version_match": "Exact"}, 422, "unless resourceVersion is provided"),
        ({"resource_version": "0", "resource_version_match": "Exact"}, 422, "is forbidden for resourceVersion"),
        ({"resource_version": "new"}, 422, "Invalid value"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    api: KubeApi, core: CoreV1Api, arguments: dict[str, Any], status: int, words: str
) -> None:
    api.store.compact()
    with pytest.raises(ApiException) as error:
        core.list_pod_for_all_namespaces(**arguments)
    assert refusal(error)[0] == status
    assert words in refusal(error)[1]


def test_a_list_can_ask_for_a_version(api: KubeApi, core: CoreV1Api) -> None:
    version = core.list_pod_for_all_namespaces().metadata.resource_version
    api.store.delete("pods", "db-0", "data")
    exact = core.list_pod_for_all_namespaces(resource_version=version, resource_version_match="Exact")
    assert "db-0" in names(exact)
    assert exact.metadata.resource_version == version
    for arguments in ({}, {"resource_version": "0"}, {"resource_version": version}):
        assert "db-0" not in names(core.list_pod_for_all_namespaces(**arguments))


def test_rights_are_checked_as_rbac_does(api: KubeApi, core: CoreV1Api) -> None:
    api.tokens["token-of-bob"] = "bob"
    api.allow("bob", ["list"], ["pods"], namespace="shop")
    bob = core_of(api, "token-of-bob")
    assert len(bob.list_namespaced_pod("shop").items) == 5
    with pytest.raises(ApiException) as error:
        bob.list_pod_for_all_namespaces()
    assert refusal(error)[0] == 403
    words = 'pods is forbidden: User \\"bob\\" cannot list resource \\"pods\\" in API group \\"\\" at the cluster scope'
    assert words in refusal(error)[1]
    with pytest.raises(ApiException) as error:
        bob.read_namespaced_pod("web-0", "shop")
    assert 'cannot get resource \\"pods\\" in API group \\"\\" in the namespace \\"shop\\"' in refusal(error)[1]
    for token, status in (("wrong", 401), (None, 403)):
        with pytest.raises(ApiException) as error:
            core_of(api, token).list_node()
        assert refusal(error)[0] == status
