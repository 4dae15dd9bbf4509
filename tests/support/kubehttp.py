"""The test API server's HTTP side: one thread a connection, chunked watches, and connections that break."""

from __future__ import annotations

import json
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.support.kuberequest import understand
from tests.support.kubestatus import StatusError
from tests.support.kubewatch import ResetError, Stream

if TYPE_CHECKING:
    from tests.support.kubeapi import Fault, KubeApi


class Server(ThreadingHTTPServer):
    """Threads that do not outlive the test, and no word of connections that break."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def handler_for(api: KubeApi) -> type[BaseHTTPRequestHandler]:
    """Make the handler of one server's requests."""

    class Handler(_Handler):
        pass

    Handler.api = api
    return Handler


class _Handler(BaseHTTPRequestHandler):
    api: KubeApi
    protocol_version = "HTTP/1.1"
    # Head and body go out in two writes; with Nagle's algorithm the second would wait for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        api, fault = self.api, None
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            user = api.user_of(self.headers.get("Authorization"))
            request = understand(self.command, self.path, user, self.headers.get("Content-Type") or "", body)
            api.requests.append(request)
            if api.before_answer is not None:
                api.before_answer(request)
            fault = api.take_fault(request)
            struck = fault is not None and (fault.status >= 300 or fault.silent or fault.body is not None)
            answer = {} if struck else api.answer(request)
            status = 201 if request.verb == "create" else 200
        except StatusError as error:
            status, answer = error.code, error.body
        if isinstance(answer, Stream):
            self._send_stream(answer)
        elif fault is not None and fault.silent:
            self._fall_silent(fault)
        else:
            self._send(status, json.dumps(answer).encode(), fault)

    def _send(self, status: int, body: bytes, fault: Fault | None) -> None:
        headers = {"Content-Type": "application/json"}
        if fault is not None:
            status, headers, body = fault.status, headers | fault.headers, body if fault.body is None else fault.body
        sent = body if fault is None else body[: fault.cut_at]
        announced = sent if fault is not None and not fault.announce_all else body
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(announced))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = self.close_connection or len(sent) < len(body)

    def _send_stream(self, stream: Stream) -> None:
        try:
            self._begin_stream()
            for line in stream.lines():
                size = self.api.piece_bytes or len(line)
                for start in range(0, len(line), size):
                    self._send_chunk(line[start : start + size])
            self._send_chunk(b"")
        except ResetError:
            self._reset()
        except OSError:
            self.close_connection = True  # whoever watched went away
        finally:
            self.api.streams.remove(stream)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _fall_silent(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.body is not None:
            self._begin_stream()
            if fault.body:
                self._send_chunk(fault.body)
        self.api.closing.wait()

    def _reset(self) -> None:
        """Break the connection off without a word: with no time to linger, closing sends a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output clean."""
