"""What InfluxDB's faults share: a server that gives every connection the same answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import msgspec

from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-msgpack\r\n"


def pack(value: object) -> bytes:
    """Make the bytes of a sound answer."""
    body = msgspec.msgpack.encode(value)
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def listening(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """Hand each connection, once its request has come, to a thread that answers it until it is told to stop."""
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # whoever asked may have had enough
            connection.recv(65536)
            answer(connection, stop)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Answer every connection with the same bytes and close it; say nothing where there are none."""

    def say(connection: socket.socket, stop: threading.Event) -> None:
        if answer:
            connection.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        else:
            stop.wait(600)

    with listening(say) as url:
        yield url


def fetch_from(answer: bytes, timeout_s: float = 10, columns: Collection[str] | None = None) -> Callable[[], object]:
    """Make a fetch from a server that always gives this answer."""

    def fetch() -> object:
        with server(answer) as url:
            return InfluxSource(InfluxDatabase(url, "telegraf", timeout_s=timeout_s), columns=columns).fetch(
                SINCE, UNTIL
            )

    return fetch
