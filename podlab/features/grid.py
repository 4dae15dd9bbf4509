"""Bringing irregular samples of many containers onto their regular grids at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, Kind
from podlab.features.rows import BoolArray, FloatArray, IntArray, Rows

#: Less growing time than this in a cell is rounding, not time.
_LEAST_CELL_TIME_S = 1e-6
#: Ages are told in milliseconds: values whose own times differ by less were read together.
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
    born : array of bool (n_containers,)
        Whether the window begins with a known start.
    """

    def __init__(self, rows: Rows, begin_s: FloatArray, step_s: FloatArray, cells: int, born: BoolArray) -> None:
        self._rows = rows
        self._begin_s = begin_s
        self._step_s = step_s
        self._cells = cells
        self._born = born

    def bring(self, metrics: Iterable[str]) -> dict[str, FloatArray]:
        """Levels at the cells' centres or growth per second inside the cells, by metric (n_containers, n_cells)."""
        alike: dict[tuple[Kind, str, bytes], list[str]] = {}
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
        values = np.stack([rows.values[name] for name in metrics])
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
        """Take counters at the times at which they were read; one that several rows tell counts once."""
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
        births = first[self._born[code[first]] & (offset_s[first] > 0)]
        own = np.array([CATALOGUE[name].per == "container" for name in metrics])[:, None]
        from_zero = own & (values[:, births] <= _MOST_PER_SECOND * np.maximum(offset_s[births], 1.0))
        begun = births + np.arange(births.size)
        if births.size:
            order = np.insert(np.arange(code.size), births, births)
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
