"""A server that fails every request for hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod


@pytest.mark.parametrize("status", [500, 502, 503])
def test_in_an_hour_it_is_asked_little_more_than_twice_a_minute(tmp_path: Path, status: int) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        api.faults.extend([Fault(status, b"<html>failed</html>")] * 1000)

        def go_on() -> None:
            if harness.now_s < 3600:
                harness._steps.append(go_on)

        harness.run(go_on)
        assert len(api.requests) == len(harness.pauses) <= 126
        assert harness.pauses[:7] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30]
        status_then = harness.informer.status
        assert (status_then.synced, status_then.errors) == (False, len(api.requests))
        assert f"({status})" in (status_then.last_error or "")


def test_a_storm_amid_watching_costs_no_list_and_no_pod(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.store.put("pods", make_pod("old"))
        harness = InformerHarness(api, tmp_path)

        def strike() -> None:
            api.faults.extend([Fault(500, b"")] * 5)
            api.store.put("pods", make_pod("new"))

        harness.run(strike, *[lambda: None] * 5)
        assert harness.verbs() == ["list"] + ["watch"] * 7
        assert harness.told() == [("added", "old"), ("added", "new")]
        assert harness.informer.status.last_error is None
