"""Where samples come from: one file per source, all with the same protocol."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import pandas as pd


class Source(Protocol):
    """Anything that gives samples of a span of time.

    Attributes
    ----------
    name : str
        What it is called in errors and reports; holds no secret.
    """

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
            If the source has nothing there, refuses the user, or what it holds is no samples table.
        PodlabError
            If the source failed.
        """
