"""A proxy before a real server, which spoils what passes: the faults of a network, a gateway, or a server half ill."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx


@dataclass
class Answer:
    """What goes back.

    Attributes
    ----------
    status : int
    body : bytes
    length : int, optional
        The length that is announced; the body's by default.
    pause_s : float
        Waited before the first byte, and between bytes if ``byte_by_byte``.
    endless : bool
        Whether the body comes again and again until nobody listens.
    """

    status: int
    body: bytes
    length: int | None = None
    pause_s: float = 0.0
    byte_by_byte: bool = False
    endless: bool = False
    headers: dict[str, str] = field(default_factory=dict)


#: What is done to an answer, told the path and the headers of its request; None lets it pass.
Tamper = Callable[[str, dict[str, str], Answer], Answer | None]


@dataclass
class Proxy:
    """A running proxy.

    Attributes
    ----------
    url : str
    requests : list of str
        Paths asked for.
    sent_bytes : int
        Of bodies.
    """

    url: str
    requests: list[str] = field(default_factory=list)
    sent_bytes: int = 0


@contextmanager
def tampering(upstream: str, tamper: Tamper, *, certificate: Path | None = None) -> Iterator[Proxy]:
    """Run a proxy on loopback before ``upstream``; with TLS where a certificate is given."""
    stop = threading.Event()
    client = httpx.Client(base_url=upstream, timeout=300)
    proxy = Proxy("")

    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            proxy.requests.append(path)
            kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "authorization")}
            real = client.request(self.command, self.path, content=content, headers=kept)
            answer = Answer(real.status_code, real.content)
            self._send(tamper(path, {k.lower(): v for k, v in self.headers.items()}, answer) or answer)

        def _send(self, answer: Answer) -> None:
            self.close_connection = True
            if stop.wait(answer.pause_s):
                return
            self.send_response(answer.status)
            if not answer.endless:
                self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            pieces = [answer.body[n : n + 1] for n in range(len(answer.body))] if answer.byte_by_byte else [answer.body]
            try:
                while True:
                    for piece in pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                        proxy.sent_bytes += len(piece)
                        if answer.byte_by_byte and stop.wait(answer.pause_s):
                            return
                    if not answer.endless or stop.is_set():
                        return
            except OSError:
                return

        do_GET = do_POST = _pass  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    proxy.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
        client.close()
