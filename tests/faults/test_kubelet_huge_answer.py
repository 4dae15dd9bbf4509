"""An answer without end is not read to its end."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pandas as pd

from tests.support.kubelet import Fault, running_cluster


def test_memory_stays_bounded(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    some = samples[samples["node"] == "node-0"]
    with running_cluster(some, certificates, max_bytes=200_000) as cluster:
        cluster.kubelets[0].always = Fault(body=b" " * 50_000_000)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            cluster.run(1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert cluster.source.failures["node-0"].message == "the answer has more than 200,000 bytes"
    assert peak - before < 5_000_000
