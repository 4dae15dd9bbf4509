"""An answer that does not end is not read to its end, whatever is asked."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import PodlabError
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from tests.faults.influxdb_case import listening

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def endless() -> Iterator[str]:
    """A server whose every answer goes on and on."""

    def pour(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not stop.is_set():
            connection.sendall(b" " * 65536)

    with listening(pour) as url:
        yield url


def test_memory_stays_bounded(endless: str) -> None:
    source = InfluxSource(InfluxDatabase(endless, "telegraf"), max_answer_bytes=100_000)
    tracemalloc.start()
    try:
        with pytest.raises(PodlabError, match=r"even .* s of .* the answer has more than 100,000 bytes"):
            source.fetch(UNTIL - timedelta(seconds=10), UNTIL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        source.close()
    assert peak < 3_000_000
