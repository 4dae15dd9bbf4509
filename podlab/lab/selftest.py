"""Does the recorder see what really happens? Known work in a container against the counters that the lab records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from podlab.lab.clock import Clock, SystemClock
from podlab.lab.deploy import Lab
from podlab.lab.images import CLIENT_IMAGE, check_source
from podlab.lab.probe import Probe, open_probe
from podlab.lab.runtime import ContainerSpec
from podlab.lab.session import open_lab

_MIB = 2**20
_SERVER_PORT = 8000


@dataclass(frozen=True)
class Measurement:
    """One known amount beside what a column counted.

    Attributes
    ----------
    column : str
        The samples column.
    what : str
        The known work.
    expected, measured : float
        In the column's unit.
    ok : bool
        Whether they agree within the column's tolerance.
    """

    column: str
    what: str
    expected: float
    measured: float
    ok: bool


@dataclass(frozen=True)
class _Work:
    """Known work: a command, and by how much it must raise a column (at least, at most as factors)."""

    column: str
    what: str
    command: tuple[str, ...]
    expected: float
    at_least: float = 0.99
    at_most: float = 1.25


_WORKS = (
    _Work(
        "io_write_bytes", "16 MiB written and synced",
        ("dd", "if=/dev/zero", "of=/known", "bs=1M", "count=16", "conv=fsync"), 16 * _MIB,
    ),
    _Work(
        "io_read_bytes", "16 MiB read past the page cache",
        ("dd", "if=/known", "of=/dev/null", "bs=1M", "iflag=direct"), 16 * _MIB,
    ),
    _Work(
        "rootfs_used_bytes", "8 MiB more in the container's own layer",
        ("dd", "if=/dev/zero", "of=/more", "bs=1M", "count=8", "conv=fsync"), 8 * _MIB,
    ),
    _Work(
        "cpu_usage_core_nanoseconds", "one second of one core",
        ("python3", "-c", "import time\nwhile time.process_time() < 1: pass"), 1e9,
    ),
    _Work(
        "memory_rss_bytes", "32 MiB held by the first process",
        ("python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/hold').read()"), 32 * _MIB,
    ),
)  # fmt: skip

#: Serves 4 MiB at /known and keeps 32 MiB at /hold.
_SERVER = """
import http.server
kept = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * (4 * 2**20)
        if self.path == "/hold":
            kept.append(bytearray(b"x" * (32 * 2**20)))
            body = b"held"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
_FETCH = "import sys, urllib.request as u; assert len(u.urlopen(sys.argv[1]).read()) == 4 * 2**20"
_SEND = "import sys, urllib.request as u; u.urlopen(sys.argv[1], data=b'x' * (4 * 2**20))"


def run(
    engine: str = "podman",
    images: str = "debian",
    clock: Clock | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Measurement]:
    """Do known work in a real container and compare it with the recorder's columns.

    Parameters
    ----------
    engine, images, say
        As for :func:`podlab.lab.session.record_lab`.
    clock : Clock, optional
        The machine's by default.

    Returns
    -------
    list of Measurement
        One per column that known work can move.

    Raises
    ------
    PodlabError
        If the containers cannot be run.
    """
    clock = clock or SystemClock()
    with open_lab(engine, [], check_source(images), say) as lab:
        address, client_address = lab.addresses(0)
        server = _start(lab, "podlab-selftest", address, ("python3", "-c", _SERVER))
        client = _start(lab, "podlab-selftest-client", client_address, ("sleep", "600"))
        probe = open_probe(lab.runtime.facts(server))
        url = f"http://{address}:{_SERVER_PORT}/known"
        _wait_for(lab, client, url)
        measurements = [_measure(lab, server, probe, work, clock) for work in _WORKS]
        for column, what, program in (
            ("tx_bytes", "4 MiB sent to another container", _FETCH),
            ("rx_bytes", "4 MiB received from another container", _SEND),
        ):
            work = _Work(column, what, ("python3", "-c", program, url), 4 * _MIB)
            measurements.append(_measure(lab, client, probe, work, clock))
    return measurements


def _start(lab: Lab, name: str, address: str, command: tuple[str, ...]) -> str:
    container = lab.runtime.create(
        ContainerSpec(name, CLIENT_IMAGE, command, network=lab.network, ip=address, keep_entrypoint=False)
    )
    lab.runtime.start(container)
    return container


def _wait_for(lab: Lab, client: str, url: str) -> None:
    """Let the server come up: try until an answer came, for some seconds at most."""
    program = (
        "import sys, time, urllib.request as u\n"
        "for _ in range(50):\n"
        "    try: u.urlopen(sys.argv[1]).read(); break\n"
        "    except OSError: time.sleep(0.2)\n"
    )
    lab.runtime.execute(client, ("python3", "-c", program, url))


def _measure(lab: Lab, worker: str, probe: Probe, work: _Work, clock: Clock) -> Measurement:
    """Let a container do the work and see by how much the probed container's column rose."""
    before = _settled(probe, work.column, clock)
    lab.runtime.execute(worker, work.command)
    measured = _settled(probe, work.column, clock) - before
    ok = work.at_least * work.expected <= measured <= work.at_most * work.expected
    return Measurement(work.column, work.what, work.expected, measured, ok)


def _settled(probe: Probe, column: str, clock: Clock) -> float:
    """Read a column once its file tree may be walked again; 0 where the column is missing."""
    probe.sample(clock.now())
    clock.wait(2.0)
    return float(probe.sample(clock.now()).get(column, 0))
