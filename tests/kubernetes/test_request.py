"""Requests of any kind: what is sent, and which refusals callers can tell apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from podlab.errors import PodlabError
from podlab.kubernetes.client import MERGE_PATCH, ApiConnection
from podlab.kubernetes.errors import (
    BusyError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    RejectedError,
    describe,
)
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

PATH = "/api/v1/namespaces/shop/pods/web"


@pytest.mark.parametrize(
    ("method", "path", "query", "words"),
    [
        ("GET", "/api/v1/pods", {}, "list pods in all namespaces"),
        ("GET", "/api/v1/nodes", {"watch": "true"}, "watch nodes"),
        ("GET", PATH, {}, "get pods 'web' in namespace 'shop'"),
        ("PATCH", PATH, {}, "patch pods 'web' in namespace 'shop'"),
        ("POST", "/api/v1/namespaces/shop/events", {}, "create events in namespace 'shop'"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", {}, "update leases 'b' in namespace 'a'"),
        ("DELETE", PATH, {}, "delete pods 'web' in namespace 'shop'"),
        ("GET", "/version", {}, "list /version"),
    ],
)
def test_an_action_is_told_in_the_words_of_a_role(method: str, path: str, query: dict[str, str], words: str) -> None:
    assert str(describe(method, path, query)) == words


REFUSALS = {
    "object missing": (Fault(404, b'{"message": "gone", "details": {"name": "web"}}'), NotFoundError, "does not exist"),
    "path missing": (Fault(404, b"404 page not found"), NotFoundError, "no such path"),
    "conflict": (Fault(409, b'{"message": "already exists"}'), ConflictError, "quicker .409.: already exists"),
    "expired": (Fault(410, b"{}"), ExpiredError, "410"),
    "too new": (
        Fault(504, b'{"details": {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1}}'),
        ExpiredError, "has not seen that version yet",
    ),
    "forbidden": (Fault(403, b"{}"), ForbiddenError, "grant the verb 'get'"),
    "not admitted": (
        Fault(403, b'{"message": "admission webhook \\"x\\" denied the request: no owner"}'),
        RejectedError, r"refuses to get pods .* \(403\): admission webhook",
    ),
    "refused": (Fault(422, b'{"message": "bad label"}'), RejectedError, "refuses to get pods .* bad label"),
    "too large": (Fault(413), RejectedError, r"refuses to get pods .* \(413\)"),
    "gateway": (Fault(504, b"<html>"), PodlabError, r"failed to get pods .* \(504\)"),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_can_be_told_apart(api: KubeApi, connection: ApiConnection, refusal: str) -> None:
    fault, kind, words = REFUSALS[refusal]
    api.faults.append(fault)
    with pytest.raises(PodlabError, match=words) as error:
        connection.request("GET", PATH)
    assert type(error.value) is kind
    assert str(error.value).startswith(f"{api.url}: ")


@pytest.mark.parametrize(
    ("fault", "retry_after_s"),
    [
        (Fault(429, b"{}", {"Retry-After": "7"}), 7),
        (Fault(429, b'{"details": {"retryAfterSeconds": 3}}'), 3),
        (Fault(503, b'{"details": {"retryAfterSeconds": 3}}', {"Retry-After": "1"}), 1),
        (Fault(503, b"<html>", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), None),
        (Fault(500, b'{"details": {"retryAfterSeconds": 2}}'), 2),
    ],
)
def test_a_busy_server_says_when_to_come_again(
    api: KubeApi, connection: ApiConnection, fault: Fault, retry_after_s: float | None
) -> None:
    api.faults.append(fault)
    with pytest.raises(BusyError) as error:
        connection.request("GET", PATH)
    assert error.value.retry_after_s == retry_after_s


def test_what_is_sent_arrives(api: KubeApi, connection: ApiConnection) -> None:
    api.allow("reader", ["create", "patch", "delete"], ["pods", "events"])
    api.store.put("pods", make_pod("web", namespace="shop", labels={"app": "web"}))
    patch = {"metadata": {"annotations": {"podlab.dev/service": 'a "quoted"\nname'}}}
    changed = json.loads(connection.request("PATCH", PATH, patch, content_type=MERGE_PATCH))
    assert changed["metadata"]["annotations"] == patch["metadata"]["annotations"]
    about = {"kind": "Pod", "namespace": "shop", "name": "web"}
    event = {"metadata": {"name": "web.1"}, "involvedObject": about, "firstTimestamp": datetime(2026, 1, 5, tzinfo=UTC)}
    stored = json.loads(connection.request("POST", "/api/v1/namespaces/shop/events", event))
    assert stored["firstTimestamp"] == "2026-01-05T00:00:00Z"
    with pytest.raises(ConflictError, match="already exists"):
        connection.request("POST", "/api/v1/namespaces/shop/events", msgspec.json.encode(event))
    found = json.loads(connection.request("GET", "/api/v1/pods", query={"labelSelector": "app in (web, a&b)"}))
    assert [item["metadata"]["name"] for item in found["items"]] == ["web"]
    connection.request("DELETE", PATH)
    with pytest.raises(NotFoundError, match="delete pods 'web' in namespace 'shop': it does not exist"):
        connection.request("DELETE", PATH)


def test_a_request_may_have_less_time_than_others(api: KubeApi, connection: ApiConnection) -> None:
    api.faults.append(Fault(silent=True))
    with pytest.raises(PodlabError, match=r"not answer within 0\.1 s"):
        connection.request("GET", PATH, timeout_s=0.1)
