"""A watcher that asks the kubelets alone, from the first seconds of each container."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.support.kubelet import Cluster, running_cluster
from tests.support.watching import pods_of
from tests.watcher.conftest import MakeBench
from tests.watcher.test_loop import truth


def _watch(bench: MakeBench, cluster: Cluster, samples: pd.DataFrame, seconds: int) -> list[tuple[str, str | None]]:
    """Let time pass; the source's thread asks each second, the watcher each ten."""
    here = bench()
    here.table.other = cluster.source
    here.appear(*pods_of(samples))
    for second in range(seconds):
        cluster.at_s[0] = here.clock.at_s
        cluster.source.poll()
        if second % 10 == 0:
            here.watcher.run_round()
        here.clock.at_s += 1.0
    assert here.watcher.database_error is None
    return here.announced()


def test_it_identifies_each_container(bench: MakeBench, samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates, window_s=600.0) as cluster:
        said = _watch(bench, cluster, samples, 95)
    assert dict(said) == truth(samples)
