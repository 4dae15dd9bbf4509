"""Time as the recorder sees it, so that tests can bring their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class RecorderClock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Read the wall clock, in UTC."""

    def monotonic_s(self) -> float:
        """Read seconds that never jump."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Read the wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Read seconds that never jump."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, seconds))
