"""Does the recorder see what really happens? Known work in containers against the counters that the lab records."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from lab import client as client_package
from lab.client import known_work as known
from lab.clock import RecorderClock, SystemClock
from lab.deploy import Lab
from lab.images import CLIENT_IMAGE, check_source
from lab.probe import Probe, open_probe
from lab.runtime import ContainerSpec
from lab.session import open_lab
from podlab.errors import PodlabError

#: Everything counts up within this time, and a file tree may be walked again.
_SETTLE_S = 0.7
#: The kernel adds up pressure every two seconds only.
_PRESSURE_SETTLE_S = 2.5
_COMMAND_TIMEOUT_S = 60.0
_SLOW_DISK_BYTES_PER_S = 8 * known.MIB
_CPU_LIMIT_CORES = 0.05
_MOST_CPU_SHARES = "262144"
_SWAPS = Path("/proc/swaps")
#: No protocol of any kernel: frames of it reach a network interface and are dropped there.
_UNKNOWN_PROTOCOL = 0x88B5
_FRAMES = 50
#: An address for documentation (RFC 5737): nobody is there.
_NOBODY = "203.0.113.1"
_VXLAN_PORT, _VXLAN_NUMBER = 4789, 7


@dataclass(frozen=True)
class KnownWorkCheck:
    """One known amount beside what a column counted.

    Attributes
    ----------
    column : str
        The samples column.
    what : str
        The known work, or why this machine cannot do any.
    expected, measured : float, optional
        In the column's unit; None where nothing was done.
    ok : bool
        Whether they agree within the column's tolerance.
    """

    column: str
    what: str
    expected: float | None
    measured: float | None
    ok: bool


@dataclass(frozen=True)
class _Rise:
    """By how much work must raise a column: at least and at most so many times what is expected."""

    column: str
    expected: float
    at_least: float = 0.99
    at_most: float = 1.25


@dataclass(frozen=True)
class _Work:
    """Known work by its name in :mod:`lab.client.known_work`, the container that does it, and what it raises."""

    where: str
    path: str
    what: str
    rises: tuple[_Rise, ...]


_BUSY_NS = known.BUSY_S * 1e9
_THROTTLED_NS = _BUSY_NS * (1 - _CPU_LIMIT_CORES)
_SLOW_WRITE_NS = known.FILE_BYTES / _SLOW_DISK_BYTES_PER_S * 1e9
_LARGE_READ_BYTES = known.LARGE_FILE_BYTES * known.LARGE_FILE_READS

_WORKS = (
    _Work("free", "memory", "32 MiB kept", (
        _Rise("memory_rss_bytes", known.MEMORY_BYTES),
        _Rise("memory_usage_bytes", known.MEMORY_BYTES),
        _Rise("memory_working_set_bytes", known.MEMORY_BYTES),
    )),
    _Work("free", "faults", "2000 pages touched", (_Rise("memory_page_faults", known.FAULTS),)),
    _Work("free", "major_faults", "200 pages of a mapped file read from disk", (
        _Rise("memory_major_page_faults", known.MAJOR_FAULTS),
    )),
    _Work("free", "mapped", "an 8 MiB file kept mapped", (_Rise("memory_mapped_file_bytes", known.MAPPED_BYTES),)),
    _Work("free", "cache", "a 16 MiB file written", (_Rise("memory_cache_bytes", known.FILE_BYTES),)),
    _Work("free", "pipes", "64 pipes of 64 KiB kept full", (
        _Rise("memory_kernel_bytes", known.PIPES * known.PIPE_BYTES),
        _Rise("file_descriptors", 2 * known.PIPES),
    )),
    _Work("free", "threads", "20 threads kept", (_Rise("threads", known.THREADS, at_most=1.01),)),
    _Work("free", "processes", "10 processes kept", (_Rise("processes", known.PROCESSES, at_most=1.01),)),
    _Work("free", "descriptors", "50 files kept open", (
        _Rise("file_descriptors", known.DESCRIPTORS, at_most=1.01),
    )),
    _Work("free", "sockets", "30 sockets kept open", (_Rise("sockets", known.SOCKETS, at_most=1.01),)),
    _Work("free", "files", "40 files made", (_Rise("rootfs_inodes_used", known.FILES, at_most=1.01),)),
    _Work("free", "write", "16 MiB written past the page cache, in 16 pieces or more", (
        _Rise("io_write_bytes", known.FILE_BYTES),
        _Rise("io_write_operations", known.FILE_BYTES / known.MIB, at_most=4),
        _Rise("rootfs_used_bytes", known.FILE_BYTES),
    )),
    _Work("free", "read", "16 MiB read past the page cache, in 16 pieces or more", (
        _Rise("io_read_bytes", known.FILE_BYTES),
        _Rise("io_read_operations", known.FILE_BYTES / known.MIB, at_most=4),
    )),
    _Work("free", "volume", "16 MiB written into the volume", (_Rise("volume_used_bytes", known.FILE_BYTES),)),
    _Work("free", "log", "1 MiB written to the log", (_Rise("logsfs_used_bytes", known.LOG_BYTES),)),
    _Work("free", "user", "one second of computing", (
        _Rise("cpu_usage_core_nanoseconds", known.CPU_S * 1e9),
        _Rise("cpu_user_core_nanoseconds", known.CPU_S * 1e9, at_least=0.9),
    )),
    _Work("free", "system", "one second of the kernel's work", (
        _Rise("cpu_system_core_nanoseconds", known.CPU_S * 1e9, at_least=0.9),
    )),
    _Work("free", "datagrams/{client}", "1000 datagrams sent", (_Rise("tx_packets", known.DATAGRAMS),)),
    _Work("cpu", "busy", "3 s of wanting a core, with .05 cores", (
        _Rise("cpu_periods", known.BUSY_S * 10, at_least=0.9, at_most=1.5),
        # Fewer where others leave it less than its limit.
        _Rise("cpu_throttled_periods", known.BUSY_S * 10, at_least=0.8),
        _Rise("cpu_throttled_nanoseconds", _THROTTLED_NS, at_least=0.5),
        _Rise("cpu_waiting_nanoseconds", _THROTTLED_NS, at_least=0.8),
        _Rise("cpu_stalled_nanoseconds", _THROTTLED_NS, at_least=0.8),
    )),
    _Work("disk", "write", "16 MiB written to a disk of 8 MiB/s", (
        _Rise("io_waiting_nanoseconds", _SLOW_WRITE_NS, at_least=0.8, at_most=1.5),
        _Rise("io_stalled_nanoseconds", _SLOW_WRITE_NS, at_least=0.8, at_most=1.5),
    )),
    # How often a limit is met, and how long making room takes, is the kernel's affair: the order must be right.
    _Work("memory", "pressed", "96 MiB read four times within 64 MiB", (
        _Rise("memory_limit_hits", _LARGE_READ_BYTES / (256 * 1024), at_least=0.02, at_most=10),
        _Rise("memory_waiting_nanoseconds", 0.05e9, at_least=0.02, at_most=50),
        _Rise("memory_stalled_nanoseconds", 0.05e9, at_least=0.02, at_most=50),
    )),
    _Work("memory", "oom", "two processes that want 1 GiB within 64 MiB", (
        _Rise("oom_events", known.OOM_KILLS, at_most=1.01),
    )),
)  # fmt: skip
_SWAP = _Work(
    "memory", "swap", "96 MiB kept within 64 MiB",
    (_Rise("memory_swap_bytes", known.SWAPPED_BYTES - 64 * known.MIB, at_most=2),),
)  # fmt: skip

_GET = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=110).read()"
_POST = "import sys, urllib.request as u; u.urlopen(sys.argv[1], data=b'x' * int(sys.argv[2])).read()"
#: Tries until the server is up, for some seconds at most.
_WAIT = """
import sys, time, urllib.request as u
for _ in range(300):
    try: u.urlopen(sys.argv[1], data=b"x").read(); break
    except OSError: time.sleep(0.1)
"""
_SEND_DATAGRAMS = "import sys; from client import known_work; known_work.datagrams(sys.argv[1])"
_SEND_FRAMES = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
    sender.bind(("eth0", 0))
    source = sender.getsockname()[4]
    target = bytes.fromhex(sys.argv[1].replace(":", ""))
    for _ in range(int(sys.argv[3])):
        sender.send(target + source + int(sys.argv[2]).to_bytes(2, "big") + bytes(60))
"""
#: Sends tunnelled packets that are marked as congested on their outside only, which is an error.
_SEND_ERRORS = """
import socket, sys
inside = bytes.fromhex(sys.argv[2].replace(":", "")) + bytes.fromhex("020000000001" "0800")
inside += bytes([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17]) + bytes(10)
tunnel = bytes([8, 0, 0, 0]) + int(sys.argv[4]).to_bytes(3, "big") + bytes(1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 3)
    for _ in range(int(sys.argv[5])):
        sender.sendto(tunnel + inside, (sys.argv[1], int(sys.argv[3])))
"""


def run(
    engine: str = "podman",
    images: str = "debian",
    clock: RecorderClock | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[KnownWorkCheck]:
    """Do known work in real containers and compare it with the recorder's columns.

    Parameters
    ----------
    engine, images, say
        As for :func:`lab.session.record_lab`.
    clock : RecorderClock, optional
        The machine's by default.

    Returns
    -------
    list of KnownWorkCheck
        One for each column, or more.

    Raises
    ------
    PodlabError
        If the containers cannot be run.
    """
    with open_lab(engine, [], check_source(images), say) as lab:
        return list(_Selftest(lab, clock or SystemClock()).measure())


class _Selftest:
    """The containers that do known work, by name, and the client that asks them to."""

    def __init__(self, lab: Lab, clock: RecorderClock) -> None:
        self._lab = lab
        self._clock = clock
        (free, self._client_address), (cpu, memory), (disk, _) = (lab.addresses(place) for place in range(3))
        self._addresses = {"free": free, "cpu": cpu, "memory": memory, "disk": disk}
        self._containers = {
            "client": self._start("client", self._client_address, command=("sleep", "3600")),
            "free": self._start("free", free, volume=("podlab-selftest", "/volume")),
            "cpu": self._start("cpu", cpu, cpu_limit_cores=_CPU_LIMIT_CORES),
            "memory": self._start("memory", memory, memory_limit="64m"),
            "disk": self._start("disk", disk, disk_bytes_per_s=_SLOW_DISK_BYTES_PER_S),
        }
        # Whatever else runs here, it must be the limit that holds it up.
        lab.runtime.call(["update", "--cpu-shares", _MOST_CPU_SHARES, self._containers["cpu"]])
        self._probes = {name: open_probe(lab.runtime.facts(each)) for name, each in self._containers.items()}
        for name in self._addresses:
            self._ask(_WAIT, self._url(name, "traffic"))

    def _start(self, name: str, address: str, **options: Any) -> str:
        command = options.pop("command", ("python3", "-B", "-m", "client.known_work"))
        specification = ContainerSpec(
            f"podlab-selftest-{name}", CLIENT_IMAGE, command, network=self._lab.network, ip=address,
            environment={"PYTHONPATH": "/opt"}, mounts={"/opt/client": Path(client_package.__file__).parent},
            keep_entrypoint=False, **options,
        )  # fmt: skip
        container = self._lab.runtime.create(specification)
        self._lab.runtime.start(container)
        return container

    def _url(self, name: str, path: str) -> str:
        return f"http://{self._addresses[name]}:{known.PORT}/{path}"

    def _ask(self, program: str, *arguments: str) -> None:
        """Run a program in the client's container."""
        self._lab.runtime.execute(self._containers["client"], ("python3", "-B", "-c", program, *arguments))

    def measure(self) -> Iterator[KnownWorkCheck]:
        """Do all the work, one after the other."""
        swap = len(_SWAPS.read_text().splitlines()) > 1
        for work in _WORKS + ((_SWAP,) if swap else ()):
            url = self._url(work.where, work.path.format(client=self._client_address))
            yield from self._compare(work.where, work.what, work.rises, partial(self._ask, _GET, url))
        if not swap:
            yield KnownWorkCheck("memory_swap_bytes", "not tested: this machine has no swap", None, None, ok=True)
        yield self._cpu_level()
        yield from self._network()
        yield from self._network_errors()

    def _cpu_level(self) -> KnownWorkCheck:
        """Compare the level of CPU use, times the time between two samples, with known use."""
        probe = self._probes["free"]
        begin = self._sample(probe)["time"]
        self._ask(_GET, self._url("free", "user"))
        end = probe.sample(self._clock.now())
        measured = end["cpu_usage_nanocores"] * _seconds(begin, end["time"])
        expected = known.CPU_S * 1e9
        return KnownWorkCheck(
            "cpu_usage_nanocores", "one second of computing, over the time it took", expected, measured,
            ok=0.99 * expected <= measured <= 1.25 * expected,
        )  # fmt: skip

    def _network(self) -> Iterator[KnownWorkCheck]:
        traffic, free = self._url("free", "traffic"), self._addresses["free"]
        pid = self._probes["free"].facts.pid
        frames = _send_frames(_mac(pid))
        works: tuple[tuple[str, _Rise, Callable[[], object]], ...] = (
            ("4 MiB sent to another container", _Rise("tx_bytes", known.TRAFFIC_BYTES),
             lambda: self._ask(_GET, traffic)),
            ("4 MiB received from another container", _Rise("rx_bytes", known.TRAFFIC_BYTES),
             lambda: self._ask(_POST, traffic, str(known.TRAFFIC_BYTES))),
            ("1000 datagrams received", _Rise("rx_packets", known.DATAGRAMS),
             lambda: self._ask(_SEND_DATAGRAMS, free)),
            ("50 frames of an unknown protocol received", _Rise("rx_dropped", _FRAMES),
             lambda: _in_network(self._probes["client"].facts.pid, frames)),
        )  # fmt: skip
        for what, rise, work in works:
            yield from self._compare("free", what, (rise,), work)
        # The container believes that large packets pass, and its network drops them.
        _in_network(pid, ["ip", "link", "set", "eth0", "mtu", "9000"])
        url = self._url("free", f"large_datagrams/{self._client_address}")
        yield from self._compare(
            "free", "20 datagrams sent that are too large for the network",
            (_Rise("tx_dropped", known.LARGE_DATAGRAMS),), lambda: self._ask(_GET, url),
        )  # fmt: skip

    def _network_errors(self) -> Iterator[KnownWorkCheck]:
        """Put a tunnel in the place of a container's network: errors can be made in it."""
        pid, address = self._probes["free"].facts.pid, self._addresses["free"]
        _in_network(pid, ["ip", "link", "set", "eth0", "down"])
        _in_network(pid, ["ip", "link", "set", "eth0", "name", "below"])
        _in_network(pid, ["ip", "link", "set", "below", "up"])
        tunnel = ["type", "vxlan", "id", str(_VXLAN_NUMBER), "dstport", str(_VXLAN_PORT), "remote", _NOBODY]
        try:
            _in_network(pid, ["ip", "link", "add", "eth0", *tunnel])
        except PodlabError:
            for column in ("rx_errors", "tx_errors"):
                yield KnownWorkCheck(column, "not tested: this machine has no vxlan", None, None, ok=True)
            return
        _in_network(pid, ["ip", "link", "set", "eth0", "up"])
        mac = _mac(pid)
        yield from self._compare(
            "free", "50 frames sent into a tunnel to nowhere", (_Rise("tx_errors", _FRAMES),),
            lambda: _in_network(pid, _send_frames(mac)),
        )  # fmt: skip
        broken = [sys.executable, "-c", _SEND_ERRORS, address, mac, str(_VXLAN_PORT), str(_VXLAN_NUMBER), str(_FRAMES)]
        yield from self._compare(
            "free", "50 invalid packets received from a tunnel", (_Rise("rx_errors", _FRAMES),),
            lambda: _in_network(self._probes["client"].facts.pid, broken),
        )  # fmt: skip

    def _compare(
        self, where: str, what: str, rises: Sequence[_Rise], work: Callable[[], object]
    ) -> Iterator[KnownWorkCheck]:
        """Let work be done and see by how much the columns of a container rose."""
        probe = self._probes[where]
        pressure = any(rise.column.endswith(("_waiting_nanoseconds", "_stalled_nanoseconds")) for rise in rises)
        settle_s = _PRESSURE_SETTLE_S if pressure else _SETTLE_S
        before = self._sample(probe, settle_s)
        work()
        after = self._sample(probe, settle_s)
        for rise in rises:
            if rise.column not in before or rise.column not in after:
                yield KnownWorkCheck(rise.column, f"{what}: this machine does not tell", rise.expected, None, ok=False)
                continue
            measured = float(after[rise.column] - before[rise.column])
            ok = rise.at_least * rise.expected <= measured <= rise.at_most * rise.expected
            yield KnownWorkCheck(rise.column, what, rise.expected, measured, ok)

    def _sample(self, probe: Probe, settle_s: float = _SETTLE_S) -> dict[str, Any]:
        """Take a sample once all that was done has been counted."""
        self._clock.wait(settle_s)
        return probe.sample(self._clock.now())


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _mac(pid: int) -> str:
    """Read the hardware address of a container's network."""
    links: list[dict[str, Any]] = json.loads(_in_network(pid, ["ip", "-json", "link", "show", "eth0"]))
    return str(links[0]["address"])


def _send_frames(mac: str) -> list[str]:
    """Write the command that sends frames of an unknown protocol to a hardware address."""
    return [sys.executable, "-c", _SEND_FRAMES, mac, str(_UNKNOWN_PROTOCOL), str(_FRAMES)]


def _in_network(pid: int, command: Sequence[str]) -> str:
    """Run a program of the machine in a container's network namespace, and return what it prints."""
    try:
        done = subprocess.run(
            ["nsenter", "--target", str(pid), "--net", *command],
            capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise PodlabError(str(error), where=command[0], hint="install util-linux and iproute2") from None
    if done.returncode:
        raise PodlabError((done.stderr.strip().splitlines() or ["it gave no reason"])[-1], where=command[0])
    return done.stdout
