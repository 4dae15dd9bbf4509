"""What work costs a process: CPU time and memory. Imports nothing heavy, so that threads can still be limited."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

Work = Callable[[], object]


@cache
def has_peer(module: str) -> bool:
    """Whether a peer is installed; of one that is not it says once that it is left out."""
    found = find_spec(module) is not None
    if not found:
        print(f"{module} is left out: install it with .venv/bin/python -m pip install --group bench", file=sys.stderr)
    return found


def least_cpu_s(work: Work, repeats: int) -> float:
    """CPU time of the quickest of several runs."""
    spent = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return min(spent)


def extra_peak_bytes(work: Work) -> int:
    """How far a process rises above the memory it begins with, while it works for the first time (Linux only)."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=lambda: there.send(_rise_bytes(work)))
    process.start()
    there.close()
    try:
        return int(here.recv())
    finally:
        process.join()


def _rise_bytes(work: Work) -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not pass for memory that the work does not need
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes("VmRSS")
    kept = work()
    peak = status_bytes("VmHWM")
    del kept
    return peak - before


def status_bytes(name: str, pid: int | str = "self") -> int:
    """Read an amount of memory of a process, such as ``VmRSS``, where the system tells it (Linux only)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
