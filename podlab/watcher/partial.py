"""Samples of which a part is still on its way: an agent writes one metric after the other, and a read comes between."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import FEATURE_METRICS

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: After so long a metric that does not come has ended, and samples count without it. An agent's measurements of one
#: instant are written within one or two of its intervals.
PATIENCE_S = 30.0


def present(samples: pd.DataFrame) -> BoolArray:
    """Tell which of the metrics that detectors look at a sample has a value of (n_rows, n_metrics)."""
    found = np.zeros((len(samples), len(FEATURE_METRICS)), dtype=bool)
    for column, name in enumerate(FEATURE_METRICS):
        if name in samples:
            found[:, column] = ~np.asarray(samples[name].array.isna())
    return found


class Partial:
    """Holds back samples that lack a metric which the two before them had, until that comes or has ended.

    A database lets a read see some series of a write and others not yet, of hundreds of samples if these were written
    at once. Scores are made in the order of time and once, so what was left out then would be so for ever.

    Parameters
    ----------
    size : int
        How many containers there are.
    """

    def __init__(self, size: int) -> None:
        self._last, self._before = np.zeros((2, size, len(FEATURE_METRICS)), dtype=bool)
        self._held_since_s = np.full(size, np.nan)

    def resize(self, size: int) -> None:
        """Make room for more containers; those there keep their numbers."""
        fresh = Partial(size)
        for name, array in vars(self).items():
            vars(fresh)[name][: len(array)] = array
        vars(self).update(vars(fresh))

    def forget(self, which: IntArray) -> None:
        """Begin anew with some containers, whose places others take."""
        self._last[which], self._before[which], self._held_since_s[which] = False, False, np.nan

    def complete(self, place: IntArray, whose: IntArray, present: BoolArray, steady_s: float) -> BoolArray:
        """Tell which samples may be scored now; of each container those before the first that is held back.

        Parameters
        ----------
        place : array of int64 (n_containers,)
            Numbers of the containers, none twice.
        whose : array of int64 (n_rows,)
            Which of them each sample is of, 0 to n_containers - 1; samples are sorted by it, then by time. Of those
            let through nothing is asked again.
        present : array of bool (n_rows, n_metrics)
            What they have a value of, as :func:`present` tells.
        steady_s : float
            Now, on a clock that never goes back.

        Returns
        -------
        array of bool (n_rows,)
        """
        first = np.flatnonzero(np.diff(whose, prepend=-1))
        end = np.append(first[1:], whose.size)[: first.size]
        here = place[whose[first]]
        # A metric that comes again later was left out; one that does not may be on its way.
        last_row = np.maximum.reduceat(np.where(present, np.arange(whose.size)[:, None], -1), first)
        expected = self._last[here] & self._before[here]
        until = np.where(expected, last_row + 1, end[:, None]).min(axis=1)
        until = np.maximum(until, first)
        since_s = self._held_since_s[here]
        since_s = np.where(np.isnan(since_s) | (until > first), steady_s, since_s)
        until = np.where(steady_s - since_s >= PATIENCE_S, end, until)
        self._held_since_s[here] = np.where(until < end, since_s, np.nan)
        through = np.arange(whose.size) < np.repeat(until, end - first)

        some = until > first
        here, first, until = here[some], first[some], until[some]
        self._before[here] = np.where((until - first >= 2)[:, None], present[until - 2], self._last[here])
        self._last[here] = present[until - 1]
        return through
