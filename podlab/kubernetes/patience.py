"""How long to wait before a server is asked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: Pauses after failures in a row, in seconds: 0.8, 1.6, ... 30, each lengthened at random by up to a half, so that
#: many watchers do not come back to a server all at once. As client-go's reflector does.
FIRST_PAUSE_S: Final = 0.8
LONGEST_PAUSE_S: Final = 30.0
#: A pause that the server asks for is kept, up to this.
LONGEST_ASKED_PAUSE_S: Final = 300.0
#: A watch that lasted as long has worked: failures before it no longer count. Shorter ones are followed by a pause,
#: however they ended, so that a server that ends each at once is not asked without rest.
SETTLED_S: Final = 20.0


class Patience:
    """Pauses that grow with failures in a row.

    Parameters
    ----------
    clock : callable
        Tells the time in seconds, from any beginning.
    random : callable
        Gives a number in [0, 1).
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._clock, self._random = clock, random
        self._failures = 0
        self._opened_s: float | None = None

    def opened(self) -> None:
        """Take note that a watch is open."""
        self._opened_s = self._clock()

    def pause_s(self, *, failed: bool, asked_s: float = 0.0) -> float:
        """Give the pause that is due after a list and a watch have ended.

        Parameters
        ----------
        failed : bool
            Whether they ended by a failure.
        asked_s : float
            What the server asks for, in seconds.
        """
        settled = self._opened_s is not None and self._clock() - self._opened_s >= SETTLED_S
        self._opened_s = None
        if settled:
            self._failures = 0
            if not failed:
                return 0.0
        # Ten doublings are far beyond the longest pause.
        due_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return max(due_s, min(asked_s, LONGEST_ASKED_PAUSE_S)) * (1 + self._random() / 2)
