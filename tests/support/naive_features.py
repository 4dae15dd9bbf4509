"""Features the slow way, one series at a time in plain Python: what the fast way is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence


def statistics(x: Sequence[float]) -> dict[str, float]:
    """What is told of one series, by name."""
    cells = len(x)
    ordered = sorted(x)
    quarter = max(1, cells // 4)
    early, late = math.fsum(x[:quarter]) / quarter, math.fsum(x[-quarter:]) / quarter
    unsettled = [cell + 1 for cell, value in enumerate(x) if abs(value - x[-1]) > 0.1 * (ordered[-1] - ordered[0])]
    when = share(math.fsum(t * value for t, value in enumerate(x)), math.fsum(x)) / (cells - 1)
    return {
        "mean": math.log1p(math.fsum(x) / cells),
        "min": math.log1p(ordered[0]),
        "q25": math.log1p(ordered[cells // 4]),
        "median": math.log1p(ordered[cells // 2]),
        "q75": math.log1p(ordered[3 * cells // 4]),
        "max": math.log1p(ordered[-1]),
        "early": math.log1p(early),
        "late": math.log1p(late),
        "growth": math.log1p(late) - math.log1p(early),
        "early_share": share(early, early + late),
        "centre": when if ordered[-1] else 0.5,
        "settling": max(unsettled, default=0) / cells,
    }


def share(part: float, whole: float) -> float:
    """Part of a whole; 0 of nothing."""
    return part / whole if whole > 0 else 0.0
