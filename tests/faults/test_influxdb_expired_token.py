"""A token of InfluxDB 2 or 3 that has expired, is wrong, or is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influx_later import TOKEN, running_later_influx
from tests.support.influxd import Influxd

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
SINCE = UNTIL - timedelta(minutes=10)


@pytest.mark.parametrize("major", [2, 3])
def test_it_expires_between_two_questions(influxd: Influxd, database: str, major: int) -> None:
    with running_later_influx(influxd, major) as server:
        server.mapped.add(database)
        source = InfluxSource(InfluxDatabase(server.url, database, token=TOKEN))
        with pytest.raises(InputError, match="the database has no measurement at all"):
            source.fetch(SINCE, UNTIL)
        server.token = None
        with pytest.raises(
            InputError, match=r"InfluxDB refuses the token: .*; check influxdb_token, when it"
        ) as caught:
            source.fetch(SINCE, UNTIL)
        source.close()
    assert TOKEN not in str(caught.value) + repr(source.database)


def test_no_token_at_all(influxd: Influxd, database: str) -> None:
    with running_later_influx(influxd, 3) as server:
        source = InfluxSource(InfluxDatabase(server.url, database))
        with pytest.raises(InputError, match=r"InfluxDB refuses a visitor without login: .*authenticated"):
            source.fetch(SINCE, UNTIL)
        source.close()
