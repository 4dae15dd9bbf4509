"""A real InfluxDB 1.x server for tests and benchmarks: found or unpacked, started on free ports, stopped at the end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from influxdb import InfluxDBClient

from tests.support.debian import find_program, free_ports, running_server

# Odd on purpose: a password that is quoted or put into an address wrongly does not work.
ADMIN = ("admin", "s3cret 'ädmin\" :/@%?#")
READER = ("reader", "s3cret-reader")

CONFIG = """
reporting-enabled = false
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http_port}"
  auth-enabled = true
  log-enabled = false
[logging]
  level = "error"
"""


@dataclass
class Influxd:
    """A running server with an administrator and a user who may only read."""

    url: str
    pid: int
    admin: tuple[str, str] = ADMIN
    reader: tuple[str, str] = READER
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def client(self) -> InfluxDBClient:
        """The official client, as the administrator."""
        return _client(self.url, self.admin)

    def statement(self, text: str, **parameters: str) -> list[dict]:
        """Run a statement as the administrator and return its results."""
        answer = self.client.request("query", "POST", params={"q": text, **parameters})
        results: list[dict] = answer.json()["results"]
        assert not any("error" in result for result in results), results
        return results

    def write(self, database: str, lines: bytes) -> None:
        """Write points in line protocol as the administrator."""
        self.client.write([lines.decode()], {"db": database}, protocol="line")

    def new_database(self) -> str:
        """Make an empty database that the reader may read."""
        name = f"test_{next(self._numbers)}"
        self.client.create_database(name)
        self.client.grant_privilege("read", name, self.reader[0])
        return name


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """One server for all tests of this process."""
    with running_influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture
def database(influxd: Influxd) -> Iterator[str]:
    """An empty database of this test alone."""
    name = influxd.new_database()
    yield name
    influxd.client.drop_database(name)


@contextmanager
def running_influxd(folder: Path) -> Iterator[Influxd]:
    """Start a server that keeps everything in ``folder``; stop it at the end."""
    program = find_program("influxd", package="influxdb")

    def prepare() -> tuple[list[str], str]:
        http_port, rpc_port = free_ports(2)
        config = folder / "influxdb.conf"
        config.write_text(CONFIG.format(folder=folder, http_port=http_port, rpc_port=rpc_port), encoding="utf-8")
        return [str(program), "run", "-config", str(config)], f"http://127.0.0.1:{http_port}"

    with running_server(prepare, folder / "influxd.log", ready="/ping") as (url, pid):
        _make_users(url)
        yield Influxd(url=url, pid=pid)


def _make_users(url: str) -> None:
    # The first user may be made without login, and must be an administrator.
    _client(url, None).create_user(*ADMIN, admin=True)
    _client(url, ADMIN).create_user(*READER)


def _client(url: str, login: tuple[str, str] | None) -> InfluxDBClient:
    host, port = url.removeprefix("http://").split(":")
    # As bytes, because requests would write letters beyond ASCII in Latin-1.
    user, password = (None, None) if login is None else (text.encode() for text in login)
    return InfluxDBClient(host, int(port), user, password, timeout=3000, headers={"Accept": "application/json"})
