"""Web servers and web applications: pages over a connection that is kept, and bodies sent to them."""

from __future__ import annotations

import http.client
import random
from collections.abc import Mapping
from types import MappingProxyType

from .session import TIMEOUT_S, Session

#: Size of each body while data are loaded before the load.
LOADED_AT_ONCE_BYTES = 256 << 10


class Http(Session):
    """Plain web servers and proxies: pages of several sizes over a connection that is kept."""

    def open(self) -> None:
        """Connect."""
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> bytes:
        """Send one request; any status below 400 is an answer."""
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise OSError(f"status {response.status} for {path}")
        return content

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        self.call("GET", draw.choice(self.spec["paths"]))

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
