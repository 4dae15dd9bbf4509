"""Warms and evicts chosen files in the machine's page cache, and leaves all others as they are."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 2**20
#: What was changed longer ago, the kernel has put on disk by itself; asking for it costs a millisecond a file.
_WRITTEN_BACK_AFTER_S = 300.0


def warm(paths: Iterable[Path]) -> int:
    """Read files into the page cache, so that a start finds them there.

    Parameters
    ----------
    paths : iterable of Path
        Files, and folders with all below them; what is missing is passed over.

    Returns
    -------
    int
        Bytes read.
    """
    buffer = bytearray(_CHUNK_BYTES)

    def read(descriptor: int) -> int:
        total_bytes = 0
        while read_bytes := os.readv(descriptor, [buffer]):
            total_bytes += read_bytes
        return total_bytes

    return _for_each(paths, read)


def evict(paths: Iterable[Path]) -> int:
    """Drop files from the page cache, so that a start reads them from disk.

    What is not on disk yet is written first. Pages that a running process maps, such as a library that another
    container of the same image uses, stay.

    Parameters
    ----------
    paths : iterable of Path
        Files, and folders with all below them; what is missing is passed over.

    Returns
    -------
    int
        Bytes of the files that were dropped.
    """
    recent_s = time.time() - _WRITTEN_BACK_AFTER_S

    def drop(descriptor: int) -> int:
        known = os.fstat(descriptor)
        if known.st_ctime > recent_s:
            os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return known.st_size

    return _for_each(paths, drop)


def layers(known: Mapping[str, Any]) -> list[Path]:
    """Name the folders of an image's or a container's layers on the host.

    Parameters
    ----------
    known : mapping
        What ``image inspect`` or ``inspect`` of either engine says of it; an engine that tells no layers gives none.
    """
    data = (known.get("GraphDriver") or {}).get("Data") or {}
    joined = ":".join(data[name] for name in ("UpperDir", "LowerDir") if data.get(name))
    return [Path(folder) for folder in joined.split(":") if folder]


def _for_each(paths: Iterable[Path], work: Callable[[int], int]) -> int:
    """Do the work with each regular file's descriptor, and add up what it returns."""
    total = 0
    for path in _files(paths):
        # A file may vanish meanwhile.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                total += work(descriptor)
            finally:
                os.close(descriptor)
    return total


def _files(paths: Iterable[Path]) -> Iterator[str]:
    folders = []
    for path in paths:
        if path.is_dir():
            folders.append(str(path))
        elif path.is_file():
            yield str(path)
    while folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path
