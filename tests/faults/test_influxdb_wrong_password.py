"""InfluxDB refuses the user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influxd import Influxd

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize("user", ["admin", "nobody"])
def test_wrong_password_or_user(influxd: Influxd, database: str, user: str) -> None:
    source = InfluxSource(InfluxDatabase(influxd.url, database, user, SECRET))
    with pytest.raises(InputError, match=f"refuses user '{user}': authorization failed; check influxdb_user") as caught:
        source.fetch(SINCE, UNTIL)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(vars(source))


def test_no_login_where_one_is_needed(influxd: Influxd, database: str) -> None:
    with pytest.raises(InputError, match="refuses a visitor without login"):
        InfluxSource(InfluxDatabase(influxd.url, database)).fetch(SINCE, UNTIL)


def test_a_user_without_rights_on_the_database(influxd: Influxd) -> None:
    influxd.statement('CREATE DATABASE "private"')
    with pytest.raises(InputError, match=r"refuses user 'reader': .*not authorized"):
        InfluxSource(InfluxDatabase(influxd.url, "private", *influxd.reader)).fetch(SINCE, UNTIL)
