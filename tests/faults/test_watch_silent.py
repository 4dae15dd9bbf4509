"""A connection on which nothing comes any more, and that nobody ends: a dead node, a forgetful firewall."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

BEGUN = b'{"type":"ADDED","object":{"metadata":{"name":"web","uid":"u","resource'


@pytest.mark.parametrize("body", [None, b"", BEGUN], ids=["before headers", "after headers", "in a line"])
def test_a_watch_is_given_up_soon_after_its_end_was_due(tmp_path: Path, body: bytes | None) -> None:
    with KubeApi() as api:
        api.faults.append(Fault(silent=True, body=body, verb="watch"))
        harness = InformerHarness(api, tmp_path, watch_s=0.1, grace_s=0.1)
        harness.run(lambda: api.store.put("pods", make_pod("web")))
        assert harness.verbs() == ["list", "watch", "watch"]
        assert harness.told() == [("added", "web")]
        assert harness.pauses == [0.8, 1.6]
        assert harness.informer.status.errors == 1
        assert harness.connections == 2
