"""The load client: its rates over time, and real requests to a real HTTP server."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lab.client import load_client, protocols
from lab.client.session import touch


class _Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str] = []  # noqa: RUF012 - shared on purpose
    ranges: list[str] = []  # noqa: RUF012 - shared on purpose
    sent: list[bytes] = []  # noqa: RUF012 - shared on purpose

    def do_POST(self) -> None:
        self.sent.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.ranges.append(self.headers.get("Range", ""))
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    _Pages.asked, _Pages.ranges, _Pages.sent = [], [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def _spec(port: int = 1, **changes: Any) -> dict[str, Any]:
    spec = {
        "protocol": "http", "host": "127.0.0.1", "port": port, "paths": ["/a", "/b"], "pattern": "heavy", "seed": 1,
        "rate_per_s": 5000.0, "connections": 1, "payload_bytes": 20, "keys": 10, "read_share": 0.5,
        "burst_period_s": 10.0, "burst_share": 0.3, "ready_poll_s": 0.01, "closed_loop": False, "loads_data": True,
        "data_mb": 0,
    }  # fmt: skip
    return spec | changes


def test_rates_follow_the_pattern() -> None:
    assert load_client.rate_at(_spec(pattern="idle"), 3) == 0
    assert load_client.rate_at(_spec(pattern="steady"), 3) == 5000
    bursty = _spec(pattern="bursty", rate_per_s=100.0)
    assert [load_client.rate_at(bursty, second) for second in (0, 2.9, 3.1, 9.9, 10, 12.9, 13.1)] == [
        100, 100, 5, 5, 100, 100, 5,
    ]  # fmt: skip
    ramp = _spec(pattern="ramp", rate_per_s=100.0, ramp_period_s=40.0)
    assert [load_client.rate_at(ramp, second) for second in (0, 10, 20, 30, 40, 60)] == [0, 50, 100, 50, 0, 100]


def test_the_client_notes_when_the_service_answered(server: ThreadingHTTPServer) -> None:
    counts = load_client.Counts()
    load_client.wait_until_ready(_spec(server.server_port), counts)
    assert counts.ready_after_s is not None
    assert _Pages.asked[0] in ("/a", "/b")


def test_requests_are_counted_until_the_end(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ending(protocols.Http):
        def request(self, draw: Any) -> None:
            if len(_Pages.asked) == 20:
                raise SystemExit
            super().request(draw)

    monkeypatch.setitem(protocols.PROTOCOLS, "http", Ending)
    counts = load_client.Counts()
    with pytest.raises(SystemExit):
        load_client.send(_spec(server.server_port), 0, counts)
    assert (counts.requests, counts.errors) == (20, 0)
    assert set(_Pages.asked) == {"/a", "/b"}


def test_what_users_felt_is_told_for_each_period() -> None:
    counts = load_client.Counts(requests=12, errors=3, latencies_ms=[float(ms) for ms in range(100)], asked_s={4: 7.0})
    line = load_client.take_report(counts, requests=2, errors=1, now_s=10.0, clock_s=1000.04)
    assert line["requests"] == 12
    assert line["period"] == {
        "end": 1000.0, "requests": 10, "errors": 2, "median_ms": 50.0, "p95_ms": 95.0, "waiting_ms": 3000.0,
    }  # fmt: skip
    quiet = load_client.take_report(counts, requests=12, errors=3, now_s=15.0, clock_s=1005.0)["period"]
    assert (quiet["median_ms"], quiet["p95_ms"], quiet["waiting_ms"]) == (None, None, 8000.0)


def test_what_an_earlier_run_has_loaded_is_not_loaded_again(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[float] = []

    class Loading(protocols.Http):
        def prepare(self) -> None:
            loaded.append(self.spec["data_mb"])

    monkeypatch.setitem(protocols.PROTOCOLS, "http", Loading)
    for loads_data in (True, False):
        spec = _spec(server.server_port, data_mb=5, loads_data=loads_data)
        load_client.wait_until_ready(spec, load_client.Counts())
    assert loaded == [5, 0]


def test_a_probe_asks_for_the_first_plain_page() -> None:
    assert load_client.probed_path(["POST /add", "/{key}", "/page", "/other"]) == "/page"
    assert load_client.probed_path(["/{key}"]) == "/"


def test_idle_sends_nothing(server: ThreadingHTTPServer) -> None:
    load_client.send(_spec(server.server_port, pattern="idle", rate_per_s=0.0), 0, load_client.Counts())
    assert _Pages.asked == []


def test_an_error_page_is_an_error(server: ThreadingHTTPServer) -> None:
    with pytest.raises(OSError, match="404"):
        protocols.open_session(_spec(server.server_port, paths=["/missing"])).prepare()


def test_a_probe_of_nothing_is_no_fault(server: ThreadingHTTPServer) -> None:
    touch(_spec(server.server_port))
    port = server.server_port
    server.server_close()
    touch(_spec(port))


def test_the_payload_has_the_drawn_size_and_is_the_same_for_a_seed() -> None:
    one, same, other = (protocols.Http(_spec(payload_bytes=333, seed=seed)) for seed in (1, 1, 2))
    assert len(one.payload) == 333
    assert one.payload == same.payload != other.payload


def test_a_path_may_name_a_key_a_size_and_the_payload(server: ThreadingHTTPServer) -> None:
    paths = ["/{key}?size={size}&bytes={payload_bytes}"]
    session = protocols.open_session(_spec(server.server_port, paths=paths, payload_bytes=1500, keys=1))
    session.request(random.Random(1))
    assert _Pages.asked == ["/key-0?size=1024&bytes=1500"]


def test_a_part_of_the_payloads_size_is_read_of_one_of_the_files(server: ThreadingHTTPServer) -> None:
    session = protocols.open_session(_spec(server.server_port, paths=["/{file}"], payload_bytes=700, data_mb=2.0))
    draw = random.Random(1)
    for _ in range(40):
        session.request(draw)
    assert set(_Pages.asked) == {"/0", "/1", "/2"}
    bounds = [[int(bound) for bound in each.removeprefix("bytes=").split("-")] for each in _Pages.ranges]
    assert {last - first + 1 for first, last in bounds} == {700}
    assert all(first >= 0 and last < 1_000_000 for first, last in bounds)


def test_the_payload_is_sent_where_a_path_says_so(server: ThreadingHTTPServer) -> None:
    session = protocols.open_session(_spec(server.server_port, paths=["/a", "POST /store"], read_share=0.7))
    draw = random.Random(1)
    for _ in range(100):
        session.request(draw)
    assert 50 < _Pages.asked.count("/a") < 90
    assert _Pages.sent == [session.payload] * _Pages.asked.count("/store")


@pytest.mark.parametrize(("payload_bytes", "piece_bytes"), [(20, 4096), (5000, 5000), (65536, 60000)])
def test_data_come_in_different_pieces_of_about_the_payloads_size(payload_bytes: int, piece_bytes: int) -> None:
    session = protocols.Http(_spec(payload_bytes=payload_bytes, data_mb=3.0))
    pieces = list(session.pieces())
    assert {len(piece) for piece in pieces} == {piece_bytes}
    assert sum(len(piece) for piece in pieces) == pytest.approx(3e6, rel=0.02)
    assert len(set(pieces)) == len(pieces)
    assert list(protocols.Http(_spec(data_mb=0.0)).pieces()) == []


def test_what_keeps_every_version_of_a_value_gets_small_ones(server: ThreadingHTTPServer) -> None:
    class Small(protocols.Http):
        most_bytes = 100

    assert len(Small(_spec(payload_bytes=65536)).payload) == 100
    assert len(Small(_spec(payload_bytes=65)).payload) == 65
