"""Samples to windows: one stretch of each container's life on a regular grid, all containers at once.

A feature must mean the same at any sampling interval, so a window is never a list of samples. It is a grid of equal
cells laid over the stretch, and every series has one value in each cell:

- a *level* (gauge) is interpolated linearly at the cell's centre, and held before the first and after the last sample;
- a *rate* (counter) is the counter's growth inside the cell by the time it grew in. Growth is taken between
  neighbouring samples as exact 64-bit integers and spread evenly over the true time between them, so that cells add up
  to what was counted; where samples tell how old a counter is, its own times count. A container's own counters stood at
  0 when it started, so in a window that begins with a known start the growth until the first sample counts too; a pod's
  counters began earlier. A step where the counter falls has no growth and no time; a cell without time takes the rate
  of the nearest cell before it, else after it.

A series without a single usable value in the window is missing (NaN) in all cells, otherwise in none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import FEATURE_METRICS, MEASURED_METRICS
from podlab.features.grid import Grid
from podlab.features.rows import BoolArray, FloatArray, Rows, read_ages, read_rows, read_values
from podlab.features.sighting import Sighting, sight

__all__ = [
    "ALL_SERIES", "SERIES", "Rows", "Sighting", "Windows", "cut", "read_ages", "read_rows", "read_values", "series_of",
    "sight",
]  # fmt: skip

#: The series of a window by name, and the metric columns each is made from, the first usable one first. The rate of
#: core-nanoseconds per second *is* nanocores, so that both CPU columns give one series and either may be missing.
SERIES: dict[str, tuple[str, ...]] = {
    "cpu_usage_nanocores": ("cpu_usage_core_nanoseconds", "cpu_usage_nanocores"),
    **{name: (name,) for name in FEATURE_METRICS if not name.startswith("cpu_")},
}
#: These, and the series of the metrics that no model learns from yet.
ALL_SERIES: dict[str, tuple[str, ...]] = {
    **SERIES,
    **{name: (name,) for name in MEASURED_METRICS if name not in FEATURE_METRICS},
}

_MOST_CELLS = 60
_FEWEST_CELLS = 10
#: Containers with so many rows or cells together are worked on at once: one metric of them stays in the cache.
_BLOCK_ROWS = 12_000


@dataclass(frozen=True)
class Windows:
    """One window per container instance.

    Attributes
    ----------
    cells : array of float32 (n_containers, n_series, n_cells)
        Levels in the metric's unit, rates in that unit per second; a series is NaN in all cells or in none.
    series : tuple of str
        Names along the second axis, keys of :data:`ALL_SERIES`.
    containers : DataFrame
        Identity and labels, one line per container instance.
    sighting : Sighting
        Of the samples inside the windows.
    """

    cells: NDArray[np.float32]
    series: tuple[str, ...]
    containers: pd.DataFrame
    sighting: Sighting

    @property
    def usable(self) -> BoolArray:
        """Whether a container has a value of any series in its window (n_containers,)."""
        return np.asarray((~np.isnan(self.cells[:, :, 0])).any(axis=1))


def series_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Name the series that can be made from these metric columns, in the catalogue's order."""
    there = set(columns)
    return tuple(name for name, sources in ALL_SERIES.items() if not there.isdisjoint(sources))


def cut(
    samples: pd.DataFrame | Rows,
    *,
    horizon_s: float | None,
    begin_s: float | FloatArray = 0.0,
    columns: Sequence[str] | None = None,
) -> Windows:
    """Lay one window over each container instance.

    Parameters
    ----------
    samples : DataFrame or Rows
        A checked samples table, or what :func:`read_rows` made of it.
    horizon_s : float or None
        Length of the window: rows with ``time`` in [start + begin, start + begin + horizon) count, where start is
        ``started_at``, or the first row's time where that is missing. None: all rows from ``begin_s`` on, the window
        as long as the container was seen.
    begin_s : float or array (n_containers,)
        Where the window begins, in seconds since the start; later than 0 for a look at mid-life.
    columns : sequence of str, optional
        Metric columns to use; by default those that the table has. One that the table lacks is missing everywhere.

    Returns
    -------
    Windows
        Of 60 cells, fewer when the horizon is shorter than 60 s: one a second, 10 at least.
    """
    rows = samples if isinstance(samples, Rows) else read_rows(samples)
    count = len(rows.containers)
    begin = np.broadcast_to(np.asarray(begin_s, dtype=np.float64), (count,))
    inside = rows.offset_s >= begin[rows.code]
    if horizon_s is not None:
        inside &= rows.offset_s < (begin + horizon_s)[rows.code]
    elif np.ndim(begin_s) == 0 and begin_s == 0:
        inside[:] = True  # all rows, also those that a skewed clock puts before the start

    sighting = sight(Rows(rows.containers, rows.code[inside], rows.offset_s[inside], {}, {}))
    if horizon_s is None:
        begin = np.fmin(begin, sighting.first_s)
        length = np.fmax(sighting.last_s - begin, 1.0)
        cells = _MOST_CELLS
    else:
        length = np.full(count, float(horizon_s))
        cells = int(np.clip(round(horizon_s), _FEWEST_CELLS, _MOST_CELLS))

    used = [name for name in rows.metrics if columns is None or name in columns]
    chosen = series_of(used if columns is None else columns)
    values = np.full((count, len(chosen), cells), np.nan, dtype=np.float32)
    born = ~np.asarray(rows.containers["started_at"].array.isna()) & (begin == 0)
    for whose, which in rows.blocks(cells, _BLOCK_ROWS):
        part = rows.part(whose, which).take(inside[which])
        grid = Grid(part, begin[whose], length[whose] / cells, cells, born[whose])
        _fill(values[whose], grid, chosen, used)
    return Windows(values, chosen, rows.containers, sighting)


def _fill(values: NDArray[np.float32], grid: Grid, series: Sequence[str], columns: Sequence[str]) -> None:
    """Write each series from the first usable of these columns into ``values`` (n_containers, n_series, n_cells)."""
    sources = [[source for source in ALL_SERIES[name] if source in columns] for name in series]
    while wanted := [position for position, names in enumerate(sources) if names]:
        found = grid.bring([sources[position][0] for position in wanted])
        for position in wanted:
            cells = values[:, position]
            np.copyto(cells, found[sources[position].pop(0)], where=np.isnan(cells[:, :1]), casting="same_kind")
            if not np.isnan(cells[:, 0]).any():
                sources[position].clear()
