"""Samples to windows: a time span of each container on a regular grid, all containers at once.

A feature must mean the same at any sampling interval, so a window is never a list of samples. It is a grid of equal
cells laid over the span, and every series has one value in each cell:

- a *level* (gauge) is interpolated linearly at the cell's centre, and held before the first and after the last sample;
- a *rate* (counter) is the counter's growth inside the cell by the time it grew in. Growth is taken between
  neighbouring samples as exact 64-bit integers and spread evenly over the true time between them, so that cells add up
  to what was counted; where samples have the age of a counter, its own times count. A container's own counters stood at
  0 when it started, so in a window that begins with a known start the growth until the first sample counts too; a pod's
  counters began earlier. A step where the counter falls has no growth and no time; a cell without time takes the rate
  of the nearest cell before it, else after it.

A series without a single usable value in the window is missing (NaN) in all cells, otherwise in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS, MetricKind
from podlab.features.rows import ObservationSpans, Rows, metrics_to_read, observation_spans, read_rows

#: The series of a window by name, and the metric columns each is made from, the first usable one first. The rate of
#: core-nanoseconds per second *is* nanocores, so that both CPU columns give one series and either may be missing.
SERIES: dict[str, tuple[str, ...]] = {
    "cpu_usage_nanocores": ("cpu_usage_core_nanoseconds", "cpu_usage_nanocores"),
    **{name: (name,) for name in ORIGINAL_METRICS if not name.startswith("cpu_")},
}
#: These, and the series of the metrics that were added later.
ALL_SERIES: dict[str, tuple[str, ...]] = {
    **SERIES,
    **{name: (name,) for name in MEASURED_METRICS if name not in ORIGINAL_METRICS},
}

_MOST_CELLS = 60
_FEWEST_CELLS = 10
#: Containers with so many rows or cells together are worked on at once: one metric of them stays in the cache.
_BLOCK_ROWS = 12_000


@dataclass(frozen=True, repr=False)
class Windows:
    """One window per container instance."""

    #: Levels in the metric's unit, rates in that unit per second; a series is NaN in all cells or in none
    #: (n_containers, n_series, n_cells).
    cells: NDArray[np.float32]
    series: tuple[str, ...]  # names along the second axis, keys of :data:`ALL_SERIES`
    containers: pd.DataFrame  # identity and labels, one line per container instance
    spans: ObservationSpans  # of the samples inside the windows

    def __repr__(self) -> str:
        return f"Windows({self.cells.shape[0]:,} containers, {self.cells.shape[1]} series, {self.cells.shape[2]} cells)"

    @property
    def usable(self) -> BoolArray:
        """Whether a container has a value of any series in its window (n_containers,)."""
        return np.asarray((~np.isnan(self.cells[:, :, 0])).any(axis=1))


def series_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Name the series that can be made from these metric columns, in the catalogue's order."""
    there = set(columns)
    return tuple(name for name, sources in ALL_SERIES.items() if not there.isdisjoint(sources))


def make_windows(
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
        Where the window begins, in seconds since the start; later than 0 for a steady-state segment.
    columns : sequence of str, optional
        Metric columns to use; by default those that the table has. One that the table lacks is missing everywhere.

    Returns
    -------
    Windows
        Of 60 cells, fewer when the horizon is shorter than 60 s: one a second, 10 at least.
    """
    rows = samples if isinstance(samples, Rows) else read_rows(samples, metrics=metrics_to_read(columns))
    count = len(rows.containers)
    begin = np.broadcast_to(np.asarray(begin_s, dtype=np.float64), (count,))
    inside = rows.offset_s >= begin[rows.code]
    if horizon_s is not None:
        inside &= rows.offset_s < (begin + horizon_s)[rows.code]
    elif np.ndim(begin_s) == 0 and begin_s == 0:
        inside[:] = True  # all rows, also those that a skewed clock puts before the start

    spans = observation_spans(Rows(rows.containers, rows.code[inside], rows.offset_s[inside], {}, {}))
    if horizon_s is None:
        begin = np.fmin(begin, spans.first_s)
        length = np.fmax(spans.last_s - begin, 1.0)
        cells = _MOST_CELLS
    else:
        length = np.full(count, float(horizon_s))
        cells = int(np.clip(round(horizon_s), _FEWEST_CELLS, _MOST_CELLS))

    used = [name for name in rows.metrics if columns is None or name in columns]
    chosen = series_of(used if columns is None else columns)
    values = np.full((count, len(chosen), cells), np.nan, dtype=np.float32)
    at_start = ~np.asarray(rows.containers["started_at"].array.isna()) & (begin == 0)
    for own, which in rows.blocks(cells, _BLOCK_ROWS):
        part = rows.part(own, which).take(inside[which])
        grid = Grid(part, begin[own], length[own] / cells, cells, at_start[own])
        _fill(values[own], grid, chosen, used)
    return Windows(values, chosen, rows.containers, spans)


def containers_usable(rows: Rows, columns: Sequence[str], horizon_s: float | None) -> BoolArray:
    """Whether a container shows a value of any series made from these columns that is not 0 (n_containers,).

    What runs uses something, so where all is 0 nothing was measured. Of rows inside the horizon, and mostly without
    making windows.
    """
    shown = np.zeros(len(rows.containers), dtype=bool)
    for name in rows.metrics:
        if name in columns and CATALOGUE[name].kind == "gauge":
            shown[rows.code[rows.valid[name] & (rows.values[name] != 0)]] = True  # noqa: PD011
    rest = ~shown
    if rest.any():
        cells = make_windows(rows.only(rest), horizon_s=horizon_s, columns=columns).cells
        shown[rest] = (np.nan_to_num(cells) != 0).any(axis=(1, 2))
    return shown


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


#: Less growing time than this in a cell is rounding, not time.
_LEAST_CELL_TIME_S = 1e-6
#: Ages have milliseconds: values whose own times differ by less were read together.
_SAME_TIME_S = 2e-3
#: A counter that would have grown faster since the start (1,000 cores, a terabyte a second) did not begin at 0.
_MOST_PER_SECOND = 1e12


@dataclass(frozen=True)
class Between:
    """For each grid point the samples at its left and right, and how far it lies between them (0 to 1)."""

    has: BoolArray
    left: IntArray
    right: IntArray
    share: FloatArray


class Grid:
    """Brings the metrics of many containers onto their grids; metrics with the same gaps go together.

    Parameters
    ----------
    rows : Rows
        The samples inside the windows.
    begin_s, step_s : array of float64 (n_containers,)
        Where the windows begin, and the length of a cell.
    cells : int
        How many there are.
    at_start : array of bool (n_containers,)
        Whether the window begins with a known start.
    """

    def __init__(self, rows: Rows, begin_s: FloatArray, step_s: FloatArray, cells: int, at_start: BoolArray) -> None:
        self._rows = rows
        self._begin_s = begin_s
        self._step_s = step_s
        self._cells = cells
        self._at_start = at_start

    def bring(self, metrics: Iterable[str]) -> dict[str, FloatArray]:
        """Levels at the cells' centres or growth per second inside the cells, by metric (n_containers, n_cells)."""
        alike: dict[tuple[MetricKind, str, bytes], list[str]] = {}
        for name in metrics:
            kind, family = CATALOGUE[name].kind, CATALOGUE[name].family
            aged = family if kind == "counter" and family in self._rows.ages else ""
            alike.setdefault((kind, aged, self._rows.valid[name].tobytes()), []).append(name)
        found: dict[str, FloatArray] = {}
        for (kind, _, _), names in alike.items():
            found.update(zip(names, self._rates(names) if kind == "counter" else self._levels(names), strict=True))
        return found

    def _kept(self, metrics: Sequence[str]) -> tuple[IntArray, FloatArray, NDArray[Any]]:
        """Give the samples that metrics with the same gaps have: containers, times, values (n_metrics, n)."""
        rows, valid = self._rows, self._rows.valid[metrics[0]]
        values = np.stack([rows.values[name] for name in metrics])  # noqa: PD011
        age_s = rows.ages.get(CATALOGUE[metrics[0]].family)
        if age_s is not None and CATALOGUE[metrics[0]].kind == "counter":
            return self._at_own_times(valid, rows.offset_s - age_s, values)
        if valid.all():
            return rows.code, rows.offset_s, values
        here = np.flatnonzero(valid)
        return rows.code[here], rows.offset_s[here], values[:, here]

    def _at_own_times(
        self, valid: BoolArray, offset_s: FloatArray, values: NDArray[Any]
    ) -> tuple[IntArray, FloatArray, NDArray[Any]]:
        """Take counters at the times at which they were read; one that is in several rows counts once."""
        here = np.flatnonzero(valid)
        code, own_s = self._rows.code[here], offset_s[here]
        order = np.lexsort((own_s, code))
        new = (np.diff(code[order], prepend=-1) != 0) | (np.diff(own_s[order], prepend=-np.inf) > _SAME_TIME_S)
        order = order[new]
        return code[order], own_s[order], values[:, here[order]]

    def _levels(self, metrics: Sequence[str]) -> FloatArray:
        code, offset_s, values = self._kept(metrics)
        if not code.size:
            return self._none(metrics)
        at = self._search(code, offset_s, edges=False)
        left = values.take(at.left, axis=1)
        out: FloatArray = values.take(at.right, axis=1)
        out -= left
        out *= at.share
        out += left
        out[:, ~at.has] = np.nan
        return out

    def _rates(self, metrics: Sequence[str]) -> FloatArray:
        code, offset_s, values = self._kept(metrics)
        if not code.size:
            return self._none(metrics)
        first = np.flatnonzero(np.diff(code, prepend=-1))
        starts = first[self._at_start[code[first]] & (offset_s[first] > 0)]
        own = np.array([CATALOGUE[name].per == "container" for name in metrics])[:, None]
        from_zero = own & (values[:, starts] <= _MOST_PER_SECOND * np.maximum(offset_s[starts], 1.0))
        begun = starts + np.arange(starts.size)
        if starts.size:
            order = np.insert(np.arange(code.size), starts, starts)
            code, offset_s, values = code[order], offset_s[order], values[:, order]
            offset_s[begun], values[:, begun] = 0.0, 0
        at = self._search(code, offset_s, edges=True)
        # Sums may wrap around 2**63; the difference of two of them is exact all the same.
        step = np.diff(values, axis=1)
        grew = (np.diff(code) == 0) & (step >= 0)
        grew[:, begun] &= from_zero
        # Whole steps and the parts at the cells' edges apart: a huge step must not blur the small ones after it.
        whole, part = _between(_sums(np.where(grew, step, 0)), at)
        if (grew == grew[0]).all():
            grew = grew[:1]  # one sum of times for all metrics
        left_s, part_s = _between(_sums(np.where(grew, np.diff(offset_s), 0.0)), at)
        left_s += part_s
        cell_s = np.diff(left_s, axis=2)
        out = np.diff(whole, axis=2) + np.diff(part, axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            out /= np.where(cell_s > _LEAST_CELL_TIME_S, cell_s, np.nan)
        out = _hold(out.reshape(-1, self._cells)).reshape(out.shape)
        out[:, ~at.has] = np.nan
        return out

    def _none(self, metrics: Sequence[str]) -> FloatArray:
        return np.full((len(metrics), self._begin_s.size, self._cells), np.nan)

    def _search(self, code: IntArray, offset_s: FloatArray, *, edges: bool) -> Between:
        count = self._begin_s.size
        points = self._cells + 1 if edges else self._cells
        shift = 0.0 if edges else 0.5
        # The grid is regular, so a sample's place in it is a division, and counting takes the place of searching.
        place = np.ceil((offset_s - self._begin_s[code]) / self._step_s[code] - shift)
        place = place.clip(0, points).astype(np.int64)
        before = np.bincount(code * (points + 1) + place, minlength=count * (points + 1))
        before = before.reshape(count, points + 1)[:, :points].cumsum(axis=1)
        samples = np.bincount(code, minlength=count)
        start = (np.cumsum(samples) - samples)[:, None]
        final = (start + samples[:, None] - 1).clip(0)
        left = np.clip(start + before - 1, np.minimum(start, final), final)
        right = np.where(before > 0, np.minimum(left + 1, final), left)
        has = samples > 0
        share = np.zeros(left.shape)
        at_s = self._begin_s[:, None] + (np.arange(points) + shift) * self._step_s[:, None]
        left_s = offset_s.take(left)
        gap_s = offset_s.take(right) - left_s
        np.divide(at_s - left_s, gap_s, out=share, where=gap_s > 0)
        return Between(has, left, right, share.clip(0, 1))


def _sums(steps: NDArray[Any]) -> NDArray[Any]:
    """Add up steps between neighbouring samples (n_metrics, n - 1) -> (n_metrics, n)."""
    out = np.zeros((steps.shape[0], steps.shape[1] + 1), dtype=steps.dtype)
    np.cumsum(steps, axis=1, out=out[:, 1:])
    return out


def _between(sums: NDArray[Any], at: Between) -> tuple[NDArray[Any], FloatArray]:
    """Read sums at grid points: up to the sample at the left, and the share from there (n_metrics, *at.left.shape)."""
    left = sums.take(at.left, axis=1)
    return left, at.share * (sums.take(at.right, axis=1) - left)


def _hold(values: FloatArray) -> FloatArray:
    """Fill missing cells with the nearest value before them, else after them (n, n_cells)."""
    known = ~np.isnan(values)
    if known.all():
        return values
    cells = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(known, cells, -1), axis=1)
    first = known.argmax(axis=1)[:, None]
    return np.take_along_axis(values, np.where(before >= 0, before, first), axis=1)
