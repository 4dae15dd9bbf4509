"""Something answers 200 and says something else: an API's refusal, a proxy's page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import PodlabError
from tests.support.kubelet import Fault, running_cluster

BODIES = [
    b'{"kind": "Status", "status": "Failure", "message": "etcd is gone"}',
    b"<html>Welcome</html>\n",
    b"",
    b"null",
]


@pytest.mark.parametrize("body", BODIES)
def test_it_is_no_answer(samples: pd.DataFrame, certificates: tuple[Path, Path], body: bytes) -> None:
    with running_cluster(samples[samples["node"] == "node-0"], certificates) as cluster:
        cluster.kubelets[0].always = Fault(body=body)
        cluster.run(1)
        with pytest.raises(PodlabError, match=r"is not a kubelet's or broke off: .*check its address and port"):
            cluster.fetch()


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_failure_is_told_with_its_words(samples: pd.DataFrame, certificates: tuple[Path, Path], status: int) -> None:
    with running_cluster(samples[samples["node"] == "node-0"], certificates) as cluster:
        cluster.kubelets[0].always = Fault(status=status, body=b"runtime\nis down")
        cluster.run(1)
        with pytest.raises(PodlabError, match=f"answered /stats/summary with {status}: runtime is down"):
            cluster.fetch()
