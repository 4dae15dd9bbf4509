"""The database holds nothing that podlab could read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import InputError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.support.influxd import Influxd

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)


def test_nothing_at_all(influxd: Influxd, database: str) -> None:
    with pytest.raises(
        InputError,
        match="the database has no measurement at all; missing are kubernetes_pod_container, kubernetes_pod_network, "
        "kubernetes_pod_volume, docker_container_blkio; let Telegraf's kubernetes input write",
    ):
        InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader)).fetch(SINCE, UNTIL)


def test_only_other_measurements(influxd: Influxd, database: str) -> None:
    influxd.write(database, b"cpu,host=a usage=1 1767225600000000000\nkubernetes_pod_network rx_bytes=1i 1")
    with pytest.raises(InputError, match="has cpu, kubernetes_pod_network; missing are kubernetes_pod_container, kub"):
        InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader)).fetch(SINCE, UNTIL)


def test_rows_of_another_time_only(influxd: Influxd, database: str) -> None:
    line = b"kubernetes_pod_container,pod_name=p,container_name=c memory_rss_bytes=1i 1700000000000000000"
    influxd.write(database, line)
    with pytest.raises(InputError, match=r"from 2026-01-01 00:00:00 to .*, the newest is of 2023-11-14 22:13:20 UTC"):
        InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader)).fetch(SINCE, UNTIL)


def test_a_span_that_ends_before_it_begins(influxd: Influxd, database: str) -> None:
    with pytest.raises(InputError, match="the span ends before it begins"):
        InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader)).fetch(UNTIL, SINCE)


def test_times_without_a_zone(influxd: Influxd, database: str) -> None:
    with pytest.raises(InputError, match="has no time zone"):
        InfluxSource(InfluxDatabase(influxd.url, database, *influxd.reader)).fetch(SINCE.replace(tzinfo=None), UNTIL)
