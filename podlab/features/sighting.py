"""When each container was seen: its first and last row, how often, and whether its birth was."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from podlab.features.rows import BoolArray, FloatArray, IntArray, Rows

#: A container was seen from its birth if its first row came this soon, or within one and a half sampling intervals.
BIRTH_S = 10.0


@dataclass(frozen=True)
class Sighting:
    """When each container was seen.

    Attributes
    ----------
    rows : array of int64 (n_containers,)
        How many samples there are of it.
    first_s, last_s : array of float64 (n_containers,)
        When the first and last were taken, in seconds since its start; NaN without rows.
    """

    rows: IntArray
    first_s: FloatArray
    last_s: FloatArray

    @cached_property
    def interval_s(self) -> FloatArray:
        """Mean time between rows; 0 with fewer than two (n_containers,)."""
        return np.nan_to_num((self.last_s - self.first_s) / np.maximum(self.rows - 1, 1))

    @property
    def typical_interval_s(self) -> float:
        """The median container's time between rows; 0 where no container has two."""
        interval_s = self.interval_s
        several = interval_s[interval_s > 0]
        return float(np.median(several)) if several.size else 0.0

    @cached_property
    def from_birth(self) -> BoolArray:
        """Whether the start was seen (n_containers,)."""
        return np.asarray(self.first_s <= np.maximum(BIRTH_S, 1.5 * self.interval_s))

    @cached_property
    def until_s(self) -> FloatArray:
        """The end of the last row's interval, in seconds since the start; 0 without rows (n_containers,)."""
        return np.nan_to_num(self.last_s + self.interval_s)

    @property
    def observed_s(self) -> FloatArray:
        """How long the rows looked at the container (n_containers,).

        From its start to the last row; from the first row where the start is unknown or was not seen. 0 without rows.
        """
        begin_s = np.where(self.from_birth, 0.0, self.first_s)
        return np.asarray(np.nan_to_num(self.last_s.clip(0) - begin_s))


def sight(rows: Rows) -> Sighting:
    """Find when each container was seen first and last, and how often."""
    number = np.bincount(rows.code, minlength=len(rows.containers))
    end = np.cumsum(number)
    seen = number > 0
    first_s, last_s = np.full((2, number.size), np.nan)
    first_s[seen] = rows.offset_s[(end - number)[seen]]
    last_s[seen] = rows.offset_s[end[seen] - 1]
    return Sighting(number, first_s, last_s)
