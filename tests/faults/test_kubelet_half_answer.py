"""The connection breaks off in the middle of an answer; nothing of it is believed, and the next round has it all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.kubelet import Fault, running_cluster


@pytest.mark.parametrize("cut_at", [0, 1, 700])
def test_half_an_answer_counts_for_nothing(samples: pd.DataFrame, certificates: tuple[Path, Path], cut_at: int) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.kubelets[0].faults.append(Fault(cut_at=cut_at, path="/stats"))
        cluster.run(1)
        assert set(cluster.fetch()["node"]) == {"node-1", "node-2"}
        assert cluster.source.failures["node-0"].message.startswith(
            "the answer broke off: Connection broken: IncompleteRead("
        )
        cluster.run(1)
        assert not cluster.source.failures
        assert "node-0" in set(cluster.fetch()["node"])
