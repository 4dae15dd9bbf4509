"""429 and 503 with Retry-After: the server says when to come again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize(
    ("fault", "pause_s"),
    [
        (Fault(429, b"{}", {"Retry-After": "7"}), 7),
        (Fault(503, b"{}", {"Retry-After": "7"}), 7),
        (Fault(429, b'{"details": {"retryAfterSeconds": 5}}'), 5),
        (Fault(429, b"{}", {"Retry-After": "0"}), 0.8),
        (Fault(429, b"{}"), 0.8),
        (Fault(429, b"{}", {"Retry-After": "99999999"}), 300),
    ],
)
def test_it_is_left_alone_for_so_long(tmp_path: Path, verb: str, fault: Fault, pause_s: float) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("web"))
        api.faults.append(Fault(fault.status, fault.body, fault.headers, verb=verb))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None)
        assert harness.pauses == [pause_s, 1.6]
        assert harness.verbs() == (["list", "list", "watch"] if verb == "list" else ["list", "watch", "watch"])
        assert harness.told() == [("added", "web")]
        assert harness.connections == 1


def test_the_same_in_the_middle_of_a_list_begins_it_anew(tmp_path: Path) -> None:
    with KubeApi() as api:
        for number in range(3):
            api.store.put("pods", make_pod(f"web-{number}"))
        harness = InformerHarness(api, tmp_path, page_size=1)
        api.faults.extend([Fault(verb="list"), Fault(429, b"{}", verb="list")])
        harness.run(lambda: api.store.delete("pods", "web-0", "default"))
        told = harness.told()
        assert told == [("added", "web-0"), ("added", "web-1"), ("added", "web-2"), ("gone", "web-0")]
        assert harness.verbs() == ["list"] * 2 + ["list"] * 2 + ["watch"]
