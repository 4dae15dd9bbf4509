"""Web servers and web applications: pages over a connection that is kept, and bodies sent to them."""

from __future__ import annotations

import http.client
import random
from collections.abc import Mapping

from .session import TIMEOUT_S, Session

#: Sizes of files that a page named with ``{size}`` may have.
_SIZES_BYTES = (64, 256, 1024, 4096, 16384)
#: Files named with ``{file}`` are of this size.
_FILE_BYTES = 1_000_000
#: Size of each body while data are loaded before the load.
LOADED_AT_ONCE_BYTES = 256 << 10


class Http(Session):
    """Plain web servers and proxies: pages of several sizes over a connection that is kept.

    In a path, ``{key}`` stands for one of the keys, ``{payload_bytes}`` for the payload's size, ``{size}`` for the
    largest of 64, 256, 1024, 4096 and 16384 that is not above it, and ``{file}`` for the number of one of the files
    of 1 MB that ``data_mb`` asks for, of which a part of the payload's size is read. ``POST`` before a path sends
    the payload there; where there are such paths, ``read_share`` is the share of the others.
    """

    def open(self) -> None:
        """Connect."""
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Send one request; any status below 400 is an answer."""
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise OSError(f"status {response.status} for {path}")
        return content

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        read = [path for path in self.spec["paths"] if not path.startswith("POST ")]
        written = [path for path in self.spec["paths"] if path.startswith("POST ")]
        if not read or (written and not self.reads(draw)):
            self.call("POST", self.fill_in(draw.choice(written).removeprefix("POST "), draw), self.payload)
            return
        path, headers = draw.choice(read), {"Accept-Encoding": "gzip"}
        if "{file}" in path:
            first = draw.randrange(_FILE_BYTES - len(self.payload))
            headers["Range"] = f"bytes={first}-{first + max(len(self.payload), 1) - 1}"
        self.call("GET", self.fill_in(path, draw), headers=headers)

    def fill_in(self, path: str, draw: random.Random) -> str:
        """Replace what stands in braces."""
        size_bytes = max([size for size in _SIZES_BYTES if size <= len(self.payload)], default=_SIZES_BYTES[0])
        number = draw.randrange(int(self.spec.get("data_mb", 0)) + 1)
        for name, value in (
            ("key", self.key(draw)), ("payload_bytes", len(self.payload)), ("size", size_bytes), ("file", number),
        ):  # fmt: skip
            path = path.replace(f"{{{name}}}", str(value))
        return path

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()


class WebApp(Http):
    """An application that answers its pages and keeps what is posted to ``/items/KEY``."""

    def prepare(self) -> None:
        """Post as much as is to be there before the load, and see that every page is answered."""
        for number in range(round(self.spec.get("data_mb", 0) * 2**20 / LOADED_AT_ONCE_BYTES)):
            self.call("POST", f"/items/loaded-{number}", random.randbytes(LOADED_AT_ONCE_BYTES))
        for path in self.spec["paths"]:
            self.call("GET", path)

    def request(self, draw: random.Random) -> None:
        """Read a page or an item, or post an item."""
        if not self.reads(draw):
            self.call("POST", f"/items/{self.key(draw)}", self.payload)
        elif draw.random() < 0.3:
            self.call("GET", f"/items/{self.key(draw)}")
        else:
            super().request(draw)
