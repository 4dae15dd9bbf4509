"""Stores that speak HTTP with bodies of their own: VictoriaMetrics, a container registry, and Alertmanager."""

from __future__ import annotations

import hashlib
import json
import random
import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

from .web import LOADED_AT_ONCE_BYTES, Http

_LINE_BYTES = 60
#: The points loaded before the load lie so far apart.
_STEP_MS = 5


class VictoriaMetrics(Http):
    """Points in by InfluxDB's line protocol, PromQL out."""

    def prepare(self) -> None:
        """Write points of the past, and see that a query is answered."""
        begin_ms = int(time.time() * 1000) - 3600_000
        lines_each = LOADED_AT_ONCE_BYTES // _LINE_BYTES
        for number in range(round(self.spec.get("data_mb", 0) * 2**20 / LOADED_AT_ONCE_BYTES)):
            first_ms = begin_ms + number * _STEP_MS
            self.write(
                f"load,host=key-{line % int(self.spec['keys'])},part={line} "
                f"value={random.random():.3f} {first_ms}000000"
                for line in range(lines_each)
            )
        self.query("vm_rows", random.Random(0))

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        if not self.reads(draw):
            lines = max(1, len(self.payload) // _LINE_BYTES)
            self.write(f"load,host={self.key(draw)} value={draw.random()},other={draw.random()}" for _ in range(lines))
            return
        key = self.key(draw)
        self.query(
            draw.choice([
                f'load_value{{host="{key}"}}',
                f'max_over_time(load_value{{host=~"{key[:-1]}.*"}}[1m])',
                "topk(5, sum(rate(load_other[1m])) by (host))",
                "vm_rows",
            ]),
            draw,
        )  # fmt: skip

    def write(self, lines: Iterable[str]) -> None:
        """Send lines of points."""
        self.call("POST", "/write", "\n".join(lines).encode())

    def query(self, expression: str, draw: random.Random) -> None:
        """Ask for an instant, or for the last minutes."""
        query = urllib.parse.quote(expression)
        if draw.random() < 0.5:
            self.call("GET", f"/api/v1/query?query={query}")
        else:
            self.call("GET", f"/api/v1/query_range?query={query}&start={time.time() - 300:.0f}&step=15")


def digest(content: bytes) -> str:
    """Name a blob as registries do."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry(Http):
    """A container registry: layers and manifests pushed and pulled, by https://distribution.github.io/distribution/."""

    _MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    _LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    _CONFIG = "application/vnd.docker.container.image.v1+json"
    _LOADED_AT_ONCE_BYTES = 4 * LOADED_AT_ONCE_BYTES

    def open(self) -> None:
        """Connect."""
        super().open()
        self.tagged: set[str] = set()

    def prepare(self) -> None:
        """Push an image with as much as is to be there before the load."""
        layers = [
            self.push(random.randbytes(self._LOADED_AT_ONCE_BYTES))
            for _ in range(round(self.spec.get("data_mb", 0) * 2**20 / self._LOADED_AT_ONCE_BYTES))
        ]
        self.tag("loaded", layers)
        self.tag("key-0", [self.push(self.layer("key-0"))])

    def request(self, draw: random.Random) -> None:
        """Push a small image, or pull a manifest and sometimes its layer."""
        key = self.key(draw)
        if not self.reads(draw):
            self.tag(key, [self.push(self.layer(key))])
            self.tagged.add(key)
            return
        if key not in self.tagged:
            key = "key-0"
        manifest = json.loads(self.call("GET", f"/v2/lab/manifests/{key}", headers={"Accept": self._MANIFEST}))
        for layer in manifest["layers"]:
            self.call("GET", f"/v2/lab/blobs/{layer['digest']}")

    def layer(self, key: str) -> bytes:
        """Make the only layer of a key's image."""
        return key.encode() + self.payload

    def push(self, content: bytes) -> dict[str, Any]:
        """Upload a blob and describe it."""
        self.connection.request("POST", "/v2/lab/blobs/uploads/", headers={"Content-Length": "0"})
        response = self.connection.getresponse()
        response.read()
        if response.status >= 400:
            raise OSError(f"status {response.status} for an upload")
        place = urllib.parse.urlsplit(response.headers["Location"])
        self.call("PUT", f"{place.path}?{place.query}&digest={digest(content)}", content)
        return {"mediaType": self._LAYER, "size": len(content), "digest": digest(content)}

    def tag(self, name: str, layers: list[dict[str, Any]]) -> None:
        """Give layers that are there a name."""
        config = self.push(json.dumps({"architecture": "amd64", "os": "linux", "made_for": name}).encode())
        manifest = {
            "schemaVersion": 2, "mediaType": self._MANIFEST, "config": config | {"mediaType": self._CONFIG},
            "layers": layers,
        }  # fmt: skip
        self.call("PUT", f"/v2/lab/manifests/{name}", json.dumps(manifest).encode(), {"Content-Type": self._MANIFEST})


class Alertmanager(Http):
    """Alerts that are sent again and again, silences, and both read."""

    #: It keeps every alert in memory, once for each of its groups.
    _MOST_ALERTS = 2000

    def key(self, draw: random.Random) -> str:
        """One of the drawn number of keys, or of the bound."""
        return f"key-{draw.randrange(min(int(self.spec['keys']), self._MOST_ALERTS))}"

    def prepare(self) -> None:
        """Send alerts of about as many bytes as are to be there before the load."""
        text = "x" * 500
        for number in range(round(self.spec.get("data_mb", 0) * 10)):
            self.send([f"loaded-{number}-{alert}" for alert in range(100)], text)
        self.call("GET", "/-/ready")

    def request(self, draw: random.Random) -> None:
        """Send one request."""
        if not self.reads(draw):
            self.send([self.key(draw) for _ in range(5)], self.payload.decode()[:2000])
        else:
            filtered = urllib.parse.quote(f'host="{self.key(draw)}"')
            self.call("GET", draw.choice([f"/api/v2/alerts?filter={filtered}", "/api/v2/silences", "/metrics"]))

    def send(self, keys: list[str], text: str) -> None:
        """Send an alert of each key."""
        alerts = [
            {"labels": {"alertname": f"alert-{sum(key.encode()) % 20}", "host": key}, "annotations": {"text": text}}
            for key in keys
        ]
        self.call("POST", "/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"})
