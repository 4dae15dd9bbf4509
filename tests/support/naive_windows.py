"""Windows the slow way, one container and one cell at a time: what the fast way is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

Sample = tuple[float, float | None]


def cells_of(horizon_s: float) -> int:
    return min(60, max(10, round(horizon_s)))


def level(samples: Sequence[Sample], horizon_s: float) -> list[float]:
    """A gauge at the cells' centres."""
    known = [(t, v) for t, v in samples if v is not None and 0 <= t < horizon_s]
    cells = cells_of(horizon_s)
    return [_at((cell + 0.5) * horizon_s / cells, known) for cell in range(cells)]


def _at(time_s: float, known: Sequence[tuple[float, float]]) -> float:
    if not known:
        return math.nan
    if time_s < known[0][0]:
        return known[0][1]
    for (t0, v0), (t1, v1) in pairwise(known):
        if t0 <= time_s < t1:
            return v0 + (v1 - v0) * (time_s - t0) / (t1 - t0)
    return known[-1][1]


def rate(samples: Sequence[tuple[float, int | None]], horizon_s: float, *, from_zero: bool) -> list[float]:
    """A counter's growth per second inside the cells."""
    known = [(t, v) for t, v in samples if v is not None and 0 <= t < horizon_s]
    if from_zero and known and known[0][0] > 0 and known[0][1] <= 1e12 * max(known[0][0], 1.0):
        known = [(0.0, 0), *known]
    # Python's integers have no limit, so differences are exact here by nature.
    steps = [(t0, t1, (v1 - v0) / (t1 - t0)) for (t0, v0), (t1, v1) in pairwise(known) if v1 >= v0]
    cells = cells_of(horizon_s)
    width_s = horizon_s / cells
    rates: list[float | None] = []
    for cell in range(cells):
        overlaps = [
            (min(t1, (cell + 1) * width_s) - max(t0, cell * width_s), per_second) for t0, t1, per_second in steps
        ]
        time_s = sum(overlap for overlap, _ in overlaps if overlap > 0)
        grown = sum(overlap * per_second for overlap, per_second in overlaps if overlap > 0)
        rates.append(grown / time_s if time_s > 1e-6 else None)
    return _hold(rates)


def _hold(rates: Sequence[float | None]) -> list[float]:
    first = next((value for value in rates if value is not None), math.nan)
    held = []
    for value in rates:
        first = first if value is None else value
        held.append(first)
    return held
