"""Ranks among normal data, continued beyond the most extreme of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Ranks that are kept of the data below the tail.
LEVELS = 101
#: The part of normal data that counts as its tail, and how many values it has at least.
_TAIL_SHARE = 0.01
_FEWEST_IN_TAIL = 10
#: A tail so light that it cannot be told from none, and one so heavy that nothing would ever be strange.
_SHAPES = (0.05, 5.0)
#: Nothing is rarer than this.
_RAREST = 1e-12


@dataclass(frozen=True)
class Tail:
    """How rare a value is in normal data.

    Attributes
    ----------
    levels : array of float64 (101,)
        Quantiles of normal data below the tail, at even steps of their rank; they do not fall.
    share : float
        Part of normal data in the tail, which begins at the last level.
    shape : float
        Mean logarithm of the tail's values by its beginning: Hill's estimate (Hill 1975, Annals of Statistics 3:1163).
    """

    levels: FloatArray
    share: float
    shape: float

    def rarity(self, values: FloatArray) -> FloatArray:
        """Give -log10 of the part of normal data that is at least as extreme (n,); rises with ``values``."""
        begin = self.levels[-1]
        ranks = np.linspace(0.0, 1.0 - self.share, self.levels.size)
        rare = -np.log10(1.0 - np.interp(values, self.levels, ranks))
        beyond = values > begin
        rare[beyond] = -np.log10(self.share) + np.log10(values[beyond] / begin) / self.shape
        return np.asarray(np.minimum(rare, -np.log10(_RAREST)))


def learn_tail(values: FloatArray) -> Tail:
    """Learn the ranks from values of normal data that was held out (n,), none negative."""
    ordered = np.sort(np.round(values, 9))  # steps between levels that divide without overflow
    inside = min(max(round(_TAIL_SHARE * ordered.size), _FEWEST_IN_TAIL), ordered.size - 1)
    begin = max(float(ordered[-inside - 1]), 1e-6)
    levels = np.maximum.accumulate(np.quantile(ordered[: ordered.size - inside], np.linspace(0.0, 1.0, LEVELS)))
    levels[-1] = begin
    shape = float(np.mean(np.log(np.maximum(ordered[-inside:] / begin, 1.0))))
    return Tail(np.minimum(levels, begin), inside / (ordered.size + 1), float(np.clip(shape, *_SHAPES)))
