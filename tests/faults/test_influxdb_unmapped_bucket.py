"""InfluxDB 2 holds a bucket, and nobody has mapped the database's name to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influx_later import TOKEN, running_later_influx
from tests.support.influxd import Influxd

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_command_that_maps_it_is_told(influxd: Influxd, database: str) -> None:
    with running_later_influx(influxd, 2) as server:
        source = InfluxSource(InfluxDatabase(server.url, database, token=TOKEN))
        with pytest.raises(InputError) as caught:
            source.fetch(UNTIL - timedelta(minutes=10), UNTIL)
        source.close()
    assert "InfluxDB v2.7.11 maps no bucket to this database: unable to find DBRP" in str(caught.value)
    assert f"influx v1 dbrp create --db {database} --rp autogen --default --bucket-id ID" in str(caught.value)


def test_a_database_that_3_does_not_have_is_named(influxd: Influxd) -> None:
    with running_later_influx(influxd, 3) as server:
        source = InfluxSource(InfluxDatabase(server.url, "nowhere", token=TOKEN))
        with pytest.raises(InputError, match="there is no such database; check influxdb_database"):
            source.fetch(UNTIL - timedelta(minutes=10), UNTIL)
        source.close()
