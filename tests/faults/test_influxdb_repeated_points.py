"""Points written twice, and older ones after newer ones: each row comes back once, in order."""

from __future__ import annotations

import pandas as pd

from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.sources.test_round_trip import fetch_all
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples


def test_each_row_comes_once_and_in_order(influxd: Influxd, database: str) -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=30)
    middle = samples["time"].median()
    target = InfluxDatabase(influxd.url, database, *influxd.admin)
    for part in (samples[samples["time"] >= middle], samples[samples["time"] < middle], samples):
        replay(part.reset_index(drop=True), target)
    target.close()
    pd.testing.assert_frame_equal(fetch_all(samples, influxd, database), samples)
