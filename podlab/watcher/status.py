"""The watcher's status, for probes, programs and people, and the small read-only web server that serves it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from podlab.errors import InputError
from podlab.kubernetes.informer import InformerStatus
from podlab.watcher.console import Console
from podlab.watcher.containers import to_iso
from podlab.watcher.loop import Watcher

#: After this long without a round that is due, or without an attempt to follow the pods, a restart may help.
STUCK_S: Final = 300.0
#: After this long without an open watch the pods are not followed: a watch ends and is reopened sooner.
_UNWATCHED_S: Final = 120.0

#: Of each thing that the page asks for.
_MOST_CHARACTERS: Final = 200
_HERE: Final = Path(__file__).parent
_FILES: Final = {
    "/": ("console.html", "text/html; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console.js": ("console.js", "text/javascript; charset=utf-8"),
}
#: The page may load its own script and style, and ask this server; nothing inline runs, nothing comes from elsewhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class WatcherStatus:
    """What a running watcher reports, from any thread."""

    watcher: Watcher
    informer: InformerStatus
    began_s: float  # when the watcher was started, on the steady clock
    steady: Callable[[], float]  # the clock of watcher and informer
    leading: Callable[[], bool] = lambda: True  # whether this watcher announces
    now: Callable[[], float] = time.time  # seconds since 1970

    def stuck(self) -> list[str]:
        """Why the watcher should be restarted; empty while it is alive."""
        # An unreachable API server is not a reason: a restart would lose what is known, and bring nothing back.
        now_s, reasons = self.steady(), []
        for what, at_s, most_s in (
            ("round", self.watcher.last_round_s, self.watcher.options.interval_s + STUCK_S),
            ("attempt to follow the pods", self.informer.last_attempt_s, STUCK_S),
        ):
            since_s = now_s - (self.began_s if at_s is None else at_s)
            if since_s > most_s:
                reasons.append(f"no {what} for {since_s:.0f} s")
        return reasons

    def not_ready(self) -> list[str]:
        """Why the watcher does not do its work; empty when it does."""
        informer, reasons = self.informer, []
        why = f": {informer.last_error}" if informer.last_error else ""
        if not informer.synced:
            reasons.append(f"the pods were not listed yet{why}")
        elif informer.last_watch_s is None:
            reasons.append(f"the pods are not watched yet{why}")
        elif (since_s := self.steady() - informer.last_watch_s) > _UNWATCHED_S:
            reasons.append(f"the pods have not been watched for {since_s:.0f} s{why}")
        if self.watcher.last_round_s is None:
            reasons.append("no round was done yet")
        if self.watcher.health.trouble is not None:
            reasons.append(f"no metrics come: {self.watcher.health.trouble}")
        return reasons

    def metrics(self) -> bytes:
        """Write the metrics in Prometheus' text format."""
        metrics, informer = self.watcher.metrics, self.informer
        metrics.watch_synced.set(informer.synced)
        if informer.last_contact_s is not None:
            metrics.watch_contact.set(self.now() - self.steady() + informer.last_contact_s)
        for what, count in (("list", informer.lists), ("watch", informer.watches), ("error", informer.errors)):
            metrics.count_watch_requests(what, count)
        return metrics.text()

    @cached_property
    def console(self) -> Console:
        """What the page shows."""
        return Console(self.watcher, self.steady)

    def overview(self, query: str) -> dict[str, object]:
        """Describe the watcher and what it found, for the page; ``query`` is that of its address."""
        asked = {name: values[0][:_MOST_CHARACTERS] for name, values in parse_qs(query).items()}
        found = self.console.overview(asked.get("search", ""), asked.get("show", ""), asked.get("namespace", ""))
        reasons = [*self.stuck(), *self.not_ready()]
        return {"now": to_iso(self.now()), "reasons": reasons, "leading": self.leading(), **found}


#: Requests answered at once; a further one is rejected.
_MOST_REQUESTS: Final = 16
#: A slower client is disconnected, in seconds.
_TIMEOUT_S: Final = 10.0
_PIECE: Final = 500


class StatusServer:
    """Serves a status; use it in a ``with`` block.

    ``/metrics``, ``/containers`` and ``/workloads`` (JSON), ``/containers/POD_UID/CONTAINER`` (with recent samples and
    evidence), ``/healthz``, ``/readyz``, and ``/``, a page for people, which asks for ``/overview``. Raises InputError
    if it is not an address, or in use. ``listen`` is ``host:port``; port 0 takes a free one.
    """

    def __init__(self, listen: str, status: WatcherStatus) -> None:
        host, colon, port = listen.rpartition(":")
        host = host.strip("[]")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise InputError(f"{listen!r} is not an address to listen at", where="watch_listen", hint="write host:port")
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, int(port)), _handler_for(status))
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
        """Ignore a client that went away."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler_for(status: WatcherStatus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S
        server_version = "podlab"
        sys_version = ""

        def do_GET(self) -> None:
            path, query = urlsplit(self.path)[2:4]
            if path in ("/healthz", "/readyz"):
                reasons = status.stuck() if path == "/healthz" else status.not_ready()
                text = "ok\n" if not reasons else "".join(f"{reason}\n" for reason in reasons)
                self._answer("text/plain; charset=utf-8", [text.encode()], 503 if reasons else 200)
            elif path == "/metrics":
                self._answer("text/plain; version=0.0.4; charset=utf-8", [status.metrics()])
            elif path == "/containers":
                self._answer("application/json", _as_array(status.console.containers()))
            elif path == "/workloads":
                self._answer("application/json", _as_array(status.console.workloads()))
            elif path == "/overview":
                self._answer("application/json", [_as_json(status.overview(query)).encode()])
            elif path.startswith("/containers/") and path.count("/") == 3:
                pod_uid, container = map(unquote, path.split("/")[2:])
                found = status.console.detail(pod_uid, container)
                self._answer("application/json", [_as_json(found).encode()], 200 if found else 404)
            elif path in _FILES:
                name, kind = _FILES[path]
                self._answer(kind, [_HERE.joinpath(name).read_bytes()])
            else:
                self._answer("text/plain; charset=utf-8", [b"not found\n"], 404)

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, kind: str, pieces: Iterable[bytes], code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            for piece in pieces if self.command == "GET" else ():
                self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing: probes come every few seconds."""

    return Handler


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _as_array(objects: Iterator[dict[str, object]]) -> Iterator[bytes]:
    """Write a JSON array piece by piece, so that 10,000 containers need no memory of their own."""
    piece: list[str] = []
    opening = "["
    for number, each in enumerate(objects):
        piece.append((opening if number == 0 else ",\n") + _as_json(each))
        opening = ""
        if len(piece) == _PIECE:
            yield "".join(piece).encode()
            piece.clear()
    yield ("".join(piece) + ("[]" if opening else "]") + "\n").encode()
