"""Copies of training windows as another cluster would have seen them: sampled more seldom, with columns missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from podlab.features import series_in
from podlab.metrics import CATALOGUE
from podlab.windows import SERIES, Rows

#: What other clusters lack: containerd without a Docker socket has no I/O; a bare kubelet no volumes; cAdvisor without
#: a file system collector none of those; metrics-server gives CPU and working set only.
_LACKS: tuple[frozenset[str], ...] = (
    frozenset({"io"}),
    frozenset({"io", "volume"}),
    frozenset({"filesystem", "volume"}),
    frozenset({"filesystem", "volume", "io"}),
    frozenset({"filesystem", "volume", "io", "network"}),
    frozenset({"filesystem", "volume", "io", "network", "detail"}),
)
#: Series of memory that are missing where only CPU and working set are collected.
_DETAIL = ("memory_usage_bytes", "memory_rss_bytes", "memory_page_faults", "memory_major_page_faults")


def thin(rows: Rows, interval_s: NDArray[np.float64], rng: np.random.Generator) -> Rows:
    """Keep of each container the first row of each interval, the intervals beginning at a random phase.

    Parameters
    ----------
    rows : Rows
        All samples.
    interval_s : array (n_containers,)
        The new sampling interval of each container; 0 keeps all of its rows.
    rng : Generator
        Draws the phases.
    """
    step_s = interval_s[rows.code]
    phase_s = rng.uniform(0.0, np.maximum(interval_s, 1e-9))[rows.code]
    cell = np.floor((rows.offset_s - phase_s) / np.where(step_s > 0, step_s, 1.0))
    keep = step_s <= 0
    keep[:1] = True
    keep[1:] |= (np.diff(cell) != 0) | (np.diff(rows.code) != 0)
    # The first row of a container stands for a whole interval only when it comes where one begins.
    return rows.take(keep)


def draw_intervals_s(own_s: NDArray[np.float64], longest_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a longer sampling interval for each container, evenly on a log scale (n_containers,).

    Between twice its own and ``longest_s``; 0 (leave as it is) where there is no room between them.
    """
    low = np.maximum(2.0 * own_s, 2.0)
    drawn = low * (longest_s / low) ** rng.uniform(size=own_s.size)
    return np.where(low < longest_s, drawn, 0.0)


def drop_columns(matrix: NDArray[np.float32], names: Sequence[str], rng: np.random.Generator) -> NDArray[np.float32]:
    """Take from each row the features of columns that some cluster lacks (n, n_features)."""
    out = matrix.copy()
    drawn = rng.integers(len(_LACKS), size=matrix.shape[0])
    for number, lack in enumerate(_LACKS):
        lost = [any(_is_lost(series, lack) for series in series_in(name)) for name in names]
        out[np.ix_(drawn == number, lost)] = np.nan
    return out


def _is_lost(series: str, lack: frozenset[str]) -> bool:
    family = CATALOGUE[SERIES[series][0]].family
    return family in lack or ("detail" in lack and series in _DETAIL)
