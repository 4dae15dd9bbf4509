"""The protocols of applications, stores, mail and STOMP brokers, against small servers that follow them."""

from __future__ import annotations

import json
import random
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from lab.client import protocols
from lab.client.fastcgi import parameter, stream

Serve = Callable[[type[socketserver.BaseRequestHandler]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Run a handler on a free port of this machine."""
    servers: list[socketserver.BaseServer] = []

    def start(handler: type[socketserver.BaseRequestHandler]) -> int:
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
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
        "protocol": protocol, "host": "127.0.0.1", "port": port, "seed": 1, "payload_bytes": 200, "keys": 10,
        "read_share": 0.5, "paths": ["/", "/work"], "data_mb": 0.0,
    }  # fmt: skip
    return protocols.open_session(spec | changes)


class _Http(BaseHTTPRequestHandler):
    """Keeps what was asked, and answers as the test says."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    asked: list[tuple[str, str, bytes]]
    location = ""
    content = b"{}"
    status = 200

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, body))
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - named by the library

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _http(**changes: Any) -> Any:
    return type("Handler", (_Http,), {"asked": [], **changes})


def test_an_application_is_given_its_data_and_a_share_of_writes(serve: Serve) -> None:
    handler = _http()
    session = _session("web-app", serve(handler), data_mb=1.0)
    session.prepare()
    loaded = [body for method, path, body in handler.asked if path.startswith("/items/loaded-") and method == "POST"]
    assert sum(map(len, loaded)) == 2**20
    assert {path for method, path, _ in handler.asked if method == "GET"} == {"/", "/work"}
    handler.asked.clear()
    draw = random.Random(1)
    for _ in range(100):
        session.request(draw)
    session.close()
    written = [body for method, _, body in handler.asked if method == "POST"]
    assert 30 < len(written) < 70
    assert set(written) == {session.payload}


class _Script(socketserver.StreamRequestHandler):
    """A FastCGI responder that reads a request's records and answers with its body."""

    asked: list[tuple[bytes, bytes]]
    head = b"Content-Type: text/plain\r\n\r\n"

    def handle(self) -> None:
        streams: dict[int, bytes] = {4: b"", 5: b""}
        while header := self.rfile.read(8):
            _, kind, number, size_bytes, padding_bytes = struct.unpack(">BBHHBx", header)
            content = self.rfile.read(size_bytes + padding_bytes)[:size_bytes]
            if kind == 5 and not content:
                self.asked.append((streams[4], streams[5]))
                said = self.head + streams[5][:10]
                self.wfile.write(struct.pack(">BBHHBx", 1, 6, number, len(said), 3) + said + b"\0\0\0")
                self.wfile.write(struct.pack(">BBHHBx", 1, 3, number, 8, 0) + bytes(8))
                return
            if kind in streams:
                streams[kind] += content


def test_fastcgi_sends_bodies_larger_than_a_record_and_reads_the_answer(serve: Serve) -> None:
    handler: Any = type("Handler", (_Script,), {"asked": []})
    session = _session("fastcgi", serve(handler))
    assert session.call("POST", "/items/a", b"x" * 150_000) == b"x" * 10
    parameters, body = handler.asked[0]
    assert body == b"x" * 150_000
    assert parameter("REQUEST_METHOD", "POST") in parameters
    assert parameter("CONTENT_LENGTH", "150000") in parameters


def test_a_status_of_a_script_is_an_error(serve: Serve) -> None:
    handler: Any = type("Handler", (_Script,), {"asked": [], "head": b"Status: 500 Internal Server Error\r\n\r\n"})
    with pytest.raises(OSError, match="500"):
        _session("fastcgi", serve(handler)).prepare()


def test_fastcgi_writes_long_values_and_streams_as_specified() -> None:
    assert parameter("A", "b") == b"\x01\x01Ab"
    assert parameter("A", "b" * 200) == b"\x01\x80\x00\x00\xc8A" + b"b" * 200
    assert stream(5, b"ab") == b"\x01\x05\x00\x01\x00\x02\x00\x00ab" + b"\x01\x05\x00\x01\x00\x00\x00\x00"


def test_an_image_is_pushed_before_it_is_pulled(serve: Serve) -> None:
    manifest = {"layers": [{"digest": "sha256:abc"}]}
    handler = _http(location="/v2/lab/blobs/uploads/1?_state=x", content=json.dumps(manifest).encode())
    session = _session("registry", serve(handler), data_mb=2.0)
    session.prepare()
    manifests = [json.loads(body) for method, path, body in handler.asked if method == "PUT" and "manifests" in path]
    assert [len(each["layers"]) for each in manifests] == [2, 1]
    uploads = {path.rpartition("digest=")[2] for method, path, _ in handler.asked if "blobs/uploads/1" in path}
    named = [layer["digest"] for each in manifests for layer in [each["config"], *each["layers"]]]
    assert set(named) == uploads
    handler.asked.clear()
    session.spec["read_share"] = 1.0
    session.request(random.Random(1))
    assert [path for _, path, _ in handler.asked] == ["/v2/lab/manifests/key-0", "/v2/lab/blobs/sha256:abc"]


def test_points_are_written_and_asked_for(serve: Serve) -> None:
    handler = _http()
    session = _session("victoriametrics", serve(handler), data_mb=1.0)
    session.prepare()
    assert sum(len(body) for _, path, body in handler.asked if path == "/write") > 2**19
    handler.asked.clear()
    draw = random.Random(1)
    for _ in range(30):
        session.request(draw)
    assert {path.partition("?")[0] for _, path, _ in handler.asked} == {
        "/write", "/api/v1/query", "/api/v1/query_range",
    }  # fmt: skip


def test_alerts_are_bounded_in_number(serve: Serve) -> None:
    handler = _http()
    session = _session("alertmanager", serve(handler), keys=50_000, read_share=0.0)
    draw = random.Random(1)
    for _ in range(1000):
        session.request(draw)
    alerts = {alert["labels"]["host"] for _, _, body in handler.asked for alert in json.loads(body)}
    assert 1000 < len(alerts) <= 2000


class _Mail(socketserver.StreamRequestHandler):
    """An SMTP server without extensions."""

    received: list[bytes]
    asked: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 lab.invalid\r\n")
        while line := self.rfile.readline():
            self.asked.append(line.decode().split()[0].lower())
            if self.asked[-1] != "data":
                self.wfile.write(b"250 fine\r\n")
                continue
            self.wfile.write(b"354 go on\r\n")
            message = b""
            while (part := self.rfile.readline()) != b".\r\n":
                message += part
            self.received.append(message)
            self.wfile.write(b"250 kept\r\n")


def test_mail_is_sent_and_addresses_are_asked_for(serve: Serve) -> None:
    handler: Any = type("Handler", (_Mail,), {"received": [], "asked": []})
    session = _session("smtp", serve(handler), data_mb=0.5)
    session.prepare()
    assert sum(map(len, handler.received)) > 2**19
    handler.asked.clear()
    draw = random.Random(1)
    for _ in range(40):
        session.request(draw)
    session.close()
    assert 10 < handler.asked.count("data") < 30
    assert handler.asked.count("mail") == 40
    sent = handler.received[-1].partition(b"\r\n\r\n")[2]
    assert sent.replace(b"\r\n", b"") == session.payload


class _StompBroker(socketserver.StreamRequestHandler):
    """A STOMP broker that sends each message back to whoever sent it, or confirms that it is kept."""

    kept: list[int]
    refuses = False

    def handle(self) -> None:
        while line := self.rfile.readline():
            headers = {}
            while (header := self.rfile.readline()) != b"\n":
                name, _, value = header.decode().rstrip("\n").partition(":")
                headers[name] = value
            body = self.rfile.read(int(headers["content-length"]) + 1)[:-1]
            if line == b"CONNECT\n":
                self.wfile.write(b"CONNECTED\nversion:1.1\n\n\0\n")
            elif line == b"SEND\n" and self.refuses:
                self.wfile.write(b"ERROR\nmessage:the store is full\n\n\0\n")
            elif line == b"SEND\n" and "receipt" in headers:
                self.kept.append(len(body))
                self.wfile.write(f"RECEIPT\nreceipt-id:{headers['receipt']}\n\n\0\n".encode())
            elif line == b"SEND\n":
                self.wfile.write(f"MESSAGE\ncontent-length:{len(body)}\n\n".encode() + body + b"\0\n")


def test_stomp_leaves_data_and_hears_its_own_messages(serve: Serve) -> None:
    handler: Any = type("Handler", (_StompBroker,), {"kept": []})
    session = _session("stomp", serve(handler), data_mb=1.0)
    session.prepare()
    assert sum(handler.kept) == 2**20
    session.request(random.Random(1))
    session.close()


def test_a_refusal_of_a_stomp_broker_is_an_error(serve: Serve) -> None:
    handler: Any = type("Handler", (_StompBroker,), {"kept": [], "refuses": True})
    session = _session("stomp", serve(handler))
    with pytest.raises(OSError, match="store is full"):
        session.request(random.Random(1))
