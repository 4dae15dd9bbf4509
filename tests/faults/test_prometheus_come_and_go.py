"""Containers and metrics that come and go while they are watched."""

from __future__ import annotations

import pandas as pd

from podlab.data.samples import check_samples
from podlab.sources.prometheus import PrometheusSource
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples


def test_gaps_late_comers_and_metrics_that_end(prometheusd: Prometheusd) -> None:
    samples = make_samples(("nginx",), deployments_per_service=1, seconds=40)
    samples = samples.assign(time=samples["time"].dt.floor("ms"), started_at=samples["started_at"].dt.floor("ms"))
    gone = samples.assign(pod="gone").iloc[:9]
    late = samples.assign(pod="late").iloc[30:]
    away = samples.assign(pod="away").drop(index=range(10, 25))
    fewer = samples.assign(pod="fewer")
    fewer.loc[fewer.index >= 20, ["memory_rss_bytes", "cpu_usage_core_nanoseconds", "rx_bytes"]] = pd.NA
    together = check_samples(pd.concat([gone, late, away, fewer]), where="together")
    source = PrometheusSource(prometheusd.api(), labels=prometheusd.write(together))
    got = source.fetch(together["time"].min(), together["time"].max() + pd.Timedelta(1, "ms"))
    assert got[["pod", "time"]].equals(together[["pod", "time"]])
    for column in ("memory_rss_bytes", "cpu_usage_core_nanoseconds", "rx_bytes", "started_at"):
        pd.testing.assert_series_equal(got[column], together[column])
    # After a gap the processor's use is what was used over the whole of it.
    back = got[got["pod"] == "away"].reset_index(drop=True)
    counter, time = back["cpu_usage_core_nanoseconds"].astype("float64"), back["time"]
    over_the_gap = (counter[10] - counter[9]) / (time[10] - time[9]).total_seconds()
    assert back["cpu_usage_nanocores"][10] == over_the_gap


def test_a_container_seen_once(prometheusd: Prometheusd) -> None:
    one = make_samples(("nginx",), deployments_per_service=1, seconds=5).iloc[:1]
    source = PrometheusSource(prometheusd.api(), labels=prometheusd.write(one))
    got = source.fetch(one["time"].min() - pd.Timedelta(1, "s"), one["time"].max() + pd.Timedelta(1, "s"))
    assert len(got) == 1
    assert got["memory_rss_bytes"].tolist() == one["memory_rss_bytes"].tolist()
    assert got["rx_bytes"].tolist() == one["rx_bytes"].tolist()
