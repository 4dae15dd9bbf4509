"""Lines that are cut off, are no JSON, or hold no pod."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

GOOD = b'{"type":"ADDED","object":{"metadata":{"name":"good","uid":"u","resourceVersion":"1005"}}}\n'
BROKEN = {
    "cut off": b'{"type":"ADDED","object":{"metadata":{"name":"we',
    "cut off, then an end of line": b'{"type":"ADDED","object":{"metadata":{"name":"we\n',
    "no JSON": b"<html>Please log in</html>\n",
    "not UTF-8": b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}\n',
    "no name": b'{"type":"ADDED","object":{"metadata":{}}}\n',
    "no version": b'{"type":"ADDED","object":{"metadata":{"name":"web","uid":"u"}}}\n',
    "no object": b'{"type":"ADDED"}\n',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=list(BROKEN))
def test_what_came_before_is_kept_and_the_watch_goes_on_after_it(tmp_path: Path, body: bytes) -> None:
    with KubeApi() as api:
        api.faults.append(Fault(body=GOOD + body, verb="watch"))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None)
        assert harness.told() == [("added", "good")]
        assert [request.params.get("resourceVersion") for request in api.requests] == [None, "1000", "1005"]
        status = harness.informer.status
        assert (status.errors, status.last_error) == (1, None)
        assert harness.pauses == [0.8, 1.6]


def test_a_server_that_repeats_it_is_asked_for_a_list_now_and_then(tmp_path: Path) -> None:
    """A list gets past the version after which the broken line stands."""
    with KubeApi() as api:
        api.faults.extend([Fault(body=b"{}\n", verb="watch")] * 7)
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None, lambda: api.store.put("pods", make_pod("web")), *[lambda: None] * 5)
        assert harness.verbs() == ["list"] + ["watch"] * 3 + ["list"] + ["watch"] * 3 + ["list"] + ["watch"] * 2
        assert harness.told() == [("added", "web")]
        assert harness.pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_a_page_that_cannot_be_read_is_no_list_without_pods(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("web"))
        harness = InformerHarness(api, tmp_path)

        def break_list() -> None:
            api.store.compact()
            api.store.put("pods", make_pod("new"))
            api.store.compact()
            api.faults.append(Fault(body=b'{"items": [{"met', verb="list"))

        harness.run(break_list, lambda: None)
        assert harness.told() == [("added", "web"), ("added", "new")]
        assert harness.verbs() == ["list", "watch", "watch", "list", "list", "watch"]
