"""Keeping a process small that works for a moment and then waits."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import pyarrow as pa


def stay_small() -> None:
    """Let Arrow take its memory where everybody else does, so that what one frees another can use."""
    pa.set_memory_pool(pa.system_memory_pool())


def give_back_memory() -> None:
    """Give freed memory back to the system, where the C library can (glibc); it takes a millisecond."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
