"""A connection that breaks off in the middle of a line."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod


def test_the_watch_goes_on_after_the_last_whole_line(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        api.watches_end_at_once = False

        def break_off() -> None:
            with api.store.lock:
                api.store.lock.wait_for(lambda: api.streams, timeout=120)
            api.store.put("pods", make_pod("web-1"))
            api.order(b'{"type":"ADDED","object":{"metadata":{"name":"web-2"')
            api.order("reset")

        thread = threading.Thread(target=break_off)

        def come_back() -> None:
            thread.join()
            api.watches_end_at_once = True
            api.store.put("pods", make_pod("web-2"))

        thread.start()
        harness.run(come_back)
        assert harness.told() == [("added", "web-1"), ("added", "web-2")]
        assert harness.informer.status.errors == 1
        versions = [request.params.get("resourceVersion") for request in api.requests]
        assert versions == [None, "1000", "1001"]


def test_an_answer_that_ends_before_its_length_is_one_as_well(tmp_path: Path) -> None:
    with KubeApi() as api:
        line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1005"}}}\n'
        api.faults.append(Fault(body=line * 2, cut_at=len(line) + 9, verb="watch"))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None)
        versions = [request.params.get("resourceVersion") for request in api.requests]
        assert versions == [None, "1000", "1005"]
        assert harness.informer.status.errors == 1


def test_a_list_that_breaks_off_is_begun_anew(tmp_path: Path) -> None:
    with KubeApi() as api:
        for number in range(3):
            api.store.put("pods", make_pod(f"web-{number}"))
        api.faults.extend([Fault(verb="list"), Fault(cut_at=100, verb="list")])
        harness = InformerHarness(api, tmp_path, page_size=2)
        harness.run(lambda: None)
        assert harness.verbs() == ["list", "list", "list", "list", "watch"]
        assert harness.told() == [("added", f"web-{number}") for number in range(3)]
