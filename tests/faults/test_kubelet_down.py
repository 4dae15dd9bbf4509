"""A node that does not answer: the others do, and it is told of once; when none does, that is the error."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import PodlabError
from tests.support.kubelet import running_cluster


def test_one_node_down_costs_only_its_own_containers(
    samples: pd.DataFrame, certificates: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.kubelets[0].__exit__(None, None, None)
        cluster.run(5)
        assert set(cluster.fetch()["node"]) == {"node-1", "node-2"}
        assert list(cluster.source.failures) == ["node-0"]
    told = [record.message for record in caplog.records if "node-0" in record.message]
    assert len(told) == 1
    assert "the kubelet cannot be reached: Connection refused; check that the node's port can be reached" in told[0]


def test_when_no_node_answers_that_is_the_error(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        for kubelet in cluster.kubelets:
            kubelet.__exit__(None, None, None)
        cluster.run(1)
        with pytest.raises(PodlabError, match=r"node node-\d .*: the kubelet cannot be reached"):
            cluster.fetch(["any"])
