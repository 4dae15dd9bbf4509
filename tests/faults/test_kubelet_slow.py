"""A node that takes too long holds up nobody, whether it says nothing or a byte now and then."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from tests.support.kubelet import Fault, running_cluster


@pytest.mark.parametrize("fault", [Fault(wait_s=600), Fault(trickle=True)], ids=["silent", "trickling"])
def test_the_others_are_not_waited_for(samples: pd.DataFrame, certificates: tuple[Path, Path], fault: Fault) -> None:
    with running_cluster(samples, certificates, timeout_s=5.0, interval_s=30.0) as cluster:
        cluster.kubelets[1].always = fault
        begun_s = time.monotonic()
        cluster.run(2)
        assert time.monotonic() - begun_s < 300
        assert set(cluster.fetch()["node"]) == {"node-0", "node-2"}
        assert cluster.source.failures["node-1"].message == "the kubelet did not answer within 5 s"


def test_what_comes_after_its_round_is_taken_in_with_the_next(
    samples: pd.DataFrame, certificates: tuple[Path, Path]
) -> None:
    with running_cluster(samples, certificates, interval_s=0.3) as cluster:
        cluster.kubelets[1].faults.append(Fault(wait_s=1.0))
        cluster.run(1)
        assert "node-1" not in set(cluster.fetch()["node"])
        cluster.source._pending["node-1"].result(60)
        cluster.run(1)
        assert "node-1" in set(cluster.fetch()["node"])
