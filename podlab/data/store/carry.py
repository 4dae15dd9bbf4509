"""Rows of containers that are not complete yet, kept from one partition to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from podlab.data.store.rows import Ids

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Reach:
    """Which rows of a container somebody looks at; others need not be kept until it is complete.

    Attributes
    ----------
    head_s : float
        Those of its first seconds: since its start, or since its first row if that came later.
    tail_s : float
        Those of its last seconds.
    """

    head_s: float = np.inf
    tail_s: float = 0.0


@dataclass(frozen=True)
class Numbered:
    """Rows and the number of each one's container instance."""

    table: pa.Table
    ids: Ids

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, which: IntArray) -> Numbered:
        """Take some rows, in this order."""
        return Numbered(self.table.take(which), self.ids[which])

    def only(self, chosen: BoolArray) -> Numbered:
        """Keep some rows."""
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def times(self, column: str = "time") -> tuple[IntArray, BoolArray]:
        """Give instants in nanoseconds, and where there is one (n_rows,)."""
        values = self.table[column].cast(pa.int64())
        there = np.asarray(values.is_valid())
        return np.asarray(values.fill_null(0)), there


def join(parts: list[Numbered]) -> Numbered:
    """Put rows one behind the other; columns that one lacks are missing there."""
    if len(parts) == 1:
        return parts[0]
    table = pa.concat_tables([part.table for part in parts], promote_options="default")
    return Numbered(table, np.concatenate([part.ids for part in parts]))


def in_order(rows: Numbered) -> Numbered:
    """Sort by container and time, containers as they come; rows of one instant become one."""
    _, first, inverse = np.unique(rows.ids, return_index=True, return_inverse=True)
    time_ns, _ = rows.times()
    order = np.lexsort((time_ns, first[inverse]))
    new = np.ones(order.size, dtype=bool)
    new[1:] = (np.diff(rows.ids[order]) != 0) | (np.diff(time_ns[order]) != 0)
    return _one_each(rows, order, new)


def _one_each(rows: Numbered, order: IntArray, new: BoolArray) -> Numbered:
    """Take rows in an order, one for each that is new: of its repetitions, for each column the first value known."""
    if new.all():
        return rows.take(order)
    begins = np.flatnonzero(new)
    columns = {}
    for name in rows.table.column_names:
        known = np.asarray(rows.table[name].is_valid())[order]
        first = np.minimum.reduceat(np.where(known, np.arange(order.size), order.size), begins)
        columns[name] = rows.table[name].take(order[np.where(first < order.size, first, begins)])
    return Numbered(pa.table(columns, schema=rows.table.schema), rows.ids[order[begins]])


class Carry:
    """Keeps rows of containers that go on in a later partition, only as many of each as are looked at.

    Parameters
    ----------
    reach : Reach
        What is looked at.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._rows: Numbered | None = None
        self._new: list[Numbered] = []
        self._whose: Ids = np.empty(0, dtype=np.uint64)
        self._left_out: IntArray = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return (0 if self._rows is None else len(self._rows)) + sum(len(rows) for rows in self._new)

    def add(self, rows: Numbered) -> None:
        """Keep rows of containers that go on."""
        if len(rows):
            self._new.append(rows)

    def rows_of(self, ids: Ids) -> Numbered | None:
        """Give the rows kept of some containers at the last :meth:`settle`; None where there are none."""
        if self._rows is None:
            return None
        begin = np.searchsorted(self._rows.ids, ids, side="left")
        count = np.searchsorted(self._rows.ids, ids, side="right") - begin
        if not count.any():
            return None
        which = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
        return self._rows.take(which)

    def left_out_of(self, ids: Ids) -> IntArray:
        """Count the rows of some containers that came and were not kept (n,)."""
        at = np.searchsorted(self._whose, ids)
        known = at < self._whose.size
        known[known] = self._whose[at[known]] == ids[known]
        out = np.zeros(len(ids), dtype=np.int64)
        out[known] = self._left_out[at[known]]
        return out

    def settle(self, complete: Ids) -> None:
        """Forget containers that are complete now, and of the others the rows that nobody looks at."""
        parts = [*([self._rows] if self._rows is not None else []), *self._new]
        self._new = []
        parts = [part.only(~np.isin(part.ids, complete)) for part in parts]
        parts = [part for part in parts if len(part)]
        if not parts:
            self._rows, self._whose, self._left_out = None, self._whose[:0], self._left_out[:0]
            return
        rows = join(parts)
        time_ns, _ = rows.times()
        order = np.lexsort((time_ns, rows.ids))
        ids, time_ns = rows.ids[order], time_ns[order]
        new = np.ones(order.size, dtype=bool)
        new[1:] = (np.diff(ids) != 0) | (np.diff(time_ns) != 0)
        rows, time_ns = _one_each(rows, order, new), time_ns[new]
        kept = self._looked_at(rows, time_ns)
        whose, number = np.unique(rows.ids, return_inverse=True)
        left_out = self.left_out_of(whose) + np.bincount(number, weights=~kept, minlength=whose.size).astype(np.int64)
        self._rows = rows.only(kept)
        self._whose, self._left_out = whose, left_out

    def _looked_at(self, rows: Numbered, time_ns: IntArray) -> BoolArray:
        """Tell which rows, in order of container and time, are within reach (n_rows,)."""
        if np.isinf(self._reach.head_s):
            return np.ones(len(rows), dtype=bool)
        first = np.flatnonzero(np.diff(rows.ids, prepend=~rows.ids[:1]) != 0)
        count = np.diff(first, append=len(rows))
        began_ns, known = rows.times("started_at")
        begin_ns = np.where(
            known, np.maximum(began_ns, np.repeat(time_ns[first], count)), np.repeat(time_ns[first], count)
        )
        end_ns = np.repeat(time_ns[first + count - 1], count)
        kept = (time_ns < begin_ns + self._reach.head_s * 1e9) | (time_ns >= end_ns - self._reach.tail_s * 1e9)
        kept[first] = True  # the clock of a container whose start is not known
        return np.asarray(kept)
