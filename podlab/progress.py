"""How long work tells how far it is; the command line shows it, notebooks and tests may ignore it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called after each step: how many are done, of how many, and what is going on."""

    def __call__(self, done: int, total: int, what: str = "") -> None:
        """Report one step."""
