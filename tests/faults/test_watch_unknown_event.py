"""An event of a type that is still to be invented."""

from __future__ import annotations

from pathlib import Path

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

STRANGE = b'{"type":"RENAMED","object":{"kind":"Pod","metadata":{"name":"web","uid":"u","resourceVersion":"1005"}}}\n'


def test_nothing_is_made_of_it_and_nothing_lost(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.faults.append(Fault(body=STRANGE, verb="watch"))
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: api.store.put("pods", make_pod("new")))
        assert harness.told() == [("added", "new")]
        assert [request.params.get("resourceVersion") for request in api.requests] == [None, "1000", "1000"]
        assert harness.informer.status.errors == 1


def test_if_it_stays_a_list_gets_past_it(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.faults.extend([Fault(body=STRANGE, verb="watch")] * 3)
        harness = InformerHarness(api, tmp_path)
        harness.run(lambda: None, lambda: api.store.put("pods", make_pod("web")), lambda: None)
        assert harness.verbs() == ["list", "watch", "watch", "watch", "list", "watch"]
        assert harness.told() == [("added", "web")]
