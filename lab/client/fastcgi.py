"""FastCGI, as a web server speaks it to php-fpm: one connection for each request, as servers do by default.

The records are those of https://fastcgi-archives.github.io/FastCGI_Specification.html.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import BinaryIO

from .session import TIMEOUT_S
from .web import WebApp

_BEGIN_REQUEST, _END_REQUEST, _PARAMETERS, _INPUT, _OUTPUT = 1, 3, 4, 5, 6
_RESPONDER = 1
_REQUEST = 1
#: The script that answers every request.
_SCRIPT = "/etc/podlab/application.php"
_LARGEST_CONTENT_BYTES = 65535


def record(kind: int, content: bytes) -> bytes:
    """Write one record of the only request on its connection."""
    return struct.pack(">BBHHBx", 1, kind, _REQUEST, len(content), 0) + content


def stream(kind: int, content: bytes) -> bytes:
    """Write a stream: as many records as its content needs, and an empty one at its end."""
    parts = (
        content[begin : begin + _LARGEST_CONTENT_BYTES] for begin in range(0, len(content), _LARGEST_CONTENT_BYTES)
    )
    return b"".join(record(kind, part) for part in parts) + record(kind, b"")


def parameter(name: str, value: str) -> bytes:
    """Write one name and its value; lengths above 127 take four bytes."""
    texts = name.encode(), value.encode()
    lengths = (bytes([len(text)]) if len(text) < 128 else struct.pack(">I", len(text) | 1 << 31) for text in texts)
    return b"".join(lengths) + b"".join(texts)


def read_output(incoming: BinaryIO) -> bytes:
    """Read records until the request's end, and join what its script wrote."""
    said = []
    while True:
        header = incoming.read(8)
        if len(header) < 8:
            raise OSError("the connection ended")
        _, kind, _, size_bytes, padding_bytes = struct.unpack(">BBHHBx", header)
        content = incoming.read(size_bytes + padding_bytes)[:size_bytes]
        if kind == _OUTPUT:
            said.append(content)
        elif kind == _END_REQUEST:
            return b"".join(said)


class FastCgi(WebApp):
    """php-fpm: pages of a script, and bodies that it keeps."""

    def open(self) -> None:
        """Connect at each request instead: a connection that is kept would hold one of few workers."""

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Send one request and return what the script wrote below its headers."""
        parameters = {
            "SCRIPT_FILENAME": _SCRIPT,
            "SCRIPT_NAME": path,
            "REQUEST_METHOD": method,
            "REQUEST_URI": path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/octet-stream" if body else "",
            "CONTENT_LENGTH": str(len(body)) if body else "",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        for name, value in (headers or {}).items():
            parameters["HTTP_" + name.upper().replace("-", "_")] = value
        begin = record(_BEGIN_REQUEST, struct.pack(">HB5x", _RESPONDER, 0))
        named = b"".join(parameter(name, value) for name, value in parameters.items())
        with socket.create_connection((self.host, self.port), timeout=TIMEOUT_S) as connection:
            connection.sendall(begin + stream(_PARAMETERS, named) + stream(_INPUT, body or b""))
            with connection.makefile("rb") as incoming:
                said = read_output(incoming)
        head, _, content = said.partition(b"\r\n\r\n")
        for line in head.splitlines():
            if line.lower().startswith(b"status:") and line.split()[1] >= b"400":
                raise OSError(f"status {line.split()[1].decode()} for {path}")
        return content

    def close(self) -> None:
        """Leave it: nothing is kept."""
