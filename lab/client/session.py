"""What every session with a service is; one class per protocol is derived from it.

A session is opened with the client's specification, makes the data it needs in :meth:`Session.prepare` (called once,
before any load), and sends one request at a time.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from typing import Any

#: How long an answer may take.
TIMEOUT_S = 10.0
#: Pieces in which a service is filled: large enough to be quick, small enough for every service.
_LEAST_PIECE_BYTES, _MOST_PIECE_BYTES = 4096, 60000


def touch(spec: dict[str, Any]) -> None:
    """Open and close a TCP connection; a refusal is no fault of the prober."""
    try:
        socket.create_connection((spec["host"], spec["port"]), timeout=TIMEOUT_S).close()
    except OSError:
        return


class Session:
    """What all protocols share: the specification and a payload of the drawn size."""

    #: Whether the service accepts connections, so that a readiness probe can knock.
    listens = True
    #: Largest payload, for services that keep every version of what is written.
    most_bytes: int | None = None

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.host: str = spec["host"]
        self.port: int = spec["port"]
        size_bytes = spec["payload_bytes"] if self.most_bytes is None else min(spec["payload_bytes"], self.most_bytes)
        self.payload = bytes(random.Random(spec["seed"]).choices(range(97, 123), k=size_bytes))
        self.open()

    def open(self) -> None:
        """Connect."""

    def prepare(self) -> None:
        """Make the data that requests need, and fail while the service is not ready.

        It is called again after an attempt that failed, and where an earlier run has left its data: what is there
        already is not made twice.
        """
        self.request(random.Random(0))

    def pieces(self, size_bytes: int | None = None) -> Iterator[bytes]:
        """Give different texts of ``data_mb`` MB in all, each of the payload's size as far as that is quick."""
        size_bytes = size_bytes or min(max(len(self.payload), _LEAST_PIECE_BYTES), _MOST_PIECE_BYTES)
        letters = bytes(random.Random(self.spec["seed"]).choices(range(97, 123), k=2 * size_bytes))
        for number in range(round(float(self.spec.get("data_mb", 0)) * 1e6 / size_bytes)):
            first = number * 31 % size_bytes
            yield letters[first : first + size_bytes]

    def request(self, draw: random.Random) -> None:
        """Send one request and wait for its answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Disconnect; libraries that need no goodbye leave it to the garbage collector."""

    def key(self, draw: random.Random) -> str:
        """One of the drawn number of keys."""
        return f"key-{draw.randrange(self.spec['keys'])}"

    def reads(self, draw: random.Random) -> bool:
        """Whether this request reads rather than writes."""
        return draw.random() < float(self.spec["read_share"])
