"""Requests of any kind: what is sent, and which refusals callers can tell apart."""

from __future__ import annotations

import pytest

from podlab.cluster.api import ApiConnection
from podlab.cluster.errors import BusyError, ConflictError, ExpiredError, ForbiddenError, NotFoundError, RefusedError
from podlab.cluster.refusals import describe
from podlab.errors import PodlabError
from tests.support.kubeapi import Fault, KubeApi

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
    "refused": (Fault(422, b'{"message": "bad label"}'), RefusedError, "refuses to get pods .* bad label"),
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
