"""Where samples come from: one file per source, all with the same protocol."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import pandas as pd

from podlab.errors import InputError


class NothingThereError(InputError):
    """A source works and has no row of what was asked for."""


def span_ns(since: datetime, until: datetime) -> tuple[int, int]:
    """Give a span in nanoseconds since 1970; raises InputError if it has no time zone, or ends before it begins."""
    for when in (since, until):
        if when.tzinfo is None:
            raise InputError(f"{when} has no time zone")
    if since >= until:
        raise InputError("the span ends before it begins", where=f"{since} to {until}")
    return int(pd.Timestamp(since).as_unit("ns").value), int(pd.Timestamp(until).as_unit("ns").value)


class Source(Protocol):
    """Anything that gives samples of a span of time."""

    @property
    def name(self) -> str:
        """What the source is called in errors and reports; holds no secret."""

    def fetch(self, since: datetime, until: datetime) -> pd.DataFrame:
        """Read the samples with ``since <= time < until``.

        Parameters
        ----------
        since, until : datetime
            Aware of their time zone.

        Returns
        -------
        DataFrame
            A samples table, checked.

        Raises
        ------
        InputError
            If the source has nothing there, refuses the user, or what it holds is not a samples table.
        PodlabError
            If the source failed.
        """


class LiveSource(Source, Protocol):
    """The metrics of a live cluster, which can be asked for of some pods only; see :func:`podlab.live.live_source`.

    The watcher asks several times in a round, each time for other pods and spans, from one thread. What a source knows
    of ``started_at`` and ``pod_uid`` may be missing: the watcher has both from the API.
    """

    @property
    def has_past(self) -> bool:
        """Whether it knows what was before it was made."""

    def close(self) -> None:
        """Let go of connections and threads; nothing is fetched after it."""

    def fetch(self, since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Read the samples with ``since <= time < until``, of all pods or of those with one of these names.

        Raises
        ------
        NothingThereError
            If there are no rows of the ``pods`` asked for.
        InputError
            If the server cannot be reached or trusted, refuses the user or the question, or holds nothing there.
        PodlabError
            If it fails, takes too long, or its answer is partial or breaks off.
        """
