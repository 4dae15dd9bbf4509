"""Programs that take no requests: their load client answers, or keeps silent."""

from __future__ import annotations

import http.client
import random
import socket
import threading
from typing import Any

import pytest

from lab.client import load_client, sink


@pytest.fixture
def spec(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sink.SinkSession, "_server", None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "protocol": "sink", "host": "127.0.0.1", "port": port, "seed": 1, "payload_bytes": 30, "ready_poll_s": 0.01,
        "loads_data": True,
    }  # fmt: skip


def test_a_service_that_asks_is_answered_once_per_request(spec: dict[str, Any]) -> None:
    session = sink.SinkSession(spec)
    other = sink.SinkSession(spec)
    answers: list[bytes] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", spec["port"], timeout=120)
        for body in (None, b"x" * 5000, b""):
            connection.request("POST", "/items", body)
            answers.append(connection.getresponse().read())
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    for answering in (session, other, session):
        answering.request(random.Random(0))
    asking.join(120)
    assert answers == [session.payload] * 3
    session.server.shutdown()
    session.server.server_close()


def test_a_service_that_asks_nothing_is_not_ready(spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "TIMEOUT_S", 0.05)
    session = sink.SinkSession(spec)
    with pytest.raises(OSError, match="asked nothing"):
        session.prepare()
    session.server.shutdown()
    session.server.server_close()


def test_a_program_that_nobody_talks_to_is_ready_at_once(spec: dict[str, Any]) -> None:
    counts = load_client.Counts()
    load_client.wait_until_ready(spec | {"protocol": "none"}, counts)
    assert counts.ready_after_s is not None
    assert counts.last_error == ""
