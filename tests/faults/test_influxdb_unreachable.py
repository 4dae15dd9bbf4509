"""Nobody listens where InfluxDB should be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import free_ports
from tests.support.synthetic import make_samples

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)


def test_a_closed_port() -> None:
    [port] = free_ports(1)
    with pytest.raises(
        InputError, match=rf"http://127.0.0.1:{port}, .*: InfluxDB cannot be reached: .*check influxdb_url"
    ):
        InfluxSource(InfluxDatabase(f"http://127.0.0.1:{port}", "telegraf")).fetch(SINCE, UNTIL)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="InfluxDB cannot be reached"):
        InfluxSource(InfluxDatabase("http://influxdb.invalid:8086", "telegraf")).fetch(SINCE, UNTIL)


def test_replay_says_the_same() -> None:
    [port] = free_ports(1)
    with pytest.raises(InputError, match="InfluxDB cannot be reached"):
        replay(make_samples(("nginx",), seconds=5), InfluxDatabase(f"http://127.0.0.1:{port}", "telegraf"))
