"""InfluxSource with InfluxDB 2.x and 3.x: the same samples as from 1.x, whatever the version speaks."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influx_later import TOKEN, LaterInflux, running_later_influx
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "mysql"), deployments_per_service=2, seconds=20)


@pytest.fixture(scope="module")
def filled(influxd: Influxd, samples: pd.DataFrame) -> str:
    name = influxd.new_database()
    replay(samples, InfluxDatabase(influxd.url, name, *influxd.admin))
    return name


@pytest.fixture(params=["2", "3", "3, tags as columns"])
def later(request: pytest.FixtureRequest, influxd: Influxd, filled: str) -> Iterator[LaterInflux]:
    with running_later_influx(influxd, int(request.param[0])) as server:
        server.mapped.add(filled)
        server.tags_as_columns = "columns" in request.param
        yield server


def fetch(url: str, database: str, samples: pd.DataFrame, pods: list[str] | None = None) -> pd.DataFrame:
    source = InfluxSource(InfluxDatabase(url, database, token=TOKEN))
    try:
        return source.fetch(samples["time"].min(), samples["time"].max() + pd.Timedelta(1, "ns"), pods=pods)
    finally:
        source.close()


def test_the_same_samples_come_back(later: LaterInflux, filled: str, samples: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(fetch(later.url, filled, samples), samples)
    schemes = {scheme for _, path, scheme in later.asked if path == "/query"}
    assert schemes == {"Token" if later.major == 2 else "Bearer"}


def test_only_the_pods_asked_for_come_back(later: LaterInflux, filled: str, samples: pd.DataFrame) -> None:
    some = sorted(samples["pod"].unique())[:2]
    expected = samples[samples["pod"].isin(some)].reset_index(drop=True)
    pd.testing.assert_frame_equal(fetch(later.url, filled, samples, some), expected)


@pytest.mark.parametrize(
    ("name", "count"), [("long-name-" * 20, 270), ("a" * 60, 500), ("ip-10-0-0-1.eu-west-1.internal", 500)]
)
def test_many_long_names_fit_into_an_address(
    later: LaterInflux, filled: str, samples: pd.DataFrame, name: str, count: int
) -> None:
    one = samples["pod"].iloc[0]
    names = [one, *(f"{name}-{number}" for number in range(count))]
    assert set(fetch(later.url, filled, samples, names)["pod"]) == {one}
    # A server takes no address of more than 65,534 characters.
    if later.major == 3:
        assert len([path for _, path, _ in later.asked if path == "/query"]) > 5


def test_a_version_that_ping_hides_stands_in_health(influxd: Influxd, filled: str, samples: pd.DataFrame) -> None:
    with running_later_influx(influxd, 2) as server:
        server.mapped.add(filled)
        server.tells_version = False
        database = InfluxDatabase(server.url, filled, token=TOKEN)
        assert (database.version.major, database.version.text) == (2, "v2.7.11")
        database.close()
        assert len(fetch(server.url, filled, samples)) == len(samples)


def test_the_real_1_x_server_tells_its_version(influxd: Influxd) -> None:
    database = InfluxDatabase(influxd.url, "any", *influxd.reader)
    assert database.version.major == 1
    assert database.version.text.startswith("1.")
    database.close()
