"""410 in the middle of a list: it is begun anew, and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import PodlabError
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from tests.support.kubeapi import KubeApi, Request
from tests.support.kubeobjects import make_pod


class Compaction:
    """Lets the versions of a list expire before its second page, so many times; adds a pod each time."""

    def __init__(self, api: KubeApi, times: int) -> None:
        self.api = api
        self.times = times

    def __call__(self, request: Request) -> None:
        if request.resource == "pods" and "continue" in request.params and self.times:
            self.times -= 1
            self.api.store.put("pods", make_pod(f"new-{self.times}", uid=f"u-{self.times}"))
            self.api.store.compact()


@pytest.mark.parametrize("times", [1, 3])
def test_the_list_is_of_one_moment_after_all(tmp_path: Path, times: int) -> None:
    with KubeApi() as api:
        api.add_user("token")
        for number in range(5):
            api.store.put("pods", make_pod(f"pod-{number}"))
        api.before_answer = Compaction(api, times)
        table = read_inventory(connect(kubeconfig=api.write_kubeconfig(tmp_path / "k", "token")), page_size=2)
        assert table["pod"].tolist() == [f"new-{n}" for n in range(times)] + [f"pod-{n}" for n in range(5)]
        assert table["pod_uid"].is_unique


def test_a_server_that_goes_on_refusing_is_left_alone(tmp_path: Path) -> None:
    with KubeApi() as api:
        api.add_user("token")
        for number in range(5):
            api.store.put("pods", make_pod(f"pod-{number}"))
        api.before_answer = Compaction(api, times=1000)
        connection = connect(kubeconfig=api.write_kubeconfig(tmp_path / "k", "token"))
        with pytest.raises(PodlabError, match=r"the list of pods expired 4 times while it was read; read larger pages"):
            read_inventory(connection, page_size=2)
        assert len(api.requests) == 8
