"""Watches of the test API server are held to the documented behaviour, as the official client sees it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes.client import ApiException, CoreV1Api
from kubernetes.watch import Watch
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from tests.kubernetes.conftest import core_of
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod


@pytest.fixture
def core(api: KubeApi) -> CoreV1Api:
    api.allow("reader", ["watch"], ["pods"])
    api.store.put("pods", make_pod("old", labels={"app": "web"}))
    return core_of(api)


def told(core: CoreV1Api, **how: Any) -> list[tuple[str, str]]:
    """Watch until the server ends it."""
    how = {"timeout_seconds": 1} | how
    return [
        (event["type"], event["raw_object"]["metadata"].get("name", ""))
        for event in Watch().stream(core.list_pod_for_all_namespaces, **how)
    ]


def when_open(api: KubeApi, work: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a watch is open."""

    def wait_and_work() -> None:
        with api.store.lock:
            api.store.lock.wait_for(lambda: api.streams, timeout=120)
        work()

    thread = threading.Thread(target=wait_and_work)
    thread.start()
    return thread


def raw(core: CoreV1Api, **how: Any) -> Iterator[dict[str, Any]]:
    """Watch without the client's own repairs."""
    answer = core.list_pod_for_all_namespaces(watch=True, _preload_content=False, _request_timeout=120, **how)
    return (json.loads(line) for line in answer)


def test_without_a_version_what_is_there_comes_first(api: KubeApi, core: CoreV1Api) -> None:
    api.watches_end_at_once = True
    assert told(core) == [("ADDED", "old")]


def test_from_a_version_every_later_change_is_told_in_order(api: KubeApi, core: CoreV1Api) -> None:
    api.watches_end_at_once = True
    version = core.list_pod_for_all_namespaces().metadata.resource_version
    api.store.put("pods", make_pod("new"))
    api.store.put("pods", make_pod("new", labels={"n": "1"}))
    api.store.put("nodes", {"metadata": {"name": "node"}})
    api.store.delete("pods", "new", "default")
    api.store.put("pods", make_pod("new"))
    events = list(raw(core, resource_version=version))
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED", "ADDED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)
    uids = [event["object"]["metadata"]["uid"] for event in events]
    assert uids[0] == uids[1] == uids[2] != uids[3]
    assert {event["object"]["kind"] for event in events} == {"Pod"}


def test_changes_arrive_while_the_watch_is_open(api: KubeApi, core: CoreV1Api) -> None:
    watch = Watch()
    thread = when_open(api, lambda: api.store.put("pods", make_pod("new")))
    for event in watch.stream(core.list_pod_for_all_namespaces, resource_version=str(api.store.version)):
        assert event["object"].metadata.name == "new"
        watch.stop()
    thread.join()


def test_a_watch_ends_after_the_time_that_was_asked_for(api: KubeApi, core: CoreV1Api) -> None:
    assert told(core, timeout_seconds=1, resource_version=str(api.store.version)) == []
    assert api.requests[-1].params["timeoutSeconds"] == "1"


def test_objects_that_begin_or_cease_to_match_come_and_go(api: KubeApi, core: CoreV1Api) -> None:
    api.watches_end_at_once = True
    version = str(api.store.version)
    api.store.put("pods", make_pod("old"))
    api.store.put("pods", make_pod("old", labels={"app": "web"}))
    api.store.put("pods", make_pod("old", labels={"app": "web", "n": "1"}))
    events = list(raw(core, resource_version=version, label_selector="app=web"))
    assert [event["type"] for event in events] == ["DELETED", "ADDED", "MODIFIED"]
    assert events[0]["object"]["metadata"]["labels"] == {"app": "web"}
    assert events[0]["object"]["metadata"]["resourceVersion"] == str(int(version) + 1)
    assert told(core, resource_version=version, field_selector="metadata.namespace!=default") == []


def test_bookmarks_only_for_those_who_allow_them(api: KubeApi, core: CoreV1Api) -> None:
    api.watches_end_at_once = True
    version = str(api.store.version)
    api.store.put("nodes", {"metadata": {"name": "node"}})
    assert list(raw(core, resource_version=version)) == []
    (event,) = raw(core, resource_version=version, allow_watch_bookmarks=True)
    assert event["type"] == "BOOKMARK"
    assert event["object"]["metadata"]["resourceVersion"] == str(int(version) + 1)
    assert event["object"]["spec"] == {"containers": None}


def test_a_bookmark_can_be_sent_at_any_time(api: KubeApi, core: CoreV1Api) -> None:
    def work() -> None:
        api.order("bookmark")
        api.order("end")

    thread = when_open(api, work)
    events = list(raw(core, resource_version=str(api.store.version), allow_watch_bookmarks=True))
    thread.join()
    assert [event["type"] for event in events] == ["BOOKMARK"]


def test_a_forgotten_version_is_an_event_in_the_stream(api: KubeApi, core: CoreV1Api) -> None:
    api.store.put("pods", make_pod("new"))
    api.store.compact()
    (event,) = raw(core, resource_version="1001")
    assert event["type"] == "ERROR"
    assert (event["object"]["kind"], event["object"]["code"], event["object"]["reason"]) == ("Status", 410, "Expired")
    with pytest.raises(ApiException, match="too old resource version: 1001") as error:
        told(core, resource_version="1001")
    assert error.value.status == 410


def test_a_forgotten_version_may_be_refused_by_status_as_well(api: KubeApi, core: CoreV1Api) -> None:
    api.expired_as_status = True
    api.store.compact()
    with pytest.raises(ApiException) as error:
        told(core, resource_version="999")
    assert error.value.status == 410
    api.watches_end_at_once = True
    assert told(core, resource_version=str(api.store.version)) == []


def test_watching_is_a_right_of_its_own(api: KubeApi, core: CoreV1Api) -> None:
    api.add_user("token-of-bob", "bob")
    with pytest.raises(ApiException, match='cannot watch resource \\\\"pods') as error:
        told(core_of(api, "token-of-bob"))
    assert error.value.status == 403


@pytest.mark.parametrize("how", [{"resource_version": "new"}, {"label_selector": "a in b"}])
def test_watches_that_make_no_sense_are_refused(core: CoreV1Api, how: dict[str, str]) -> None:
    with pytest.raises(ApiException) as error:
        list(raw(core, **how))
    assert error.value.status == 400


def test_a_line_may_come_in_pieces(api: KubeApi, core: CoreV1Api) -> None:
    api.piece_bytes = 7
    api.watches_end_at_once = True
    assert told(core) == [("ADDED", "old")]


def test_anything_can_be_written_into_a_stream(api: KubeApi, core: CoreV1Api) -> None:
    def work() -> None:
        api.order(b'{"type": "STRANGE", "object": {}}\n')
        api.order("end")

    thread = when_open(api, work)
    assert [event["type"] for event in raw(core, resource_version=str(api.store.version))] == ["STRANGE"]
    thread.join()


def test_a_stream_can_be_reset_in_the_middle_of_a_line(api: KubeApi, core: CoreV1Api) -> None:
    def work() -> None:
        api.order(b'{"type": "ADD')
        api.order("reset")

    thread = when_open(api, work)
    with pytest.raises(ProtocolError, match="reset by peer"):
        list(raw(core, resource_version=str(api.store.version)))
    thread.join()


@pytest.mark.parametrize("body", [None, b""], ids=["before the headers", "after the headers"])
def test_a_server_can_fall_silent(api: KubeApi, core: CoreV1Api, body: bytes | None) -> None:
    api.faults.append(Fault(silent=True, body=body, verb="watch"))
    assert core.list_pod_for_all_namespaces().items
    with pytest.raises(ReadTimeoutError):
        list(core.list_pod_for_all_namespaces(watch=True, _preload_content=False, _request_timeout=0.1))
