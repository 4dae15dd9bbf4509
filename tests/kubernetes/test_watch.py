"""The informer tells every change of the pods once, and asks for no more than it needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.kubernetes.client import ApiConnection, connect
from podlab.kubernetes.informer import PodInformer
from podlab.kubernetes.objects import Change, Pod, WatchedPod, watched
from tests.support.certificates import make_certificate
from tests.support.informer import TOKEN, InformerHarness, replay
from tests.support.kubeapi import Fault, KubeApi, Request
from tests.support.kubeobjects import make_pod


@pytest.fixture
def harness(api: KubeApi, tmp_path: Path) -> InformerHarness:
    return InformerHarness(api, tmp_path)


def test_what_is_there_and_what_happens_is_told_once(api: KubeApi, harness: InformerHarness) -> None:
    api.store.put("pods", make_pod("old"))
    harness.run(
        partial(api.store.put, "pods", make_pod("new", started_at=None)),
        partial(api.store.put, "pods", make_pod("new")),
        partial(api.store.delete, "pods", "old", "default"),
    )
    assert harness.told() == [("added", "old"), ("added", "new"), ("changed", "new"), ("gone", "old")]
    assert harness.verbs() == ["list", "watch", "watch", "watch", "watch"]


def test_what_podlab_does_not_look_at_is_no_change(api: KubeApi, harness: InformerHarness) -> None:
    pod = make_pod("web")
    api.store.put("pods", pod)
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    harness.run(partial(api.store.put, "pods", pod))
    assert harness.told() == [("added", "web")]
    assert harness.informer.status.resource_version == api.store.version


def test_a_watch_is_asked_for_with_bookmarks_and_an_end(api: KubeApi, harness: InformerHarness) -> None:
    harness.run()
    listed, watched_ = (request.params for request in api.requests)
    assert listed == {"limit": "500"}
    assert watched_ == {
        "watch": "true", "resourceVersion": str(api.store.version), "allowWatchBookmarks": "true",
        "timeoutSeconds": "60",
    }  # fmt: skip


def test_a_silent_watch_is_given_up_a_grace_after_its_end(
    api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[tuple[str, float]] = []
    opened = ApiConnection.open

    def note(self: ApiConnection, *args: Any, **options: Any) -> Any:
        if (options["query"] or {}).get("watch"):
            waited.append((options["query"]["timeoutSeconds"], options["timeout_s"]))
        return opened(self, *args, **options)

    monkeypatch.setattr(ApiConnection, "open", note)
    InformerHarness(api, tmp_path, watch_s=40.0, grace_s=4.0).run()
    assert waited == [("40", 44.0)]


def test_chance_lengthens_a_watch_by_up_to_a_half(api: KubeApi, harness: InformerHarness) -> None:
    harness.informer._random = lambda: 0.51
    harness.run()
    assert api.requests[-1].params["timeoutSeconds"] == "76"


def test_bookmarks_carry_the_version_on(api: KubeApi, harness: InformerHarness) -> None:
    """What happens to nodes moves the version as well, and would make it expire while no pod changes."""
    harness.run(partial(api.store.put, "nodes", {"metadata": {"name": "node"}}), api.store.compact)
    assert harness.verbs() == ["list", "watch", "watch", "watch"]
    assert harness.informer.status.errors == 0


@pytest.mark.parametrize("page_size", [1, 2, 5, 500])
def test_a_list_is_read_page_by_page(api: KubeApi, tmp_path: Path, page_size: int) -> None:
    for number in range(5):
        api.store.put("pods", make_pod(f"web-{number}"))
    harness = InformerHarness(api, tmp_path, page_size=page_size)
    harness.run()
    assert harness.told() == [("added", f"web-{number}") for number in range(5)]
    assert harness.verbs() == ["list"] * -(-5 // page_size) + ["watch"]


@pytest.mark.parametrize(
    ("how", "told", "path", "fields"),
    [
        ({}, ["a", "b", "c"], None, None),
        ({"namespaces": ["b"]}, ["b"], "b", None),
        ({"namespaces": ["a", "c"]}, ["a", "c"], None, None),
        ({"namespaces": ["a", "c"], "exclude_namespaces": ["c"]}, ["a"], None, None),
        ({"exclude_namespaces": ["c", "a"]}, ["b"], None, "metadata.namespace!=a,metadata.namespace!=c"),
        ({"label_selector": "in=b"}, ["b"], None, None),
    ],
)
def test_only_some_namespaces_and_labels(
    api: KubeApi, tmp_path: Path, how: dict[str, object], told: list[str], path: str | None, fields: str | None
) -> None:
    def put() -> None:
        for namespace in ("a", "b", "c"):
            pod = make_pod("web", namespace=namespace, labels={"in": namespace}, node=str(api.store.version))
            api.store.put("pods", pod)

    put()
    harness = InformerHarness(api, tmp_path, **how)
    harness.run(put)
    seen = [(change.kind, change.pod.namespace) for change in harness.changes]
    assert seen == [(kind, namespace) for kind in ("added", "changed") for namespace in told]
    assert {request.namespace for request in api.requests} == {path}
    assert {request.params.get("fieldSelector") for request in api.requests} == {fields}


def test_its_status_tells_how_it_is_doing(api: KubeApi, harness: InformerHarness) -> None:
    status = harness.informer.status
    assert (status.synced, status.last_contact_s, status.resource_version) == (False, None, None)
    api.store.put("pods", make_pod("web"))
    harness.run(lambda: None, partial(api.store.put, "pods", make_pod("web", node="node-2")))
    assert (status.synced, status.lists, status.watches, status.errors) == (True, 1, 3, 0)
    assert status.last_event_s == status.last_contact_s == harness.now_s - harness.pauses[-1]
    assert (status.resource_version, status.last_error) == (api.store.version, None)


def test_a_label_that_changes_is_nothing_to_tell_of(harness: InformerHarness, api: KubeApi) -> None:
    api.store.put("pods", make_pod("web"))
    harness.run(
        lambda: api.store.put("pods", make_pod("web", labels={"a": "b"})),
        lambda: api.store.put("pods", make_pod("web", labels={"a": "b"}, node="node-2")),
    )
    assert harness.told() == [("added", "web"), ("changed", "web")]


def test_a_watch_that_lasted_is_followed_by_the_next_at_once(api: KubeApi, harness: InformerHarness) -> None:
    def change(request: Request) -> None:
        if request.verb == "watch" and len(api.requests) < 10:
            api.store.put("pods", make_pod("web", node=f"node-{len(api.requests)}"))

    def pass_time(changes: list[Change]) -> None:
        harness.now_s += 60

    api.before_answer = change
    harness.informer._on_change = pass_time
    harness.run()
    assert harness.verbs() == ["list"] + ["watch"] * 9
    assert harness.pauses == [0.8]


def stop_after(harness: InformerHarness, most: int) -> None:
    """Let the informer be stopped from within, as soon as so much was told."""
    stop = threading.Event()

    def take(changes: list[Change]) -> None:
        harness.changes += changes
        if len(harness.changes) >= most:
            stop.set()

    harness.informer._on_change = take
    harness.informer.run(stop)


def test_once_it_is_stopped_nothing_more_is_told(api: KubeApi, harness: InformerHarness) -> None:
    api.before_answer = lambda request: (
        request.verb == "watch" and [api.store.put("pods", make_pod(f"web-{number}")) for number in range(5)]
    )
    stop_after(harness, 2)
    assert harness.told() == [("added", "web-0"), ("added", "web-1")]
    assert (harness.verbs(), harness.pauses) == (["list", "watch"], [])


def test_a_list_that_is_stopped_takes_no_pod_for_gone(api: KubeApi, tmp_path: Path) -> None:
    for number in range(3):
        api.store.put("pods", make_pod(f"web-{number}"))
    harness = InformerHarness(api, tmp_path, page_size=1)
    harness.run()
    for number in range(3):
        api.store.put("pods", make_pod(f"web-{number}", node="node-2"))
    api.store.compact()
    harness.informer.status.resource_version = None
    assert len(harness.told()) == 3
    stop_after(harness, 1)
    assert harness.told() == [("changed", "web-0")]
    assert harness.verbs() == ["list"] * 3 + ["watch", "list"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "remake", "compact", "node", "fail", "cut"]),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=25)
@given(steps=STEPS, page_size=st.integers(1, 6), piece_bytes=st.sampled_from([None, 1, 100]))
def test_whatever_happens_the_pods_told_are_those_there_are(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]], page_size: int, piece_bytes: int
) -> None:
    """Versions expire at times, and what is done while nobody watches has to be found out."""
    with KubeApi() as api:
        api.piece_bytes = piece_bytes
        harness = InformerHarness(api, tmp_path_factory.mktemp("informer"), page_size=page_size)

        def do(part: list[tuple[str, int, bool]]) -> None:
            for kind, number, running in part:
                exists = any(pod["metadata"]["name"] == f"p{number}" for pod in listed(api))
                if kind in ("delete", "remake") and exists:
                    api.store.delete("pods", f"p{number}", "default")
                if kind in ("put", "remake"):
                    api.store.put(
                        "pods", make_pod(f"p{number}", started_at="2026-01-05T08:00:00Z" if running else None)
                    )
                if kind == "node":
                    api.store.put("nodes", {"metadata": {"name": "node"}})
                if kind == "compact":
                    api.store.compact()
                if kind in ("fail", "cut"):
                    # The failure of a request, of the second page of a list, or of a watch within a line.
                    api.faults.append(Fault(500, b"{}") if kind == "fail" else Fault(body=b'{"type"', cut_at=number))

        parts = [steps[start : start + 4] for start in range(0, len(steps), 4)]
        harness.run(*(partial(do, part) for part in parts), *[lambda: None] * (2 * len(steps) + 1))
        assert replay(harness.changes) == {pod.uid: pod for pod in truth(api)}
        assert len(harness.informer._cache) == len(listed(api))
        assert len(api.requests) <= (2 + 5) * len(harness.pauses)


def listed(api: KubeApi) -> list[dict[str, dict[str, str]]]:
    return api.store.list("pods", None, {})["items"]  # type: ignore[no-any-return]


def truth(api: KubeApi) -> Iterator[WatchedPod]:
    for item in listed(api):
        yield watched(msgspec.convert(item, Pod))


@pytest.mark.parametrize("secure", [False, True])
def test_a_thread_that_waits_for_the_server_can_be_ended(tmp_path: Path, secure: bool) -> None:
    certificate, authority = make_certificate(tmp_path)
    with KubeApi(certificate if secure else None) as api:
        api.tokens[TOKEN] = "watcher"
        api.allow("watcher", ["list", "watch"], ["pods"])
        trust = {"certificate-authority": str(authority)} if secure else {}
        kubeconfig = api.write_kubeconfig(tmp_path / "kubeconfig", TOKEN, **trust)
        told, stop = threading.Event(), threading.Event()

        def take(changes: list[Change]) -> None:
            told.set()

        informer = PodInformer(lambda: connect(kubeconfig=kubeconfig), take)
        thread = threading.Thread(target=informer.run, args=(stop,))
        thread.start()
        with api.store.lock:
            assert api.store.lock.wait_for(lambda: api.streams, timeout=120)
        api.store.put("pods", make_pod("web"))
        assert told.wait(120)
        stop.set()
        informer.close()
        thread.join(120)
        assert not thread.is_alive()
        assert informer.status.errors == 0
