"""What the watcher writes to its output: one JSON object a line, announcements and log records alike."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from podlab.errors import PodlabError
from podlab.kubernetes.errors import one_line

#: The same trouble is told once in so many seconds.
_QUIET_S = 60.0
#: Trouble that differs in nothing but numbers is the same.
_NUMBER = re.compile(r"\d+")
_MOST_KINDS = 1000


class JsonLines:
    """Writes JSON objects to a stream, whole lines only; from any thread.

    Parameters
    ----------
    stream : text file, optional
        By default standard output.
    now : callable
        Seconds since 1970.
    """

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.time) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._now = now
        self._lock = threading.Lock()

    def write(self, fields: dict[str, object]) -> None:
        """Write one object, with the time in front.

        Raises
        ------
        PodlabError
            If nobody takes it: the disk is full, or the reader is gone.
        """
        stamp = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        told = {"time": stamp, **fields}
        line = json.dumps(told, ensure_ascii=False, allow_nan=False, default=str)
        try:
            line.encode(getattr(self._stream, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            line = json.dumps(told, allow_nan=False, default=str)
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError) as error:
            raise PodlabError(f"the output cannot be written: {error}", hint="see where it goes") from error


class JsonHandler(logging.Handler):
    """Puts log records among the JSON lines; one that repeats is left out for a minute.

    Parameters
    ----------
    lines : JsonLines
    steady : callable
        A clock that never goes back, in seconds.
    """

    def __init__(self, lines: JsonLines, steady: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines = lines
        self._steady = steady
        self._told: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        kind, now_s = _NUMBER.sub("", record.getMessage()), self._steady()
        if now_s - self._told.get(kind, -_QUIET_S) < _QUIET_S:
            return
        if len(self._told) >= _MOST_KINDS:
            self._told.clear()
        self._told[kind] = now_s
        said: dict[str, object] = {
            "event": "log",
            "level": record.levelname.lower(),
            "message": one_line(record.getMessage()),
        }
        trace = record.exc_info[2] if record.exc_info else None
        if trace is not None:
            # Where it happened, but no values: those may be anything.
            said["trace"] = [f"{frame.name} {frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        with suppress(PodlabError):  # there is nowhere left to say that this cannot be written
            self._lines.write({**said, "logger": record.name})


def tell_failure(message: str, lines: JsonLines) -> None:
    """Write why a watcher cannot start, or had to end, as its log records are written."""
    lines.write({"event": "log", "level": "error", "message": " ".join(message.split()), "logger": "podlab"})
