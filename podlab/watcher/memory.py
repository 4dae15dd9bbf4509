"""Keeping a process small that works for a moment and then waits."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

import pyarrow as pa

# mallopt(3), of malloc.h in glibc.
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 256 * 1024


def stay_small() -> None:
    """Let all take memory from one place, so that what one frees another can use, and large pieces go back at once.

    Left alone, Arrow keeps a pool of its own and glibc one for each thread, and glibc keeps ever larger freed pieces.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    library = _c_library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back_memory() -> None:
    """Give freed memory back to the system, where the C library can (glibc); it takes a millisecond."""
    library = _c_library()
    if library is not None and hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None
