"""One recording through InfluxDB and the kubelets: the same samples within what each can tell, the same answers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.sources.test_kubelet import KEY, as_told
from tests.sources.test_round_trip import fetch_all
from tests.support.influxd import Influxd
from tests.support.kubelet import running_cluster
from tests.support.models import small_identifier
from tests.support.synthetic import make_samples
from tests.support.watching import starting_together


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    made = starting_together(
        make_samples(("nginx", "redis"), deployments_per_service=3, seconds=15, seed=9, jitter_s=0.3)
    )
    # Telegraf writes 0 for what the kubelet did not tell, so that a first row of zeros is missing there.
    made = made[made["cpu_usage_core_nanoseconds"] > 0].reset_index(drop=True)
    return made.assign(started_at=made["started_at"].dt.as_unit("ns"))


def answers(samples: pd.DataFrame) -> dict[str, str | None]:
    return {each.pod: each.service for each in small_identifier().identify(samples, horizon_s=10.0)}


def test_every_source_leads_to_the_same_answers(
    samples: pd.DataFrame, influxd: Influxd, database: str, certificates: tuple[Path, Path]
) -> None:
    replay(samples, InfluxDatabase(influxd.url, database, *influxd.admin))
    from_influxdb = fetch_all(samples, influxd, database)
    with running_cluster(samples, certificates, window_s=600.0) as cluster:
        cluster.at_s[0] = samples["time"].min().timestamp() - 0.9
        cluster.run(16, every_s=0.25)
        from_kubelets = cluster.fetch()
    recorded = answers(samples)
    assert set(recorded.values()) == {"nginx", "redis"}
    assert answers(from_influxdb) == answers(from_kubelets) == recorded
    pd.testing.assert_frame_equal(from_influxdb[samples.columns], samples)
    # Of two samples within one second a kubelet's whole seconds tell the first only.
    expected = as_told(samples)
    expected = expected[~expected.assign(second=expected["time"].dt.floor("s")).duplicated(["pod", "second"])]
    columns = [name for name in from_kubelets if name in expected and name != "image"]
    assert 0.8 * len(samples) < len(expected) < len(samples)
    pd.testing.assert_frame_equal(
        from_kubelets[columns].sort_values(KEY, ignore_index=True),
        expected[columns].sort_values(KEY, ignore_index=True),
    )
