"""Samples that Telegraf's schema or the line protocol cannot carry."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.data.samples import check_samples
from podlab.errors import InputError
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import Influxd
from tests.support.synthetic import make_samples


@pytest.fixture
def samples() -> pd.DataFrame:
    return make_samples(("nginx",), deployments_per_service=1, seconds=5)


@pytest.mark.parametrize("name", ["ends in a backslash\\", "two\nlines"])
@pytest.mark.parametrize("column", ["pod", "node"])
def test_names_that_line_protocol_has_no_way_to_write(
    samples: pd.DataFrame, influxd: Influxd, database: str, column: str, name: str
) -> None:
    target = InfluxDatabase(influxd.url, database, *influxd.admin)
    with pytest.raises(InputError, match=r"cannot be stored in InfluxDB; rename it: no line break in it, no backslash"):
        replay(samples.assign(**{column: name}), target)
    assert "series" not in influxd.statement("SHOW MEASUREMENTS", db=database)[0]


def test_two_pods_of_one_name_at_one_instant(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    twins = check_samples(pd.concat([samples, samples.assign(pod_uid="other")]), where="twins")
    with pytest.raises(InputError, match=r"occurs twice at .*, with different values; .* different databases"):
        replay(twins, InfluxDatabase(influxd.url, database, *influxd.admin))


def test_containers_of_one_pod_that_disagree_on_its_network(
    samples: pd.DataFrame, influxd: Influxd, database: str
) -> None:
    other = samples.assign(container="other", rx_bytes=samples["rx_bytes"] + 1)
    both = check_samples(pd.concat([samples, other]), where="both")
    with pytest.raises(InputError, match="occurs twice"):
        replay(both, InfluxDatabase(influxd.url, database, *influxd.admin))


def test_a_user_who_may_not_make_the_database(samples: pd.DataFrame, influxd: Influxd) -> None:
    with pytest.raises(InputError, match="InfluxDB refuses user 'reader'"):
        replay(samples, InfluxDatabase(influxd.url, "new", *influxd.reader))


def test_a_user_who_may_only_read(samples: pd.DataFrame, influxd: Influxd, database: str) -> None:
    with pytest.raises(InputError, match="InfluxDB refuses user 'reader'"):
        replay(samples, InfluxDatabase(influxd.url, database, *influxd.reader))
