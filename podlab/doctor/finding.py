"""One thing looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from podlab.errors import PodlabError


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it works, what was seen, and what to do if it does not.

    Attributes
    ----------
    subject : str
        What was looked at.
    ok : bool
        Whether it is as it should be.
    said : str
        What was seen.
    todo : str
        What to do, with the command or the lines of YAML; empty where there is nothing to do.
    needed : bool
        Whether the watcher cannot work while it is not ``ok``.
    details : dict
        The same in numbers, for programs.
    alternative : bool
        Whether it is about a source of metrics that was not chosen.
    """

    subject: str
    ok: bool
    said: str
    todo: str = ""
    needed: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    alternative: bool = False

    @property
    def word(self) -> str:
        """What stands beside it for people."""
        return "ok" if self.ok else "FAILS" if self.needed else "no" if self.alternative else "warns"


def as_finding(subject: str, look: Callable[[], str], *, needed: bool = True) -> Finding:
    """Look at something that raises where it does not work."""
    try:
        return Finding(subject, True, look(), needed=needed)
    except PodlabError as error:
        return failure(subject, error, needed=needed)


def failure(subject: str, error: PodlabError, *, needed: bool = True) -> Finding:
    """Make a finding of what was raised."""
    where = "" if error.where is None else f"{error.where}: "
    return Finding(subject, False, where + error.message, error.hint or "", needed)
