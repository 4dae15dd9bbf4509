"""The watcher's small web server: read-only, for probes, Prometheus, programs and people."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from podlab.errors import InputError
from podlab.watcher.status import Status

#: So many are answered at once; a further one is turned away.
_MOST_REQUESTS: Final = 16
#: Whoever is slower than that is let go, in seconds.
_PATIENCE_S: Final = 10.0
_PIECE: Final = 500


class StatusServer:
    """Serves a status; use it in a ``with`` block.

    ``/metrics``, ``/containers`` (JSON), ``/healthz``, ``/readyz``, and ``/``, a page for people.

    Parameters
    ----------
    listen : str
        ``host:port``; port 0 takes a free one.
    status : Status

    Raises
    ------
    InputError
        If it is no address, or taken.
    """

    def __init__(self, listen: str, status: Status) -> None:
        host, colon, port = listen.rpartition(":")
        host = host.strip("[]")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise InputError(f"{listen!r} is no address to listen at", where="watch_listen", hint="write host:port")
        try:
            self._server = _server_of(host)((host, int(port)), _handler_for(status))
        except OSError as error:
            hint = "choose another watch_listen"
            raise InputError(f"cannot listen at {listen}: {error.strerror or error}", hint=hint) from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self._server.server_address[1])

    def __enter__(self) -> StatusServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let go whoever went away; there is nobody to answer."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_of(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server


def _handler_for(status: Status) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S
        server_version = "podlab"
        sys_version = ""

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path in ("/healthz", "/readyz"):
                reasons = status.stuck() if path == "/healthz" else status.not_ready()
                said = "ok\n" if not reasons else "".join(f"{reason}\n" for reason in reasons)
                self._answer("text/plain; charset=utf-8", [said.encode()], 503 if reasons else 200)
            elif path == "/metrics":
                self._answer("text/plain; version=0.0.4; charset=utf-8", [status.metrics()])
            elif path == "/containers":
                self._answer("application/json", _as_array(status.containers()))
            elif path == "/":
                self._answer("text/html; charset=utf-8", [status.page().encode()])
            else:
                self._answer("text/plain; charset=utf-8", [b"not found\n"], 404)

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, kind: str, pieces: Iterable[bytes], code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            for piece in pieces if self.command == "GET" else ():
                self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: probes come every few seconds."""

    return Handler


def _as_array(objects: Iterator[dict[str, object]]) -> Iterator[bytes]:
    """Write a JSON array piece by piece, so that 10,000 containers need no memory of their own."""
    piece: list[str] = []
    opening = "["
    for number, each in enumerate(objects):
        piece.append((opening if number == 0 else ",\n") + json.dumps(each, ensure_ascii=False, allow_nan=False))
        opening = ""
        if len(piece) == _PIECE:
            yield "".join(piece).encode()
            piece.clear()
    yield ("".join(piece) + ("[]" if opening else "]") + "\n").encode()
