"""One agent's clock is two minutes ahead: its rows are whole, and nobody else's are touched."""

from __future__ import annotations

import pandas as pd

from podlab.data.catalogue import ORIGINAL_METRICS
from tests.sources.test_round_trip import through_influxdb
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples
from tests.support.watching import starting_together


def test_rows_of_a_node_ahead_are_whole(influxd: Influxd, database: str) -> None:
    samples = starting_together(make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=30))
    ahead = samples["node"] == samples["node"].iloc[0]
    skewed = samples.assign(time=samples["time"].where(~ahead, samples["time"] + pd.Timedelta("120s")))
    skewed["started_at"] = skewed["started_at"].dt.as_unit("ns")
    got = through_influxdb(skewed, influxd, database, jitter_s=0.1)
    assert 0 < ahead.sum() < len(samples)
    assert len(got) == len(samples)
    assert got[list(ORIGINAL_METRICS)].notna().all(axis=None)
    key = ["pod", "time"]
    pd.testing.assert_frame_equal(
        got.sort_values(key, ignore_index=True), skewed.sort_values(key, ignore_index=True)[got.columns]
    )
