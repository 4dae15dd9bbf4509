"""Rows that repeat another row: what two observers told of the same sample, a moment apart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE

log = logging.getLogger(__name__)

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

#: A row may repeat the one before if it follows it within this share of the time to the next sample.
_SHARE: Final = 0.25
#: Two observers make half of a container's rows repeats; so many, and this share, are taken for more than chance.
_FEWEST: Final = 2
_LEAST_SHARE: Final = 0.2


def drop_repeats(ordered: pd.DataFrame, key: Sequence[str], *, where: str) -> pd.DataFrame:
    """Count rows once that repeat all counters of the one before within a fraction of the interval.

    Two agents, or two replicas of a scraper, that ask the same kubelet give each of its samples twice, a moment apart:
    the counters stand still for that moment and then jump, again and again. A container that is idle, a pause, or a
    single late sample looks otherwise.

    Parameters
    ----------
    ordered : DataFrame
        Samples, sorted by container and time.
    key : sequence of str
        Columns that tell one container from another.
    where : str
        The file or source it came from, for the log.

    Returns
    -------
    DataFrame
        Without the repeats; the same frame if there are none. Where the row that stays lacks a value, it has the
        repeat's.
    """
    repeats = _repeats(ordered, key)
    if not len(repeats):
        return ordered
    container = np.asarray(ordered.groupby(list(key), dropna=False, sort=False).ngroup(), dtype=np.int64)
    many = _have_many(container, repeats)
    found = 0
    # Of more than two observers, each pass finds those beside a row that is not close.
    while len(repeats := repeats[many[container[repeats]]]):
        found += len(repeats)
        ordered, container = _without(ordered, repeats), np.delete(container, repeats)
        repeats = _repeats(ordered, key)
    if found:
        log.warning(
            "%s: %d rows repeat all counters of the row before, a moment later, and count once; "
            "two agents may tell of the same containers", where, found,
        )  # fmt: skip
    return ordered


def _have_many(container: Ints, repeats: Ints) -> Flags:
    """Tell which containers have many: a machine that stalls lets a sample come late at times, and once."""
    rows = np.bincount(container)
    found = np.bincount(container[repeats], minlength=len(rows))
    return (found >= _FEWEST) & (found >= _LEAST_SHARE * rows)


def _repeats(ordered: pd.DataFrame, key: Sequence[str]) -> Ints:
    """Give the places of the rows that repeat the one before; no two of them side by side."""
    time_ns = ordered["time"].astype("int64").to_numpy()
    step = np.concatenate([[0], np.diff(time_ns), [0]]).astype(np.float64)
    here = np.arange(1, len(time_ns))
    close_to_next = step[here] < _SHARE * step[here + 1]
    close_to_last = step[here] < _SHARE * step[here - 1]
    # At the border of two containers a step is any number: only whose rows look close are looked at as a whole.
    here = here[(step[here] > 0) & (close_to_next | close_to_last)]
    if not len(here):
        return here
    counters = [name for name, metric in CATALOGUE.items() if metric.kind == "counter" and name in ordered]
    same, changed, known = _compare_with_row_before(ordered, key, counters, here)
    here = here[same & known & ~changed]
    close_to_next = (here + 1 < len(time_ns)) & (step[here] < _SHARE * step[here + 1])
    close_to_last = (here > 1) & (step[here] < _SHARE * step[here - 1])
    jump = np.zeros(len(here), dtype=bool)
    for close, beside in ((close_to_next, 1), (close_to_last, -1)):
        same, changed, _ = _compare_with_row_before(ordered, key, counters, here[close] + beside)
        jump[close] |= same & changed
    here = here[jump]
    # The second of two side by side is looked at again, when the first is gone.
    return here[np.diff(here, prepend=-1) > 1]


def _compare_with_row_before(
    ordered: pd.DataFrame, key: Sequence[str], counters: Sequence[str], rows: Ints
) -> tuple[Flags, Flags, Flags]:
    """Tell which rows are of the same container, which have another value of a counter, and which have one in both."""
    same, changed, known = np.ones(len(rows), dtype=bool), *np.zeros((2, len(rows)), dtype=bool)
    for name in key:
        here, before = (ordered[name].iloc[at].reset_index(drop=True) for at in (rows, rows - 1))
        same &= ((here == before).fillna(False).astype(bool) | (here.isna() & before.isna())).to_numpy()
    for name in counters:
        here, before = (ordered[name].array.take(at) for at in (rows, rows - 1))
        both = ~(here.isna() | before.isna())
        changed |= np.asarray((here != before).to_numpy(dtype=bool, na_value=False)) & both
        known |= both
    return same, changed, known


def _without(ordered: pd.DataFrame, repeats: Ints) -> pd.DataFrame:
    out = ordered.copy()
    for name in (name for name in (*CATALOGUE, *AGES.values()) if name in out):
        column = out.columns.tolist().index(name)
        lacking = repeats[out[name].iloc[repeats - 1].isna().to_numpy()]
        if len(lacking):
            out.iloc[lacking - 1, column] = ordered[name].iloc[lacking].array
    kept = np.ones(len(out), dtype=bool)
    kept[repeats] = False
    return out[kept].reset_index(drop=True)
