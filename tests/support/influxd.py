"""A real InfluxDB 1.x server for tests and benchmarks: found or unpacked, started on free ports, stopped at the end."""

from __future__ import annotations

import fcntl
import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "influxdb"
START_TIMEOUT_S = 60
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

    def statement(self, text: str, **parameters: str) -> list[dict]:
        """Run a statement as the administrator and return its results."""
        answer = httpx.post(f"{self.url}/query", data={"q": text, **parameters}, auth=self.admin, timeout=60)
        answer.raise_for_status()
        results: list[dict] = answer.json()["results"]
        assert not any("error" in result for result in results), results
        return results

    def write(self, database: str, lines: bytes) -> None:
        """Write points in line protocol as the administrator."""
        answer = httpx.post(f"{self.url}/write", params={"db": database}, content=lines, auth=self.admin, timeout=60)
        assert answer.status_code == 204, answer.text

    def new_database(self) -> str:
        """Make an empty database that the reader may read."""
        name = f"test_{next(self._numbers)}"
        self.statement(f'CREATE DATABASE "{name}"')
        self.statement(f'GRANT READ ON "{name}" TO "{self.reader[0]}"')
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
    influxd.statement(f'DROP DATABASE "{name}"')


@contextmanager
def running_influxd(folder: Path) -> Iterator[Influxd]:
    """Start a server that keeps everything in ``folder``; stop it at the end."""
    program = find_influxd()
    # Another program may take a port between finding it free and the server's start.
    for _ in range(3):
        http_port, rpc_port = free_ports(2)
        config = folder / "influxdb.conf"
        config.write_text(CONFIG.format(folder=folder, http_port=http_port, rpc_port=rpc_port), encoding="utf-8")
        with (folder / "influxd.log").open("ab") as log:
            process = subprocess.Popen([str(program), "run", "-config", str(config)], stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{http_port}"
            if _is_ready(process, url):
                _make_users(url)
                yield Influxd(url=url, pid=process.pid)
                return
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    raise RuntimeError(f"{program} did not start; its last words:\n{(folder / 'influxd.log').read_text()[-2000:]}")


def find_influxd() -> Path:
    """Find influxd on the PATH, or unpack Debian's package beside the repository's other caches.

    Raises
    ------
    RuntimeError
        If there is no way to get it: tests that need it then fail, and say so.
    """
    found = shutil.which("influxd")
    if found is not None:
        return Path(found)
    CACHE.mkdir(parents=True, exist_ok=True)
    program = CACHE / "root" / "usr" / "bin" / "influxd"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _unpack_debian_package()
    return program


def _unpack_debian_package() -> None:
    shutil.rmtree(CACHE / "root", ignore_errors=True)
    # The machine's own package lists may be missing, and only root may fetch them: keep lists of our own.
    (CACHE / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    own_lists = [f"-oDir::State::Lists={CACHE / 'lists'}", f"-oDir::Cache={CACHE}", "-oAPT::Sandbox::User="]
    try:
        try:
            _run("apt-get", "-oAPT::Sandbox::User=", "download", "influxdb")
        except subprocess.CalledProcessError:
            _run("apt-get", *own_lists, "update")
            _run("apt-get", *own_lists, "download", "influxdb")
        [package] = CACHE.glob("influxdb_*.deb")
        _run("dpkg-deb", "-x", str(package), str(CACHE / "unpacked"))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise RuntimeError(
            "these tests need a real InfluxDB 1.x server: put `influxd` on the PATH (Debian: apt-get install influxdb);"
            f" unpacking Debian's package failed: {detail}"
        ) from error
    (CACHE / "unpacked").rename(CACHE / "root")


def _run(*command: str) -> None:
    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, text=True, timeout=300)


def free_ports(count: int) -> list[int]:
    """Ask the system for loopback ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/ping", timeout=5).status_code == 204:
                return True
        except httpx.TransportError:
            time.sleep(0.05)
    return False


def _make_users(url: str) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    # The first user may be made without login, and must be an administrator.
    for user, rights, login in ((ADMIN, " WITH ALL PRIVILEGES", None), (READER, "", ADMIN)):
        text = f'CREATE USER "{user[0]}" WITH PASSWORD {quoted(user[1])}{rights}'
        httpx.post(f"{url}/query", data={"q": text}, auth=login, timeout=30).raise_for_status()
