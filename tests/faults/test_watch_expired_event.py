"""A watch from a version that the server has forgotten: status 200, and an ERROR of code 410 in the stream."""

from __future__ import annotations

from pathlib import Path

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

GONE = (
    b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old","reason":"Gone","code":410}}\n'
)


def test_a_list_tells_what_was_missed(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("lost"))
        harness = InformerHarness(api, tmp_path)

        def miss() -> None:
            api.store.delete("pods", "lost", "default")
            api.store.compact()

        harness.run(miss)
        assert harness.verbs() == ["list", "watch", "watch", "list", "watch"]
        assert harness.told() == [("added", "lost"), ("gone", "lost")]
        assert harness.informer.status.errors == 1


def test_what_came_before_it_in_the_stream_counts(tmp_path: Path) -> None:
    with KubeApi() as api:
        event = b'{"type":"ADDED","object":{"metadata":{"name":"web","uid":"u","resourceVersion":"2000"}}}\n'
        api.faults.append(Fault(body=event + GONE, verb="watch"))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None)
        assert harness.told() == [("added", "web"), ("gone", "web")]
        assert harness.verbs() == ["list", "watch", "list", "watch"]


def test_a_server_that_says_so_each_time_is_not_asked_without_rest(tmp_path: Path) -> None:
    """It lets every list and every watch begin, so that only their end tells that nothing works."""
    with KubeApi() as api:
        api.faults.extend([Fault(body=GONE, verb="watch")] * 100)
        harness = InformerHarness(api, tmp_path)
        harness.run(*[lambda: None] * 9)
        assert harness.verbs() == ["list", "watch"] * 10
        assert sum(harness.pauses) > 160
