"""What acts where the faults are: the Perl worker and the fault client, run for real on this machine."""

from __future__ import annotations

import json
import os
import random
import resource
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import client
from lab.client import fault_client, protocols
from lab.client.session import Session
from lab.faults.target import WORKER


@pytest.fixture
def marker() -> Iterator[str]:
    """A name that no other process of the machine has; what was started under it is stopped."""
    name = f"podlab-fault-test-{secrets.token_hex(6)}"
    yield name
    perl("stop", name)


def perl(*task: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["perl", "-e", WORKER, *task], capture_output=True, text=True, timeout=300, check=False)


def marked(marker: str) -> list[int]:
    """Find the processes whose command line begins with a marker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what a worker does in its own time; a minute is more than it takes on any machine."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s, "it never happened"
        threading.Event().wait(0.02)


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def start_worker(marker: str, *settings: str) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen(["perl", "-e", WORKER, "work", marker, *settings])
    assert perl("await", marker).returncode == 0
    return worker


def test_a_hog_stops_with_all_its_children(marker: str) -> None:
    worker = start_worker(marker, "cpu-hog", "60", "0.02", "3")
    assert len(marked(marker)) == 4
    assert perl("stop", marker).returncode == 0
    worker.wait(timeout=600)
    assert marked(marker) == []
    assert perl("stop", marker).returncode == 0, "to stop again is no error"


def test_a_writer_keeps_to_its_file_and_leaves_none(tmp_path: Path, marker: str) -> None:
    path = tmp_path / "written"
    worker = start_worker(marker, "disk-writes", "60", str(path), "1e6", "4096", "8192")
    assert 0 < path.stat().st_size <= 8192
    assert perl("stop", marker, str(path)).returncode == 0
    worker.wait(timeout=600)
    assert not path.exists()


def test_processes_are_left_behind_and_all_found_again(marker: str) -> None:
    worker = start_worker(marker, "process-leak", "1", "5")
    wait_until(lambda: len(marked(marker)) == 6)
    assert perl("stop", marker).returncode == 0
    worker.wait(timeout=20)
    assert marked(marker) == []


def test_a_leak_without_a_limit_takes_its_share_of_what_is_allowed(marker: str) -> None:
    worker = start_worker(marker, "memory-leak", "1", "0.5", str(40 * 2**20))
    wait_until(lambda: max(map(resident_bytes, marked(marker))) > 20 * 2**20)
    assert perl("stop", marker).returncode == 0
    worker.wait(timeout=20)


def test_a_backup_packs_the_data_but_not_itself(tmp_path: Path, marker: str) -> None:
    (tmp_path / "table").write_text("row\n")
    packed = tmp_path / ".podlab-fault"
    worker = start_worker(marker, "backup", "60", str(tmp_path), str(packed), "1")
    wait_until(lambda: packed.exists() and subprocess.run(["gzip", "--test", packed], check=False).returncode == 0)
    names = subprocess.run(["tar", "--list", "--file", packed], capture_output=True, text=True, check=True).stdout
    assert "/table" in names
    assert ".podlab-fault" not in names
    assert perl("stop", marker, str(packed)).returncode == 0
    worker.wait(timeout=20)
    assert not packed.exists()


@pytest.mark.parametrize("task", [("disk-reads", "60", "1e6"), ("cron-job", "60", "50", "1")])
def test_what_reads_the_image_goes_on_until_it_is_stopped(marker: str, task: tuple[str, ...]) -> None:
    worker = start_worker(marker, *task)
    assert worker.poll() is None
    assert perl("stop", marker).returncode == 0
    worker.wait(timeout=20)


def test_a_worker_that_cannot_work_says_why(tmp_path: Path, marker: str) -> None:
    done = perl("work", marker, "disk-writes", "60", str(tmp_path / "missing" / "file"), "1e6", "4096", "8192")
    assert done.returncode != 0
    assert "cannot write" in done.stderr


class _Listener:
    """Accepts connections and keeps them, or hangs up at once."""

    def __init__(self, *, hangs_up: bool) -> None:
        self.hangs_up = hangs_up
        self.accepted = 0
        self.enough = threading.Event()
        self.wanted = 10**6
        self.connections: list[socket.socket] = []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            if self.hangs_up:
                connection.close()
            else:
                self.connections.append(connection)
            if self.accepted >= self.wanted:
                self.enough.set()


@pytest.fixture
def listen() -> Iterator[Callable[..., _Listener]]:
    made: list[_Listener] = []

    def make(**settings: bool) -> _Listener:
        made.append(_Listener(**settings))
        return made[-1]

    yield make
    for listener in made:
        listener.socket.close()
        for connection in listener.connections:
            connection.close()


def spec(listener: _Listener, **changes: object) -> dict[str, Any]:
    return {
        "kind": "connection-exhaustion", "host": "127.0.0.1", "port": listener.socket.getsockname()[1],
        "protocol": "http", "strength": 0.0, "seconds": 60.0, "seed": 1, "payload_bytes": 10, "keys": 5,
        "read_share": 0.5, "paths": ["/"], **changes,
    }  # fmt: skip


def hold(spec: dict[str, Any]) -> tuple[threading.Thread, threading.Event, threading.Event]:
    begun, ended = threading.Event(), threading.Event()
    thread = threading.Thread(target=fault_client.hold_connections, args=(spec, begun.set, ended))
    thread.start()
    return thread, begun, ended


def test_connections_are_held_with_a_request_that_never_ends(listen: Callable[..., _Listener]) -> None:
    listener = listen(hangs_up=False)
    listener.wanted = 60
    thread, begun, ended = hold(spec(listener))
    assert begun.wait(120)
    assert listener.enough.wait(120)
    ended.set()
    thread.join(120)
    first = listener.connections[0]
    received = b"".join(iter(lambda: first.recv(4096), b""))
    assert received.startswith(b"GET / HTTP/1.1\r\n")
    assert b"\r\n\r\n" not in received
    assert listener.accepted == 60


def test_connections_that_the_service_closes_are_opened_again(listen: Callable[..., _Listener]) -> None:
    listener = listen(hangs_up=True)
    listener.wanted = 62
    thread, begun, ended = hold(spec(listener, protocol="mqtt"))
    assert begun.wait(120)
    assert listener.enough.wait(120)
    ended.set()
    thread.join(120)
    assert not thread.is_alive()


def test_slow_requests_are_sent_side_by_side_and_failures_do_not_end_them(
    listen: Callable[..., _Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    enough, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def query(session: Session) -> None:
        asked.append(threading.current_thread().name)
        if len(asked) > 20:
            enough.set()
        raise OSError("timed out")

    monkeypatch.setitem(protocols.PROTOCOLS, "slow", Session)
    monkeypatch.setitem(fault_client.SLOW_QUERIES, "slow", (query, query))
    slow = spec(listen(hangs_up=False), protocol="slow", strength=1.0)
    thread = threading.Thread(target=fault_client.ask_slowly, args=(slow, begun.set, ended))
    thread.start()
    assert begun.wait(120)
    assert enough.wait(120)
    ended.set()
    thread.join(120)
    assert len(set(asked)) == 6


def test_bad_requests_each_come_over_a_connection_of_their_own(listen: Callable[..., _Listener]) -> None:
    listener = listen(hangs_up=True)
    listener.wanted = 5
    begun, ended = threading.Event(), threading.Event()
    bad = spec(listener, kind="bad-requests", strength=1.0)
    thread = threading.Thread(target=fault_client.ask_badly, args=(bad, begun.set, ended))
    thread.start()
    assert begun.wait(20)
    assert listener.enough.wait(20)
    ended.set()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["burst", "traffic-ramp", "cache-warming"])
def test_a_crowd_sends_ordinary_requests_and_errors_do_not_end_it(
    kind: str, listen: Callable[..., _Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    enough, begun, ended = threading.Event(), threading.Event(), threading.Event()

    class Crowd(Session):
        def request(self, draw: random.Random) -> None:
            shares.append(self.spec["read_share"])
            if len(shares) > 20:
                enough.set()
            raise OSError("refused")

    monkeypatch.setitem(protocols.PROTOCOLS, "crowd", Crowd)
    asked = spec(listen(hangs_up=False), kind=kind, protocol="crowd", rate_per_s=1000.0, seconds=0.2)
    thread = threading.Thread(target=fault_client.ask_more, args=(asked, begun.set, ended))
    thread.start()
    assert begun.wait(20)
    assert enough.wait(60)
    ended.set()
    thread.join(20)
    assert set(shares) == {1.0 if kind == "cache-warming" else 0.5}


def run_client(marker: str, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", "client.fault_client", marker, json.dumps(spec)],
        env={**os.environ, "PYTHONPATH": str(Path(client.__file__).parent.parent)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_client_returns_when_the_fault_acts_and_goes_on_until_it_is_stopped(
    listen: Callable[..., _Listener], marker: str
) -> None:
    listener = listen(hangs_up=False)
    done = run_client(marker, spec(listener))
    assert done.returncode == 0, done.stderr
    assert len(marked(marker)) == 1
    assert perl("stop", marker).returncode == 0
    assert marked(marker) == []
    assert listener.accepted > 0


def test_a_client_that_fails_says_so_and_leaves_nothing(listen: Callable[..., _Listener], marker: str) -> None:
    done = run_client(marker, spec(listen(hangs_up=False), kind="slow-queries", protocol="unheard-of"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "slow-queries did not begin"
    assert marked(marker) == []
