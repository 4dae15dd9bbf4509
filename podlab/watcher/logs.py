"""The watcher's output: one JSON object per line, announcements and log records alike."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from pythonjsonlogger.json import JsonFormatter

from podlab.errors import PodlabError
from podlab.http import one_line

#: The same message is logged once in this many seconds.
_QUIET_S: Final = 60.0
#: Messages that differ only in numbers are the same.
_NUMBER: Final = re.compile(r"\d+")
_MOST_KINDS: Final = 1000


class JsonLines:
    """Writes JSON objects to a stream, whole lines only; from any thread.

    The stream is standard output by default, and ``now`` gives seconds since 1970.
    """

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.time) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._now = now
        self._lock = threading.Lock()

    def write(self, fields: dict[str, object]) -> None:
        """Write one object, with the time in front.

        Raises PodlabError if the disk is full, or the reader is gone.
        """
        stamp = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": stamp, **fields}, ensure_ascii=False, allow_nan=False, default=str)
        try:
            line.encode(getattr(self._stream, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            line = json.dumps({"time": stamp, **fields}, allow_nan=False, default=str)
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError) as error:
            raise PodlabError(f"the output cannot be written: {error}", hint="see where it goes") from error


class _Formatter(JsonFormatter):
    """Names a log record's fields as the announcements' lines do."""

    def __init__(self) -> None:
        names = {"levelname": "level", "exc_info": "trace", "name": "logger"}
        super().__init__(["levelname", "message", "exc_info", "name"], rename_fields=names)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Show where it happened, but no values, which may be anything."""
        return "\n".join(f"{frame.name} {frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(ei[2]))

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Put the level in small letters and the message on one line."""
        log_data["level"], log_data["message"] = log_data["level"].lower(), one_line(log_data["message"])
        log_data["trace"] = log_data["trace"].splitlines() if log_data["trace"] else None
        return {"event": "log", **{name: value for name, value in log_data.items() if value is not None}}


class JsonHandler(logging.Handler):
    """Writes log records among the JSON lines; a repeated one is left out for a minute.

    ``steady`` is a clock that never goes back, in seconds.
    """

    def __init__(self, lines: JsonLines, steady: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.setFormatter(_Formatter())
        self._lines = lines
        self._steady = steady
        self._logged_s: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        kind, now_s = _NUMBER.sub("", record.getMessage()), self._steady()
        if now_s - self._logged_s.get(kind, -_QUIET_S) < _QUIET_S:
            return
        if len(self._logged_s) >= _MOST_KINDS:
            self._logged_s.clear()
        self._logged_s[kind] = now_s
        with suppress(PodlabError):  # there is nowhere left to report that this cannot be written
            self._lines.write(json.loads(self.format(record)))


@contextmanager
def logging_to(lines: JsonLines) -> Iterator[None]:
    """Send all log records to the watcher's output, podlab's own from INFO on."""
    root, own, sources = (logging.getLogger(name) for name in (None, "podlab", "podlab.sources"))
    before = root.handlers, own.level, sources.level
    root.handlers = [JsonHandler(lines)]
    own.setLevel(logging.INFO)
    sources.setLevel(logging.WARNING)  # in each round they log which measurements do not exist
    try:
        yield
    finally:
        root.handlers = before[0]
        own.setLevel(before[1])
        sources.setLevel(before[2])


def write_failure(message: str, lines: JsonLines) -> None:
    """Write why a watcher cannot start, or had to end, in the form of its log records."""
    lines.write({"event": "log", "level": "error", "message": " ".join(message.split()), "logger": "podlab"})
