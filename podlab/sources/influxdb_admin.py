"""Administration of InfluxDB by its official client, with podlab's own HTTP underneath.

So a login, a proxy, certificates, time-outs and the words of errors are the same as for every other request, and the
client's ways to make databases, users and policies and to write points are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from podlab.errors import InputError
from podlab.sources.influxdb_client import InfluxDatabase

if TYPE_CHECKING:
    from influxdb import InfluxDBClient


@contextmanager
def official_client(database: InfluxDatabase) -> Iterator[InfluxDBClient]:
    """Give the official client of a database.

    Raises
    ------
    InputError, PodlabError
        As :meth:`podlab.sources.influxdb_client.InfluxDatabase.query`; also if the client is not installed.

    Examples
    --------
    >>> with official_client(InfluxDatabase("http://localhost:8086", "telegraf")) as client:  # doctest: +SKIP
    ...     client.create_retention_policy("a-week", "7d", 1, default=True)
    """
    try:
        from influxdb import InfluxDBClient
        from influxdb.exceptions import InfluxDBClientError
    except ImportError:
        hint = "install podlab[workbench]"
        raise InputError("writing a recording needs the package influxdb", where=database.name, hint=hint) from None
    client = InfluxDBClient(database=database.bare_name, retries=1, session=_Session(database))
    try:
        yield client
    except InfluxDBClientError as error:
        raise database.refusal(str(error.content)) from None


@dataclass(frozen=True)
class _Session:
    """What the official client sends its requests by, in place of a session of requests."""

    database: InfluxDatabase

    def mount(self, prefix: str, adapter: object) -> None:
        """Take no note: connections are made elsewhere."""

    def request(
        self, method: str, url: str, *, params: Mapping[str, Any], data: bytes | None, **_options: object
    ) -> _Response:
        path = urlsplit(url).path
        # InfluxDB 3 takes questions by GET alone.
        method = "GET" if path == "/query" and self.database.version.major == 3 else method
        body = self.database.send(method, path, data, {name: str(value) for name, value in params.items()})
        return _Response(body, HTTPStatus.OK if path == "/query" else HTTPStatus.NO_CONTENT)


@dataclass
class _Response:
    """As much of a response of requests as the official client looks at; it adds what it read."""

    content: bytes
    status_code: int

    @property
    def headers(self) -> dict[str, str]:
        is_json = self.content[:1] == b"{"
        return {"Content-Type": "application/json" if is_json else "application/x-msgpack"} if self.content else {}

    def json(self) -> Any:
        return msgspec.json.decode(self.content)
