"""Bringing irregular samples of many containers onto their regular grids at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.metrics import CATALOGUE
from podlab.windows.rows import BoolArray, FloatArray, IntArray, Rows

#: Less growing time than this in a cell is rounding, not time.
_LEAST_CELL_TIME_S = 1e-6
#: A counter that would have grown faster since the start (1,000 cores, a terabyte a second) did not begin at 0.
_MOST_PER_SECOND = 1e12
_NONE = np.empty(0, dtype=np.intp)


@dataclass(frozen=True)
class Between:
    """For each grid point the samples at its left and right, and how far it lies between them (0 to 1)."""

    has: BoolArray
    left: IntArray
    right: IntArray
    share: FloatArray


class Grid:
    """Brings the metrics of many containers onto their grids; metrics with the same gaps share the search."""

    def __init__(self, rows: Rows, begin_s: FloatArray, step_s: FloatArray, cells: int) -> None:
        self._rows = rows
        self._begin_s = begin_s
        self._step_s = step_s
        self._cells = cells
        self._found: dict[tuple[bytes, bytes, bool], Between] = {}

    def levels(self, metric: str) -> FloatArray:
        """Levels at the cells' centres (n_containers, n_cells)."""
        valid = self._rows.valid[metric]
        at = self._between(self._rows.code[valid], self._rows.offset_s[valid], edges=False)
        values = self._rows.values[metric][valid]
        out = np.full(at.left.shape, np.nan)
        left, right = values[at.left[at.has]], values[at.right[at.has]]
        out[at.has] = left + at.share[at.has] * (right - left)
        return out

    def rates(self, metric: str) -> FloatArray:
        """Growth per second inside the cells (n_containers, n_cells)."""
        valid = self._rows.valid[metric]
        code, offset_s = self._rows.code[valid], self._rows.offset_s[valid]
        values: NDArray[Any] = self._rows.values[metric][valid]
        births = self._births(code, offset_s, values) if CATALOGUE[metric].per == "container" else _NONE
        if births.size:
            values, offset_s = np.insert(values, births, 0), np.insert(offset_s, births, 0.0)
            code = np.insert(code, births, code[births])
        at = self._between(code, offset_s, edges=True)
        # Sums may wrap around 2**63; the difference of two of them is exact all the same.
        step = np.diff(values)
        grew = (np.diff(code) == 0) & (step >= 0)
        grown = np.concatenate([[0], np.cumsum(np.where(grew, step, 0))]).astype(np.int64)
        time_s = np.concatenate([[0.0], np.cumsum(np.where(grew, np.diff(offset_s), 0.0))])

        out = np.full((at.left.shape[0], self._cells), np.nan)
        left, right, share = at.left[at.has], at.right[at.has], at.share[at.has]
        # Whole steps and the parts at the cells' edges apart: a huge step must not blur the small ones after it.
        growth = np.diff(grown[left], axis=1) + np.diff(share * (grown[right] - grown[left]), axis=1)
        cell_s = np.diff(time_s[left] + share * (time_s[right] - time_s[left]), axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[at.has] = _hold(np.where(cell_s > _LEAST_CELL_TIME_S, growth / cell_s, np.nan))
        return out

    def _births(self, code: IntArray, offset_s: FloatArray, values: NDArray[Any]) -> NDArray[np.intp]:
        """Find the first samples of containers whose window shows the birth, when the counter stood at 0."""
        first = np.flatnonzero(np.diff(code, prepend=-1))
        whose = code[first]
        started = self._rows.containers["started_at"].notna().to_numpy(bool)[whose]
        likely = values[first] <= _MOST_PER_SECOND * np.maximum(offset_s[first], 1.0)
        shown = started & (self._begin_s[whose] == 0) & (offset_s[first] > 0) & likely
        return np.asarray(first[shown])

    def _between(self, code: IntArray, offset_s: FloatArray, *, edges: bool) -> Between:
        key = (code.tobytes(), offset_s.tobytes(), edges)
        if key not in self._found:
            self._found[key] = self._search(code, offset_s, edges)
        return self._found[key]

    def _search(self, code: IntArray, offset_s: FloatArray, edges: bool) -> Between:
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
        if offset_s.size:
            at_s = self._begin_s[:, None] + (np.arange(points) + shift) * self._step_s[:, None]
            gap_s = offset_s[right] - offset_s[left]
            np.divide(at_s - offset_s[left], gap_s, out=share, where=gap_s > 0)
        return Between(has, left, right, share.clip(0, 1))


def _hold(values: FloatArray) -> FloatArray:
    """Fill missing cells with the nearest value before them, else after them (n, n_cells)."""
    known = ~np.isnan(values)
    if known.all():
        return values
    cells = np.arange(values.shape[1])
    before = np.maximum.accumulate(np.where(known, cells, -1), axis=1)
    first = known.argmax(axis=1)[:, None]
    return np.take_along_axis(values, np.where(before >= 0, before, first), axis=1)
