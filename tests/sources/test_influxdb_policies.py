"""Points in a retention policy that is not the default one: found where it is named, and told of where it is not."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx",), deployments_per_service=1, seconds=20)


@pytest.fixture(scope="module")
def database(influxd: Influxd, samples: pd.DataFrame) -> Iterator[str]:
    """A database whose points are all in the policy ``two weeks``."""
    name = influxd.new_database()
    for policy in ("two weeks", "empty"):
        influxd.statement(f'CREATE RETENTION POLICY "{policy}" ON "{name}" DURATION INF REPLICATION 1')
    replay(samples, InfluxDatabase(influxd.url, f"{name}/two weeks", *influxd.admin))
    yield name
    influxd.statement(f'DROP DATABASE "{name}"')


def fetch(influxd: Influxd, database: str, samples: pd.DataFrame) -> pd.DataFrame:
    source = InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader))
    try:
        return source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "ns"))
    finally:
        source.close()


def test_the_policy_stands_behind_the_database(influxd: Influxd, database: str, samples: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(fetch(influxd, f"{database}/two weeks", samples), samples)


@pytest.mark.parametrize("policy", ["", "/autogen", "/empty"])
def test_where_the_points_are_is_told(influxd: Influxd, database: str, samples: pd.DataFrame, policy: str) -> None:
    words = (
        rf"no rows of kubernetes_pod_container from .* in this retention policy, none at all; there are some in "
        rf"'two weeks', the newest of 2026-.*; set influxdb_database to {database}/two weeks"
    )
    with pytest.raises(InputError, match=words):
        fetch(influxd, database + policy, samples)


def test_another_span_of_the_right_policy(influxd: Influxd, database: str, samples: pd.DataFrame) -> None:
    later = samples.assign(time=samples["time"] + pd.Timedelta(1, "D"))
    with pytest.raises(InputError, match=r"the newest is of 2026-.* UTC; choose another span"):
        fetch(influxd, f"{database}/two weeks", later)


def test_a_policy_that_is_not_there(influxd: Influxd, database: str, samples: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"there is no such retention policy; check .* influxdb_database"):
        fetch(influxd, f"{database}/nowhere", samples)
