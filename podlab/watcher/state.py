"""The state store: what was announced, kept over a restart so that nothing is announced twice.

A file of JSON lines that is appended to and compacted from time to time: a line that a kill or a full disk truncates
loses nothing but itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec

from podlab.errors import InputError, PodlabError
from podlab.files import atomic_file, explain_os_error
from podlab.http import DECODE_ERRORS
from podlab.watcher.containers import DecisionRecord, unpack_summary

log = logging.getLogger(__name__)

#: Lines of containers that are gone may stay in the file until it is compacted.
_SLACK: Final = 1000
#: The file never grows beyond this; some 90,000 containers. While it is compacted, the old one exists as well.
MOST_BYTES: Final = 48 * 2**20
#: Share of that after compacting, so that there is room for more lines before the next time.
_KEPT_SHARE: Final = 0.8


class StateStore:
    """The last announced decision on each container, in memory and in a file.

    Raises InputError if the file exists and cannot be read, or contains something else.

    Parameters
    ----------
    path : Path, optional
        The file; without one they are kept in memory only.
    most_bytes : int
        The file never grows beyond this: if not all containers fit, it holds the newest announcements, and the others
        may be announced again after a restart.
    """

    def __init__(self, path: Path | None, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._records: dict[str, DecisionRecord] = {}
        self._lines = self._bytes = 0
        self._left_out = 0
        self._behind = False
        if path is not None:
            self._read(path)

    @property
    def size(self) -> int:
        """Number of containers."""
        return len(self._records)

    def get(self, key: str) -> DecisionRecord | None:
        """Return what was announced of a container; None: nothing."""
        return self._records.get(key)

    def record(self, records: Iterable[DecisionRecord]) -> None:
        """Store announced decisions.

        Raises PodlabError if the file cannot be written; they are kept in memory, and the whole file is written the
        next time.
        """
        new = list(records)
        self._records |= {record.key: record for record in new}
        if self.path is None or not (new or self._behind):
            return
        lines = b"".join(_line(record) for record in new)
        too_many = self._lines > 2 * len(self._records) + _SLACK
        if self._behind or too_many or self._bytes + len(lines) > self._most_bytes:
            self._compact(self.path)
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
        """Drop containers that are gone; the file follows when it is compacted."""
        for key in keys:
            self._records.pop(key, None)

    def keep(self, keys: Collection[str]) -> None:
        """Drop all containers except these."""
        self._records = {key: record for key, record in self._records.items() if key in keys}

    def _read(self, path: Path) -> None:
        broken, foreign = 0, False
        if path.exists() and not path.is_file():
            raise InputError("is not a file", where=str(path), hint="choose another watch_state")
        try:
            with path.open("rb") as file:
                for line in file:
                    self._lines += 1
                    self._bytes += len(line)
                    self._behind |= not line.endswith(b"\n")
                    try:
                        record = msgspec.json.decode(line, type=DecisionRecord)
                        unpack_summary(record.seen)
                    except DECODE_ERRORS:
                        broken += bool(line.strip())
                        foreign |= line.strip() != b"" and line.endswith(b"\n") and not line.startswith(b"{")
                        self._behind = True
                    else:
                        self._records[record.key] = record
        except FileNotFoundError:
            return
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise InputError(what, where=str(path), hint="choose another watch_state") from error
        if foreign and not self._records:  # it would be overwritten, which nobody asked for
            raise InputError("contains something else", where=str(path), hint="choose another watch_state")
        if broken:
            log.warning("%s: %d broken lines are left out", path, broken)

    def _compact(self, path: Path) -> None:
        kept: list[bytes] = []
        room = int(_KEPT_SHARE * self._most_bytes)
        for record in sorted(self._records.values(), key=lambda record: record.at_s, reverse=True):
            line = _line(record)
            if len(line) > room:
                break
            room -= len(line)
            kept.append(line)
        self._warn_left_out(path, len(self._records) - len(kept))
        kept.reverse()
        content = b"".join(kept)
        try:
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
        except PodlabError:
            self._behind = True
            raise
        self._lines, self._bytes, self._behind = len(kept), len(content), False

    def _warn_left_out(self, path: Path, count: int) -> None:
        """Warn when the file begins to be too small, not each time it is written."""
        if count and not self._left_out:
            log.warning(
                "%s: holds what was announced of the newest %d of %d containers, because it may not grow beyond "
                "%d MiB; the others may be announced again after a restart",
                path, len(self._records) - count, len(self._records), self._most_bytes // 2**20,
            )  # fmt: skip
        self._left_out = count


def _line(record: DecisionRecord) -> bytes:
    alarm_s = None if record.alarm_s is None else round(record.alarm_s, 3)
    rounded = msgspec.structs.replace(
        record, at_s=round(record.at_s, 3), waited_s=round(record.waited_s, 3), alarm_s=alarm_s
    )
    return msgspec.json.encode(rounded) + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    """Write everything, or raise; a full disk may take a part first."""
    while content:
        content = content[os.write(descriptor, content) :]
