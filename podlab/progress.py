"""Long work: how far it is, and ending it in order when the system asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called after each step: how many are done, of how many, and what is going on."""

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Report one step."""


@contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Let SIGTERM, as CI sends it, stop a run as Ctrl-C does; only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
