"""Writes to the test API server are held to the documented behaviour, as the official client sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import urllib3
from kubernetes.client import ApiException, CoordinationV1Api, CoreV1Api, V1Lease, V1LeaseSpec, V1ObjectMeta

from tests.kubernetes.conftest import TOKEN, client_of, core_of
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"


@pytest.fixture
def core(api: KubeApi) -> CoreV1Api:
    api.allow("reader", ["create", "patch", "update", "delete"], ["pods", "events"])
    api.store.put("pods", make_pod("web", images={"main": "nginx", "log": "fluentd"}, labels={"app": "web"}))
    return core_of(api)


@pytest.fixture
def leases(api: KubeApi) -> CoordinationV1Api:
    api.allow("reader", ["get", "create", "update"], ["leases"], namespace="podlab")
    return CoordinationV1Api(client_of(api))


def make_event(**changes: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": "default", "name": "web"}
    return {"metadata": {"generateName": "web."}, "involvedObject": about, "reason": "Identified"} | changes


def make_lease(holder: str, version: str | None = None) -> V1Lease:
    now = datetime(2026, 1, 5, 8, 0, 0, 1, tzinfo=UTC)
    spec = V1LeaseSpec(holder_identity=holder, lease_duration_seconds=15, renew_time=now, acquire_time=now)
    return V1Lease(metadata=V1ObjectMeta(name="watcher", resource_version=version), spec=spec)


def patch(core: CoreV1Api, content_type: str, body: object) -> Any:
    """Send a patch of the kind that is named, which the client's models would choose themselves."""
    core.api_client.set_default_header("Content-Type", content_type)
    try:
        return core.patch_namespaced_pod("web", "default", body)
    finally:
        del core.api_client.default_headers["Content-Type"]


def send(api: KubeApi, method: str, path: str, body: object, content_type: str = "application/json") -> tuple[int, str]:
    """Send what the official client would not."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    answer = urllib3.request(method, api.url + path, body=json.dumps(body), headers=headers)
    return answer.status, answer.json()["message"]


def refused(error: pytest.ExceptionInfo[ApiException], status: int, words: str) -> bool:
    return error.value.status == status and words in error.value.body


def test_an_event_gets_a_name_a_uid_and_a_version(api: KubeApi, core: CoreV1Api) -> None:
    made = [core.create_namespaced_event("default", make_event()) for _ in range(3)]
    names = {event.metadata.name for event in made}
    assert len(names) == 3
    assert all(name.startswith("web.") and len(name) == len("web.") + 5 for name in names)
    assert made[0].metadata.uid
    found = core.api_client.call_api("GET", f"{api.url}/api/v1/events").status
    assert found == 403
    api.allow("reader", ["list"], ["events"])
    assert {event.metadata.name for event in core.list_event_for_all_namespaces().items} == names


def test_a_name_can_be_taken_once(core: CoreV1Api) -> None:
    core.create_namespaced_event("default", make_event(metadata={"name": "web.1"}))
    with pytest.raises(ApiException) as error:
        core.create_namespaced_event("default", make_event(metadata={"name": "web.1"}))
    assert refused(error, 409, '"reason": "AlreadyExists"')


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"metadata": {"name": "Web!"}}, 422, "lowercase RFC 1123 subdomain"),
        ({"metadata": {"name": "a" * 254}}, 422, "lowercase RFC 1123 subdomain"),
        ({"metadata": {"name": "web", "namespace": "shop"}}, 400, "does not match the namespace sent"),
        ({"metadata": {"name": "web", "labels": {"app": "a b"}}}, 422, "a valid label"),
        ({"metadata": {"name": "web", "labels": {"app": "a" * 64}}}, 422, "a valid label"),
        ({"metadata": {"name": "web", "annotations": {"a/b/c": ""}}}, 422, "metadata.annotations: Invalid"),
        ({"metadata": {"name": "web", "annotations": {"a": "x" * 300_000}}}, 422, "Too long"),
        ({"involvedObject": {"namespace": "shop"}}, 422, "does not match event.namespace"),
        ({"raison": "d'etre"}, 400, "raison is unknown"),
        ({"count": "many"}, 400, "is not int"),
        ({"kind": "Pod"}, 400, "does not match (Event)"),
        ({"eventTime": "2026-01-05T08:00:00Z"}, 400, "is no MicroTime"),
        ({"firstTimestamp": "yesterday"}, 400, "not a time"),
    ],
)
@pytest.mark.usefixtures("core")
def test_what_kubernetes_would_not_store_is_refused(
    api: KubeApi, changes: dict[str, Any], status: int, words: str
) -> None:
    answer = send(api, "POST", "/api/v1/namespaces/default/events", make_event(**changes))
    assert answer[0] == status
    assert words in answer[1]


@pytest.mark.parametrize("content_type", [MERGE, STRATEGIC])
def test_a_merge_changes_what_it_names_and_removes_what_is_null(core: CoreV1Api, content_type: str) -> None:
    pod = patch(core, content_type, {"metadata": {"labels": {"app": None, "tier": "front"}, "annotations": {"a": "b"}}})
    assert (pod.metadata.labels, pod.metadata.annotations) == ({"tier": "front"}, {"a": "b"})
    assert [container.name for container in pod.spec.containers] == ["main", "log"]


def test_lists_are_replaced_by_one_merge_and_merged_by_key_by_the_other(core: CoreV1Api) -> None:
    body = {"spec": {"containers": [{"name": "log", "image": "vector"}]}}
    pod = patch(core, STRATEGIC, body)
    assert [(c.name, c.image) for c in pod.spec.containers] == [("main", "nginx"), ("log", "vector")]
    pod = patch(core, STRATEGIC, {"spec": {"containers": [{"name": "log", "$patch": "delete"}]}})
    assert [c.name for c in pod.spec.containers] == ["main"]
    pod = patch(core, MERGE, body)
    assert [(c.name, c.image) for c in pod.spec.containers] == [("log", "vector")]


def test_a_json_patch_is_a_list_of_operations(core: CoreV1Api) -> None:
    operations = [
        {"op": "test", "path": "/metadata/labels/app", "value": "web"},
        {"op": "add", "path": "/metadata/labels/podlab.dev~1service", "value": "nginx"},
        {"op": "replace", "path": "/spec/containers/0/image", "value": "nginx:2"},
        {"op": "remove", "path": "/spec/containers/1"},
        {"op": "copy", "from": "/metadata/labels/app", "path": "/metadata/labels/copy"},
        {"op": "move", "from": "/metadata/labels/app", "path": "/metadata/labels/moved"},
    ]
    pod = patch(core, JSON, operations)
    assert pod.metadata.labels == {"podlab.dev/service": "nginx", "copy": "web", "moved": "web"}
    assert [c.image for c in pod.spec.containers] == ["nginx:2"]
    with pytest.raises(ApiException) as error:
        patch(core, JSON, operations)
    assert refused(error, 422, "the server rejected our request")


def test_other_patches_are_refused(api: KubeApi, core: CoreV1Api) -> None:
    path = "/api/v1/namespaces/default/pods/web"
    assert send(api, "PATCH", path, {}, "application/apply-patch+yaml")[0] == 415
    assert send(api, "PATCH", path, [], MERGE)[0] == 400
    assert send(api, "PATCH", path, {"metadata": {"name": "other"}}, MERGE)[0] == 400
    assert send(api, "POST", path, {})[0] == 405
    with pytest.raises(ApiException) as error:
        core.patch_namespaced_pod("none", "default", {})
    assert refused(error, 404, '"reason": "NotFound"')
    with pytest.raises(ApiException) as error:
        patch(core, MERGE, {"metadata": {"labels": {"podlab.dev/service": "my service"}}})
    assert refused(error, 422, "a valid label")


def test_a_patch_may_insist_on_a_version(core: CoreV1Api) -> None:
    version = core.read_namespaced_pod("web", "default").metadata.resource_version
    body = {"metadata": {"resourceVersion": version, "annotations": {"a": "b"}}}
    assert patch(core, MERGE, body).metadata.resource_version != version
    body["metadata"]["annotations"] = {"a": "c"}
    with pytest.raises(ApiException) as error:
        patch(core, MERGE, body)
    assert refused(error, 409, "the object has been modified")


def test_a_write_that_changes_nothing_makes_no_version(api: KubeApi, core: CoreV1Api) -> None:
    before = api.store.version
    patch(core, MERGE, {"metadata": {"labels": {"app": "web"}}})
    assert api.store.version == before


def test_a_lease_is_for_whoever_saw_it_last(leases: CoordinationV1Api) -> None:
    made = leases.create_namespaced_lease("podlab", make_lease("a"))
    version = made.metadata.resource_version
    renewed = leases.replace_namespaced_lease("watcher", "podlab", make_lease("b", version))
    assert renewed.spec.holder_identity == "b"
    assert renewed.metadata.uid == made.metadata.uid
    with pytest.raises(ApiException) as error:
        leases.replace_namespaced_lease("watcher", "podlab", make_lease("c", version))
    assert refused(error, 409, 'Operation cannot be fulfilled on leases.coordination.k8s.io \\"watcher\\"')
    with pytest.raises(ApiException) as error:
        leases.replace_namespaced_lease("watcher", "podlab", make_lease("c"))
    assert refused(error, 422, "must be specified for an update")
    assert leases.read_namespaced_lease("watcher", "podlab").spec.holder_identity == "b"


def test_rights_are_checked_for_every_verb(api: KubeApi, leases: CoordinationV1Api) -> None:
    for work in (
        lambda: leases.create_namespaced_lease("default", make_lease("a")),
        lambda: leases.delete_namespaced_lease("watcher", "podlab"),
        lambda: leases.patch_namespaced_lease("watcher", "podlab", {}),
    ):
        with pytest.raises(ApiException) as error:
            work()
        assert refused(error, 403, 'in API group \\"coordination.k8s.io\\" in the namespace')
    assert [request.verb for request in api.requests] == ["create", "delete", "patch"]


def test_a_delete_may_insist_on_a_uid(api: KubeApi, core: CoreV1Api) -> None:
    with pytest.raises(ApiException) as error:
        core.delete_namespaced_pod("web", "default", body={"preconditions": {"uid": "other"}})
    assert error.value.status == 409
    assert core.delete_namespaced_pod("web", "default").metadata.name == "web"
    with pytest.raises(ApiException) as error:
        core.read_namespaced_pod("web", "default")
    assert error.value.status == 404


def test_nothing_is_done_where_an_error_is_ordered_and_all_where_the_answer_is_lost(
    api: KubeApi, core: CoreV1Api
) -> None:
    before = api.store.version
    api.faults += [Fault(500, b"{}", verb="create"), Fault(cut_at=0)]
    with pytest.raises(ApiException):
        core.create_namespaced_event("default", make_event())
    assert api.store.version == before
    with pytest.raises(Exception, match="0 bytes read"):
        core.create_namespaced_event("default", make_event())
    assert api.store.version == before + 1
