"""Containers that end, begin anew with counters from 0, and nodes that leave and join."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from podlab.data.samples import INSTANCE_KEY
from tests.support.kubelet import running_cluster


def test_a_restarted_container_is_another_instance(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    first = samples[samples["pod"] == samples["pod"].iloc[0]].head(20)
    later = pd.Timedelta("25s")
    second = first.assign(time=first["time"] + later, started_at=first["started_at"] + later)
    with running_cluster(pd.concat([first, second], ignore_index=True), certificates) as cluster:
        cluster.run(40)
        got = cluster.fetch()
    lives = got.groupby(list(INSTANCE_KEY))
    assert lives.ngroups == 2
    assert lives["cpu_usage_core_nanoseconds"].apply(lambda told: told.diff().dropna().ge(0).all()).all()
    assert lives.size().min() >= 10


def test_who_is_gone_is_forgotten_after_the_window(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    here = samples[samples["node"] == "node-0"]
    gone = here["pod"].iloc[0]
    brief = here[(here["pod"] != gone) | (here["time"] < here["time"].min() + pd.Timedelta("5s"))]
    with running_cluster(brief, certificates, window_s=30.0) as cluster:
        cluster.run(10)
        assert gone in set(cluster.fetch()["pod"])
        cluster.run(50, every_s=2.0)
        assert gone not in set(cluster.fetch()["pod"])
        assert len(cluster.source.buffer._codes) == brief["pod"].nunique() - 1


def test_nodes_leave_and_join(samples: pd.DataFrame, certificates: tuple[Path, Path]) -> None:
    with running_cluster(samples, certificates) as cluster:
        late = cluster.kubelets.pop()
        cluster.run(2)
        assert set(cluster.fetch()["node"]) == {"node-0", "node-1"}
        cluster.kubelets.pop(0)
        cluster.kubelets.append(late)
        cluster.at_s[0] += 61  # the nodes are listed again each minute
        cluster.source.poll()
        assert cluster.source.name == "kubelets of 2 nodes of cluster 'local'"
        assert "node-2" in set(cluster.fetch()["node"])
        assert not cluster.source.failures
