"""Programs that take no requests: one that itself asks the client, and those that nobody talks to."""

from __future__ import annotations

import queue
import random
import socket
import socketserver
import threading

from .session import TIMEOUT_S, Session


class _Listener(socketserver.StreamRequestHandler):
    """Reads the requests of one connection and leaves the answers to whoever takes them from the queue."""

    server: _Server

    def handle(self) -> None:
        """Read one request after another until the peer goes."""
        while self.rfile.readline():
            body_bytes = 0
            while (line := self.rfile.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    body_bytes = int(value)
            self.rfile.read(body_bytes)
            self.server.asked.put(self.connection)


class _Server(socketserver.ThreadingTCPServer):
    """Listens for a service's HTTP requests; ``asked`` holds the connections that wait for an answer."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("", port), _Listener)
        self.asked: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()


class SinkSession(Session):
    """A service that sends HTTP requests to the client: each request here is one answer given to it.

    The service asks again when it is answered, so the rate of the answers is the rate of its load. All sessions of a
    client share one server, at the port that the catalogue states.
    """

    listens = False
    _server: _Server | None = None
    _lock = threading.Lock()

    def open(self) -> None:
        """Listen, if no other session does yet."""
        with SinkSession._lock:
            if SinkSession._server is None:
                SinkSession._server = _Server(self.port)
                threading.Thread(target=SinkSession._server.serve_forever, daemon=True).start()
            self.server = SinkSession._server
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self.payload), self.payload)

    def request(self, draw: random.Random) -> None:
        """Answer the request that has waited longest, or wait for one."""
        try:
            connection = self.server.asked.get(timeout=TIMEOUT_S)
        except queue.Empty:
            raise OSError("the service asked nothing") from None
        connection.sendall(self.answer)


class Silent(Session):
    """A program that nobody talks to: ready at once, and a request leaves it alone."""

    listens = False

    def request(self, draw: random.Random) -> None:
        """Ask nothing."""
