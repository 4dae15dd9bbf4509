"""Does known work on demand, so that what the recorder counted can be compared with it.

It runs in a container of the load client's image, serves HTTP on port 8000 and does the work that a path names
(``/threads``) by itself, so that nothing but the work is counted. What it opens, starts or maps it keeps until the
container ends. ``/traffic`` answers with 4 MiB, and takes whatever is posted.
"""

from __future__ import annotations

import contextlib
import http.server
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PORT = 8000
MIB = 2**20
TRAFFIC_BYTES = 4 * MIB
MEMORY_BYTES = 32 * MIB
FILE_BYTES = 16 * MIB
MAPPED_BYTES = 8 * MIB
LOG_BYTES = MIB
THREADS, PROCESSES, DESCRIPTORS, SOCKETS, FILES = 20, 10, 50, 30, 40
PIPES, PIPE_BYTES = 64, 65536
FAULTS, MAJOR_FAULTS = 2000, 200
CPU_S = 1.0
BUSY_S = 3.0
DATAGRAMS = 1000
#: More than the network between two containers carries in one piece, once its sender believes that it does.
LARGE_DATAGRAMS, LARGE_BYTES = 20, 4000
OOM_KILLS = 2
#: Read so many times; larger than the memory limit of the container where it is read.
LARGE_FILE_BYTES, LARGE_FILE_READS = 96 * MIB, 4
SWAPPED_BYTES = 96 * MIB

_kept: list[Any] = []


def memory(size_bytes: int = MEMORY_BYTES) -> None:
    """Keep memory of its own."""
    _kept.append(bytearray(b"x" * size_bytes))


def swap() -> None:
    """Keep more than the container's limit."""
    memory(SWAPPED_BYTES)


def faults() -> None:
    """Touch so many pages of memory for the first time."""
    area = mmap.mmap(-1, FAULTS * mmap.PAGESIZE)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(FAULTS):
        area[page * mmap.PAGESIZE] = 1
    area.close()


def major_faults() -> None:
    """Touch so many pages of a mapped file that are on disk only."""
    distance = 256 * 1024
    with _written("/major", MAJOR_FAULTS * distance) as descriptor:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as area:
            area.madvise(mmap.MADV_RANDOM)
            for number in range(MAJOR_FAULTS):
                area[number * distance]


def mapped() -> None:
    """Keep a file mapped, with all its pages in memory."""
    with _written("/mapped", MAPPED_BYTES) as descriptor:
        area = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    sum(area[place] for place in range(0, MAPPED_BYTES, mmap.PAGESIZE))
    _kept.append(area)


def threads() -> None:
    """Keep threads that wait."""
    for _ in range(THREADS):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def processes() -> None:
    """Keep processes that wait."""
    _kept.extend(subprocess.Popen(["sleep", "3600"]) for _ in range(PROCESSES))


def descriptors() -> None:
    """Keep files open."""
    _kept.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(DESCRIPTORS))


def sockets() -> None:
    """Keep sockets open."""
    _kept.extend(socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS))


def pipes() -> None:
    """Keep pipes full, which is the kernel's memory."""
    for _ in range(PIPES):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.write(writer, b"x" * PIPE_BYTES)
        _kept.append((reader, writer))


def files() -> None:
    """Make empty files."""
    for number in range(FILES):
        os.close(os.open(f"/empty-{number}", os.O_CREAT | os.O_WRONLY))


def write() -> None:
    """Write a file past the page cache, a MiB at a time."""
    _direct("/known", os.O_WRONLY | os.O_CREAT)


def read() -> None:
    """Read that file past the page cache, a MiB at a time."""
    _direct("/known", os.O_RDONLY)


def volume() -> None:
    """Write a file into the volume."""
    with _written("/volume/known", FILE_BYTES):
        pass


def cache() -> None:
    """Leave a file in the page cache."""
    with _written("/cached", FILE_BYTES):
        pass


def log() -> None:
    """Write lines of one KiB to the log."""
    sys.stdout.write(("x" * 1023 + "\n") * (LOG_BYTES // 1024))
    sys.stdout.flush()


def user() -> None:
    """Compute."""
    end_s = time.thread_time() + CPU_S
    while time.thread_time() < end_s:
        sum(range(10_000))


def system() -> None:
    """Let the kernel work."""
    buffer = bytearray(16 * MIB)
    end_s = time.thread_time() + CPU_S
    with Path("/dev/zero").open("rb", buffering=0) as zeros:
        while time.thread_time() < end_s:
            zeros.readinto(buffer)


def busy() -> None:
    """Want a whole core for a time of the clock."""
    _stay_on_one_processor()
    end_s = time.monotonic() + BUSY_S
    while time.monotonic() < end_s:
        pass


def pressed() -> None:
    """Read a file over and over that is larger than the memory limit."""
    with _written("/large", LARGE_FILE_BYTES) as descriptor:
        buffer = bytearray(MIB)
        for _ in range(LARGE_FILE_READS):
            os.lseek(descriptor, 0, os.SEEK_SET)
            while os.readv(descriptor, [buffer]):
                pass


def oom() -> None:
    """Start processes that want more memory than the limit, and are killed for it."""
    for _ in range(OOM_KILLS):
        child = os.fork()
        if child == 0:
            # Chosen before all others.
            Path("/proc/self/oom_score_adj").write_text("1000")
            bytearray(b"x" * (2**30))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise RuntimeError("a process that wanted 1 GiB was not killed")


def datagrams(host: str) -> None:
    """Send small datagrams."""
    _send(host, DATAGRAMS, 100)


def large_datagrams(host: str) -> None:
    """Send large datagrams."""
    _send(host, LARGE_DATAGRAMS, LARGE_BYTES)


def _send(host: str, count: int, size_bytes: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            # What came back from a port where nobody listens is told at the next call.
            with contextlib.suppress(ConnectionRefusedError):
                sender.sendto(b"x" * size_bytes, (host, 9))


def _stay_on_one_processor() -> None:
    """Bind the thread: the kernel averages waiting times over the processors that were used."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@contextlib.contextmanager
def _written(path: str, size_bytes: int) -> Any:
    """Write a file, put it on disk and give its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        for _ in range(size_bytes // MIB):
            os.write(descriptor, b"x" * MIB)
        os.fsync(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _direct(path: str, flags: int) -> None:
    _stay_on_one_processor()
    # Memory that starts at a page's beginning, as the disk wants it.
    buffer = mmap.mmap(-1, MIB)
    descriptor = os.open(path, flags | os.O_DIRECT)
    for _ in range(FILE_BYTES // MIB):
        if flags & os.O_WRONLY:
            os.writev(descriptor, [buffer])
        else:
            os.readv(descriptor, [buffer])
    os.fsync(descriptor)
    os.close(descriptor)


WORKS: dict[str, Callable[..., None]] = {
    work.__name__: work
    for work in (
        memory, swap, faults, major_faults, mapped, threads, processes, descriptors, sockets, pipes, files, write,
        read, volume, cache, log, user, system, busy, pressed, oom, datagrams, large_datagrams,
    )
}  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    """Does the work that a path names; what follows a second slash is its argument."""

    def do_GET(self) -> None:
        """Do the work, or send the traffic."""
        name, *arguments = self.path.strip("/").split("/")
        if name == "traffic":
            self._answer(200, b"x" * TRAFFIC_BYTES)
            return
        try:
            WORKS[name](*arguments)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            self._answer(500, f"{name}: {error!r}".encode())
        else:
            self._answer(200, b"done")

    def do_POST(self) -> None:
        """Take what is sent."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"taken")

    def log_message(self, *_: Any) -> None:
        """Write nothing to the log but what was asked for."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", PORT), Handler).serve_forever()
