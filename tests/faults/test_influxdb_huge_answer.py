"""An answer that does not end is not read to its end, whatever is asked."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from podlab.errors import PodlabError
from podlab.telemetry.influxdb import InfluxSource

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def endless() -> Iterator[str]:
    """A server whose every answer goes on and on."""
    stop = threading.Event()

    def pour(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                while not stop.is_set():
                    connection.sendall(b" " * 65536)
            except OSError:
                pass  # whoever asked has had enough

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=pour, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join()


def test_memory_stays_bounded(endless: str) -> None:
    source = InfluxSource(endless, "telegraf", max_answer_bytes=100_000)
    tracemalloc.start()
    try:
        with pytest.raises(PodlabError, match=r"even one second of .* the answer has more than 100,000 bytes"):
            source.fetch(UNTIL - timedelta(seconds=10), UNTIL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        source.close()
    assert peak < 3_000_000
