"""A watch from a version that the server has forgotten, refused with HTTP 410."""

from __future__ import annotations

from pathlib import Path

from tests.support.informer import InformerHarness, replay
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod


def test_a_list_tells_what_was_missed(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.expired_as_status = True
        api.store.put("pods", make_pod("lost"))
        harness = InformerHarness(api, tmp_path)

        def miss() -> None:
            api.store.put("pods", make_pod("new"))
            api.store.delete("pods", "lost", "default")
            api.store.compact()

        harness.run(miss)
        assert harness.verbs() == ["list", "watch", "watch", "list", "watch"]
        assert {pod.name for pod in replay(harness.changes).values()} == {"new"}
        assert harness.told() == [("added", "lost"), ("added", "new"), ("gone", "lost")]
        status = harness.informer.status
        assert (status.errors, status.lists, status.resource_version) == (1, 2, api.store.version)


def test_a_server_that_forgets_at_once_is_not_asked_without_rest(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.expired_as_status = True
        api.before_answer = lambda request: api.store.put("nodes", {"metadata": {"name": "n"}}) and api.store.compact()
        harness = InformerHarness(api, tmp_path)
        harness.run(*[lambda: None] * 9)
        assert harness.verbs() == ["list", "watch"] * 10
        assert harness.pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30, 30]
        assert "no longer kept (410)" in (harness.informer.status.last_error or "")
