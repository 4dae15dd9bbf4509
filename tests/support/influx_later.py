"""InfluxDB 2.x and 3.x for tests, as far as ``/query`` goes: their HTTP behaviour in front of a real 1.x server's data.

Where the behaviour is documented stands in :mod:`podlab.sources.influxdb_client`. No such server can be unpacked from
Debian's packages.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.influxd import Influxd

TOKEN = "t0ken-of-the-later-reader=="
VERSIONS = {2: "v2.7.11", 3: "3.4.1"}


class LaterInflux:
    """A server; what it holds is the 1.x server's.

    Attributes
    ----------
    token : str or None
        The token that may read; None: it has expired.
    mapped : set of str
        2.x: the databases that a bucket is mapped to.
    tags_as_columns : bool
        3.x: whether tags stand among the columns, as in its first releases.
    tells_version : bool
        Whether ``/ping`` has the header.
    asked : list of tuple
        Method, path and scheme of ``Authorization`` of each request.
    """

    def __init__(self, upstream: Influxd, major: int) -> None:
        self.upstream, self.major = upstream, major
        self.token: str | None = TOKEN
        self.mapped: set[str] = set()
        self.tags_as_columns = False
        self.tells_version = True
        self.asked: list[tuple[str, str, str]] = []
        self.url = ""

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a request: status, headers, body."""
        split = urlsplit(url)
        scheme, _, given = (headers.get("Authorization") or "").partition(" ")
        self.asked.append((method, split.path, scheme))
        schemes = ("Token",) if self.major == 2 else ("Bearer", "Token")
        known = self.token is not None and given == self.token
        if split.path == "/ping":
            told = {"X-Influxdb-Version": VERSIONS[self.major]} if self.tells_version else {}
            if self.major == 2:
                return 204, told, b""
            return (200, told, _json({"version": VERSIONS[3]})) if known else (401, {}, b"")
        if split.path == "/health" and self.major == 2:
            return 200, {}, _json({"name": "influxdb", "status": "pass", "version": VERSIONS[2]})
        if split.path != "/query":
            return 404, {}, _json({"code": "not found", "message": "path not found"})
        if not known or scheme not in schemes:
            told = {"code": "unauthorized", "message": "unauthorized access"}
            return 401, {}, _json(told) if self.major == 2 else b"the request was not authenticated"
        return self._query_2(split.query, headers, body) if self.major == 2 else self._query_3(split.query, headers)

    def _query_2(self, query: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        form = {name: values[-1] for name, values in parse_qs(f"{query}&{body.decode()}").items()}
        if form["db"] not in self.mapped:
            return 404, {}, _json({"code": "not found", "message": "unable to find DBRP"})
        asked = httpx.post(
            f"{self.upstream.url}/query", data=form, auth=self.upstream.reader, timeout=300,
            headers={"Accept": headers.get("Accept", "application/json")},
        )  # fmt: skip
        return asked.status_code, {"Content-Type": asked.headers["Content-Type"]}, asked.content

    def _query_3(self, query: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        form = {name: values[-1] for name, values in parse_qs(query).items()}
        if headers.get("Accept") not in ("application/json", "*/*", None):
            return 400, {}, _json({"error": f"invalid mime type {headers['Accept']!r}"})
        if "q" not in form or "params" in form:
            return 400, {}, _json({"error": "missing query paramters"})
        form.pop("u", None)
        asked = httpx.get(f"{self.upstream.url}/query", params=form, auth=self.upstream.admin, timeout=300)
        results = asked.json()["results"]
        for result in results:
            if "error" in result:
                return 400, {}, _json({"error": result["error"]})
            if self.tags_as_columns and result.get("series"):
                result["series"] = [_flat(result["series"])]
        return 200, {"Content-Type": "application/json"}, _json({"results": results}) + b"\r\n"


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _flat(series: list[dict[str, Any]]) -> dict[str, Any]:
    """Put series of one measurement into one, their tags as further columns."""
    tags = list(series[0].get("tags", {}))
    rows = [[*row, *(each["tags"][tag] for tag in tags)] for each in series for row in each["values"]]
    return {"name": series[0]["name"], "columns": [*series[0]["columns"], *tags], "values": rows}


@contextmanager
def running_later_influx(upstream: Influxd, major: int) -> Iterator[LaterInflux]:
    """Start a server."""
    later = LaterInflux(upstream, major)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = later.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    later.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield later
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
