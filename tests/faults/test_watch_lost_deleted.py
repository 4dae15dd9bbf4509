"""A pod's end that no watch told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.informer import InformerHarness, replay
from tests.support.kubeapi import KubeApi, Request
from tests.support.kubeobjects import make_pod


def lose(api: KubeApi, *names: str) -> None:
    """Delete pods, and forget that."""
    for name in names:
        api.store.delete("pods", name, "default")
    api.store.compact()


@pytest.mark.parametrize("page_size", [1, 2, 500])
def test_the_next_list_tells_it(tmp_path: Path, page_size: int) -> None:
    with KubeApi() as api:
        for number in range(4):
            api.store.put("pods", make_pod(f"web-{number}"))
        harness = InformerHarness(api, tmp_path, page_size=page_size)
        harness.run(partial(lose, api, "web-0", "web-3"), lambda: None)
        assert harness.told()[4:] == [("gone", "web-0"), ("gone", "web-3")]
        assert harness.informer.status.lists == 2


def test_the_last_pod_of_all(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("web"))
        harness = InformerHarness(api, tmp_path)
        harness.run(partial(lose, api, "web"), lambda: None)
        assert harness.told() == [("added", "web"), ("gone", "web")]


def test_a_list_that_expires_half_way_takes_no_pod_for_gone(tmp_path: Path) -> None:
    with KubeApi() as api:
        for number in range(5):
            api.store.put("pods", make_pod(f"web-{number}"))
        harness = InformerHarness(api, tmp_path, page_size=2)
        left = [2]

        def expire(request: Request) -> None:
            if "continue" in request.params and left[0]:
                left[0] -= 1
                api.store.put("pods", make_pod(f"new-{left[0]}"))
                api.store.compact()

        def strike() -> None:
            lose(api, "web-4")
            api.before_answer = expire

        harness.run(strike, *[lambda: None] * 3)
        kinds = [change.kind for change in harness.changes]
        assert kinds.count("gone") == 1
        assert {pod.name for pod in replay(harness.changes).values()} == {
            "web-0", "web-1", "web-2", "web-3", "new-0", "new-1"
        }  # fmt: skip
        assert harness.pauses == [0.8, 1.6, 3.2, 6.4, 12.8]
