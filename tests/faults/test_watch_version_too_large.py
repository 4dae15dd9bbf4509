"""A server that has not seen the version yet, or never will since its database was restored: 504, or older news."""

from __future__ import annotations

from pathlib import Path

from tests.support.informer import InformerHarness
from tests.support.kubeapi import Fault, KubeApi
from tests.support.kubeobjects import make_pod

TOO_LARGE = Fault(
    504,
    b'{"kind":"Status","message":"Too large resource version","reason":"Timeout","code":504,'
    b'"details":{"causes":[{"reason":"ResourceVersionTooLarge"}],"retryAfterSeconds":1}}',
    verb="watch",
)


def test_a_list_finds_the_version_that_there_is(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        api.faults.append(TOO_LARGE)

        def restore() -> None:
            api.store.version = 500
            api.store.put("pods", make_pod("web"))

        harness.run(restore)
        assert harness.verbs() == ["list", "watch", "list", "watch"]
        assert harness.told() == [("added", "web")]
        assert harness.informer.status.resource_version == 501
        assert harness.pauses == [0.8, 1.6]


def test_a_bookmark_that_goes_back_calls_for_a_list(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        api.faults.append(
            Fault(body=b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}\n', verb="watch")
        )
        harness.run(lambda: None)
        assert harness.verbs() == ["list", "watch", "list", "watch"]
        assert harness.informer.status.errors == 1


def test_other_timeouts_of_the_server_are_waited_out(tmp_path: Path) -> None:
    with KubeApi() as api:
        harness = InformerHarness(api, tmp_path)
        api.faults.append(Fault(504, b'{"kind":"Status","message":"etcd timed out","code":504}', verb="watch"))
        harness.run(lambda: None)
        assert harness.verbs() == ["list", "watch", "watch"]
