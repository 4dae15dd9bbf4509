"""Nodes whose clocks are wrong: they are told of, their samples count, and the others' are not lost for it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.kubelet import running_cluster


@pytest.mark.parametrize(("ahead_s", "word"), [(3600.0, "ahead of"), (-3600.0, "behind")])
def test_all_samples_are_kept(
    samples: pd.DataFrame,
    certificates: tuple[Path, Path],
    caplog: pytest.LogCaptureFixture,
    ahead_s: float,
    word: str,
) -> None:
    with running_cluster(samples, certificates, ahead_s={"node-1": ahead_s}, window_s=60.0) as cluster:
        cluster.run(20)
        got = cluster.fetch()
    per_node = got.groupby("node").size()
    assert per_node.min() >= 30
    apart_s = (got["time"] - got["started_at"]).dt.total_seconds()
    assert apart_s.between(0, 21).all()
    told = [record.message for record in caplog.records if "clock" in record.message]
    assert len(told) == 1
    assert "node node-1: its newest sample is 36" in told[0]
    assert f"s {word} our clock; set its time (NTP)" in told[0]
