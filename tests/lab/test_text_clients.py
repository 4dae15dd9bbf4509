"""The protocols that the load client writes out itself, against small servers that follow the wire formats."""

from __future__ import annotations

import json
import random
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.client import protocols
from lab.client.lookups import dns_query

Serve = Callable[[type[socketserver.BaseRequestHandler]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Run a handler on a free port of this machine; datagram handlers on UDP."""
    servers: list[socketserver.BaseServer] = []

    def start(handler: type[socketserver.BaseRequestHandler]) -> int:
        datagrams = issubclass(handler, socketserver.DatagramRequestHandler)
        kind = socketserver.ThreadingUDPServer if datagrams else socketserver.ThreadingTCPServer
        server = kind(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _session(protocol: str, port: int, **changes: Any) -> Any:
    spec = {
        "protocol": protocol, "host": "127.0.0.1", "port": port, "seed": 1, "payload_bytes": 20, "keys": 10,
        "read_share": 0.5,
    }  # fmt: skip
    return protocols.open_session(spec | changes)


class _Broker(socketserver.StreamRequestHandler):
    """A NATS server with streams: sends what is published to its own subject back, and confirms what is stored."""

    streams: list[str]
    stored: list[bytes]
    data: dict[str, bytes]
    refuses = False

    def handle(self) -> None:
        self.wfile.write(b'INFO {"server_id": "x", "jetstream": true}\r\n')
        subscribed = ""
        for line in self.rfile:
            words = line.decode().split()
            if words[0] == "SUB":
                subscribed = words[1]
                self.wfile.write(b"PING\r\n")
            elif words[0] == "PUB":
                payload = self.rfile.read(int(words[-1]) + 2)
                assert payload.endswith(b"\r\n")
                self.answer(words[1], subscribed if len(words) == 4 or words[1] == subscribed else "", payload[:-2])

    def answer(self, subject: str, subscribed: str, payload: bytes) -> None:
        if self.refuses:
            self.wfile.write(b"-ERR 'Maximum Payload Violation'\r\n")
            return
        if subject.startswith("$JS.API.STREAM.CREATE."):
            self.streams.append(json.loads(payload)["name"])
            payload = b"{}"
        elif subject.startswith("$JS.API.STREAM.INFO."):
            payload = json.dumps({"state": {"messages": len(self.data)}}).encode()
        elif subject.startswith("data."):
            self.data[subject] = payload
            payload = b'{"seq": 1}'
        elif subject.startswith("stored."):
            self.stored.append(payload)
            payload = b'{"seq": 1}'
        if subscribed:
            self.wfile.write(f"MSG {subscribed} 1 {len(payload)}\r\n".encode() + payload + b"\r\n")


def test_nats_stores_a_share_of_its_messages_where_there_are_streams(serve: Serve) -> None:
    _Broker.streams, _Broker.stored, _Broker.data, _Broker.refuses = [], [], {}, False
    session = _session("nats", serve(_Broker))
    session.prepare()
    draw = random.Random(1)
    for _ in range(50):
        session.request(draw)
    session.close()
    assert _Broker.streams == ["load", "data"]
    assert 10 < len(_Broker.stored) < 40
    assert set(_Broker.stored) == {session.payload}


def test_a_stream_of_nats_is_filled_once(serve: Serve) -> None:
    _Broker.streams, _Broker.stored, _Broker.data, _Broker.refuses = [], [], {}, False
    port = serve(_Broker)
    for _ in range(2):
        session = _session("nats", port, data_mb=1.0)
        session.prepare()
        session.close()
    assert sum(len(piece) for piece in _Broker.data.values()) == pytest.approx(1e6, rel=0.01)
    assert list(_Broker.data) == [f"data.{number}" for number in range(len(_Broker.data))]


def test_a_refusal_of_nats_is_an_error(serve: Serve) -> None:
    _Broker.streams, _Broker.stored, _Broker.data, _Broker.refuses = [], [], {}, True
    with pytest.raises(OSError, match="Maximum Payload"):
        _session("nats", serve(_Broker)).request(random.Random(1))


class _Queue(socketserver.StreamRequestHandler):
    """A beanstalkd without time: jobs that are put with a delay become ready when the test says so."""

    ready: list[bytes]
    waiting: list[bytes]
    taken: dict[str, bytes]
    data: list[bytes]

    def handle(self) -> None:
        tube = ""
        for line in self.rfile:
            command, *words = line.decode().split()
            if command == "use":
                tube = words[0]
                self.wfile.write(f"USING {tube}\r\n".encode())
            elif command == "stats-tube":
                answer = f"---\ncurrent-jobs-ready: {len(self.data)}\n"
                self.wfile.write(f"OK {len(answer)}\r\n{answer}\r\n".encode())
            elif command == "watch":
                self.wfile.write(b"WATCHING 2\r\n")
            elif command == "put":
                jobs = self.data if tube == "data" else self.waiting if int(words[1]) else self.ready
                jobs.append(self.rfile.read(int(words[3]) + 2)[:-2])
                self.wfile.write(b"INSERTED 1\r\n")
            elif command == "reserve-with-timeout" and self.ready:
                number = str(len(self.taken))
                self.taken[number] = self.ready.pop()
                self.wfile.write(f"RESERVED {number} {len(self.taken[number])}\r\n".encode())
                self.wfile.write(self.taken[number] + b"\r\n")
            elif command == "reserve-with-timeout":
                self.wfile.write(b"TIMED_OUT\r\n")
            else:
                self.wfile.write(b"DELETED\r\n" if self.taken.get(words[0]) else b"NOT_FOUND\r\n")


def test_beanstalk_leaves_jobs_for_later_and_takes_as_many_again(serve: Serve) -> None:
    _Queue.ready, _Queue.waiting, _Queue.taken, _Queue.data = [], [], {}, []
    session = _session("beanstalk", serve(_Queue))
    draw = random.Random(2)
    for _ in range(200):
        session.request(draw)
    left = len(_Queue.waiting)
    assert 0 < left < 30
    assert len(_Queue.taken) == 200 - left
    # Jobs have become due: whoever leaves one for later takes one of them instead.
    _Queue.ready.extend(_Queue.waiting * 10)
    for _ in range(200):
        session.request(draw)
    session.close()
    assert len(_Queue.taken) == 400 - left
    assert set(_Queue.taken.values()) == {session.payload}


def test_a_tube_of_beanstalk_is_filled_once(serve: Serve) -> None:
    _Queue.ready, _Queue.waiting, _Queue.taken, _Queue.data = [], [], {}, []
    port = serve(_Queue)
    for _ in range(2):
        session = _session("beanstalk", port, data_mb=1.0, payload_bytes=30000)
        session.prepare()
        session.close()
    assert [len(job) for job in _Queue.data] == [30000] * 33
    assert not _Queue.ready


def test_an_end_of_the_connection_is_an_error(serve: Serve) -> None:
    class Ending(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()

    with pytest.raises(OSError, match="ended"):
        _session("beanstalk", serve(Ending))


def test_a_question_to_a_name_server_is_as_the_standard_says() -> None:
    assert dns_query(0x1234, "key-1.lab", "A") == (
        bytes.fromhex("123401000001000000000000") + b"\x05key-1\x03lab\x00" + b"\x00\x01\x00\x01"
    )
    assert dns_query(1, "a", "AAAA").endswith(b"\x01a\x00\x00\x1c\x00\x01")


def _names(code: int, *, stray: bool = False) -> type[socketserver.BaseRequestHandler]:
    class Names(socketserver.DatagramRequestHandler):
        asked: list[bytes] = []  # noqa: RUF012 - shared on purpose

        def handle(self) -> None:
            question = self.rfile.read()
            self.asked.append(question[12:])
            number = struct.unpack_from(">H", question)[0]
            if stray:
                self.socket.sendto(struct.pack(">HH", number ^ 1, 0x8182) + question[4:], self.client_address)
            self.wfile.write(struct.pack(">HH", number, 0x8180 | code) + question[4:])

    return Names


@pytest.mark.parametrize("code", [0, 3])
def test_names_that_are_there_and_that_are_not_are_answers(serve: Serve, code: int) -> None:
    handler: Any = _names(code, stray=True)
    session = _session("dns", serve(handler), read_share=1.0, keys=1)
    session.prepare()
    session.request(random.Random(1))
    session.close()
    assert handler.asked == [b"\x05key-0\x03lab\x00\x00\x01\x00\x01"] * 2


def test_a_failure_of_the_name_server_is_an_error(serve: Serve) -> None:
    with pytest.raises(OSError, match="2"):
        _session("dns", serve(_names(2))).request(random.Random(1))
