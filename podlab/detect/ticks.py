"""All rows of many containers, one sample of each at a time, in the order in which a watcher would see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import Family
from podlab.features.rows import Rows

IntArray = NDArray[np.int64]


def sample(
    rows: Rows, which: IntArray
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]], dict[Family, NDArray[np.float64]]]:
    """Give the values of some rows (n,) by metric, where they are any, and by family how old counters are."""
    return (
        {name: rows.values[name][which] for name in rows.metrics},
        {name: rows.valid[name][which] for name in rows.metrics},
        {family: age_s[which] for family, age_s in rows.ages.items()},
    )


def ticks(rows: Rows) -> Iterator[IntArray]:
    """Give the numbers of the rows that are their containers' first, then second, and so on, each (n,)."""
    count = np.bincount(rows.code, minlength=len(rows.containers))
    first = np.cumsum(count) - count
    order = np.argsort(-count, kind="stable")
    sorted_count = count[order]
    for number in range(int(sorted_count[0]) if count.size else 0):
        alive = order[: np.searchsorted(-sorted_count, -number, side="left")]
        yield np.sort(first[alive] + number)
