"""Ending the watcher in order when the system asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(Exception):  # noqa: N818
    """The watcher is to stop, and what it does just now can be left undone."""


class Stop:
    """What SIGTERM and Ctrl-C set off: the round ends where nothing is lost, a wait for the database at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._leave = False

    def proceed(self) -> bool:
        """Whether to go on."""
        return not self.event.is_set()

    @contextmanager
    def can_be_left(self) -> Iterator[None]:
        """Mark work that may be broken off anywhere."""
        self._leave = True
        try:
            if self.event.is_set():
                raise Stopped
            yield
        finally:
            self._leave = False

    def handle(self, number: int, frame: object) -> None:
        """Stop; as a signal's handler."""
        self.event.set()
        if self._leave:
            raise Stopped

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to the signals; only the main thread may."""
        before = {number: signal.signal(number, self.handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
