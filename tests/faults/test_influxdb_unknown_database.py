"""The database does not exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influxd import Influxd

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)


def test_it_is_named(influxd: Influxd) -> None:
    with pytest.raises(InputError, match="database 'nowhere': there is no such database; check influxdb_database"):
        InfluxSource(InfluxDatabase(influxd.url, "nowhere", *influxd.admin)).fetch(SINCE, UNTIL)
