"""What was announced, kept over a restart so that nothing is announced twice.

A file of JSON lines that only grows, and is written anew now and then: a line that a kill or a full disk cut off loses
nothing but itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from podlab.errors import InputError, PodlabError
from podlab.files import atomic_file, explain_os_error
from podlab.identify.early import Reason
from podlab.watcher.cases import unpack_sight

log = logging.getLogger(__name__)

#: Lines of containers that are gone may stand in the file until it is written anew.
_SLACK = 1000
#: The file never grows beyond this; some 90,000 containers. While it is written anew, the old one stands beside it.
MOST_BYTES = 48 * 2**20
#: Of what is written anew, so that there is room for more lines before the next time.
_KEPT_SHARE = 0.8


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What was last announced of a container.

    Attributes
    ----------
    key : str
        Which one, see :attr:`podlab.watcher.cases.Case.key`.
    service : str or None
    reason : str
    revisions : int
    at_s, waited_s : float
        As :class:`podlab.watcher.cases.Verdict` has them.
    alarm_s : float or None
        Since when an alarm stands that was announced, in seconds since 1970.
    seen : bytes
        What it was decided from, as :class:`podlab.watcher.cases.Verdict` has it.
    """

    key: str
    service: str | None
    reason: Reason
    revisions: int
    at_s: float
    waited_s: float
    alarm_s: float | None = None
    seen: bytes = b""


class Journal:
    """The last announcement of each container, in memory and in a file.

    Parameters
    ----------
    path : Path, optional
        The file; without one it is kept in memory only.
    most_bytes : int
        The file never grows beyond this: where all containers do not fit, it holds the newest announcements, and what
        is left out may be announced again after a restart.

    Raises
    ------
    InputError
        If the file is there and cannot be read, or holds something else.
    """

    def __init__(self, path: Path | None, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._entries: dict[str, Entry] = {}
        self._lines = self._bytes = 0
        self._left_out = 0
        self._behind = False
        if path is not None:
            self._read(path)

    @property
    def size(self) -> int:
        """How many containers it knows."""
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """Tell what was announced of a container; None: nothing."""
        return self._entries.get(key)

    def record(self, entries: Iterable[Entry]) -> None:
        """Note announcements.

        Raises
        ------
        PodlabError
            If the file cannot be written; they are noted in memory, and the file is written anew the next time.
        """
        new = list(entries)
        self._entries |= {entry.key: entry for entry in new}
        if self.path is None or not (new or self._behind):
            return
        lines = b"".join(_line(entry) for entry in new)
        too_many = self._lines > 2 * len(self._entries) + _SLACK
        if self._behind or too_many or self._bytes + len(lines) > self._most_bytes:
            self._write_anew(self.path)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                _write_all(file.fileno(), lines)
        except OSError as error:
            self._behind = True
            raise explain_os_error(error, self.path) from error
        self._lines += len(new)
        self._bytes += len(lines)

    def forget(self, keys: Iterable[str]) -> None:
        """Drop containers that are no more; the file follows when it is written anew."""
        for key in keys:
            self._entries.pop(key, None)

    def keep(self, keys: Collection[str]) -> None:
        """Drop all containers but these."""
        self._entries = {key: entry for key, entry in self._entries.items() if key in keys}

    def _read(self, path: Path) -> None:
        broken, foreign = 0, False
        if path.exists() and not path.is_file():
            raise InputError("is no file", where=str(path), hint="choose another watch_state")
        try:
            with path.open("rb") as file:
                for line in file:
                    self._lines += 1
                    self._bytes += len(line)
                    self._behind |= not line.endswith(b"\n")
                    try:
                        entry = msgspec.json.decode(line, type=Entry)
                        unpack_sight(entry.seen)
                    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                        broken += bool(line.strip())
                        foreign |= line.strip() != b"" and line.endswith(b"\n") and not line.startswith(b"{")
                        self._behind = True
                    else:
                        self._entries[entry.key] = entry
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(
                f"cannot be read: {error.strerror}", where=str(path), hint="choose another watch_state"
            ) from error
        if foreign and not self._entries:  # it is to be written anew, which nobody asked for
            raise InputError("holds something else", where=str(path), hint="choose another watch_state")
        if broken:
            log.warning("%s: %d broken lines are left out", path, broken)

    def _write_anew(self, path: Path) -> None:
        kept: list[bytes] = []
        room = int(_KEPT_SHARE * self._most_bytes)
        for entry in sorted(self._entries.values(), key=lambda entry: entry.at_s, reverse=True):
            line = _line(entry)
            if len(line) > room:
                break
            room -= len(line)
            kept.append(line)
        self._tell_left_out(path, len(self._entries) - len(kept))
        kept.reverse()
        content = b"".join(kept)
        try:
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
        except PodlabError:
            self._behind = True
            raise
        self._lines, self._bytes, self._behind = len(kept), len(content), False

    def _tell_left_out(self, path: Path, count: int) -> None:
        """Say it when the file begins to be too small, not each time it is written."""
        if count and not self._left_out:
            log.warning(
                "%s: holds what was announced of the newest %d of %d containers, for it may not grow beyond %d MiB; "
                "the others may be announced again after a restart",
                path, len(self._entries) - count, len(self._entries), self._most_bytes // 2**20,
            )  # fmt: skip
        self._left_out = count


def _line(entry: Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    """Write everything, or raise; a full disk may take a part first."""
    while content:
        content = content[os.write(descriptor, content) :]
