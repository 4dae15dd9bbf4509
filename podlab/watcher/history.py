"""The samples of the containers that are looked at: so many rows of each, so many of all, however long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import AGES, CATALOGUE, FEATURE_METRICS

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Rows kept of one container: two minutes of one each second, twenty of one each ten seconds.
MOST_ROWS = 120
#: Rows kept of all containers, at 180 bytes each.
ROOM = 120_000
#: Of very many containers at once, each keeps at least these.
_LEAST_ROWS = 8
_COUNTERS: Final = [name for name in FEATURE_METRICS if CATALOGUE[name].kind == "counter"]
#: The network's counters are read apart from the rest.
_AGE: Final = AGES["network"]
_LEVELS: Final = [*(name for name in FEATURE_METRICS if CATALOGUE[name].kind != "counter"), _AGE]


@dataclass(frozen=True)
class _Rows:
    """Rows side by side; those of one container are in order of time.

    Attributes
    ----------
    time_ns : array of int64 (n_rows,)
    levels : array of float64 (n_rows, n_levels)
        NaN where missing.
    counters : array of int64 (n_rows, n_counters)
        Whole numbers, for they may be larger than a float holds.
    missing : array of bool (n_rows, n_counters)
        Where a counter is.
    """

    time_ns: IntArray
    levels: NDArray[np.float64]
    counters: IntArray
    missing: BoolArray

    def take(self, rows: IntArray | BoolArray | slice) -> _Rows:
        return _Rows(self.time_ns[rows], self.levels[rows], self.counters[rows], self.missing[rows])


class History:
    """A bounded store of samples, by the number of their case.

    A container that has more rows than it may keep loses some all over its life, so that the rest still tells of all
    of it; counters lose nothing by that, since growth is taken between neighbours. Each container's rows are kept by
    themselves, so that what comes of some costs nothing for the others.

    Parameters
    ----------
    most_rows : int
        Rows kept of one container.
    room : int
        Rows kept of all; when there are very many containers, each keeps fewer, down to eight.
    """

    def __init__(self, most_rows: int = MOST_ROWS, room: int = ROOM) -> None:
        self.most_rows = most_rows
        self.room = room
        self._of: dict[int, _Rows] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, samples: pd.DataFrame) -> None:
        """Put samples in.

        Parameters
        ----------
        samples : DataFrame
            Columns of the samples table, and ``number``. A row of the same number and time as one that is there takes
            its place: it may hold more, where one measurement came later than another.
        """
        number = samples["number"].to_numpy(np.int64)
        rows = _read(samples)
        order = np.argsort(number, kind="stable")
        numbers, begins = np.unique(number[order], return_index=True)
        self._of |= {each: _EMPTY for each in numbers.tolist() if each not in self._of}
        for each, own in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            self._put(each, _in_time(_join([self._of[each], rows.take(own)])))
        if self._count > self.room:
            # Those of which nothing came must make room as well.
            for each in self._of:
                self._put(each, self._of[each])

    def _put(self, number: int, rows: _Rows) -> None:
        most = min(self.most_rows, max(_LEAST_ROWS, self.room // len(self._of)))
        if rows.time_ns.size > most:
            rows = rows.take(_thin(rows.time_ns, most))
        self._count += rows.time_ns.size - self._of[number].time_ns.size
        self._of[number] = rows

    def keep(self, numbers: IntArray) -> None:
        """Forget all rows but those of these numbers."""
        for gone in self._of.keys() - set(numbers.tolist()):
            self._count -= self._of.pop(gone).time_ns.size

    def of(self, numbers: IntArray) -> pd.DataFrame:
        """Give the rows of some numbers, sorted by number and time, with ``number`` in front."""
        here = [number for number in sorted(set(numbers.tolist())) if number in self._of]
        rows = _join([_EMPTY, *(self._of[number] for number in here)])
        columns: dict[str, object] = {
            "number": np.repeat(np.array(here, dtype=np.int64), [self._of[number].time_ns.size for number in here]),
            "time": pd.DatetimeIndex(rows.time_ns.view("datetime64[ns]")).tz_localize("UTC"),
        }
        for name in (*FEATURE_METRICS, _AGE):
            if name in _COUNTERS:
                place = _COUNTERS.index(name)
                columns[name] = pd.arrays.IntegerArray(rows.counters[:, place].copy(), rows.missing[:, place].copy())
            else:
                columns[name] = rows.levels[:, _LEVELS.index(name)]
        return pd.DataFrame(columns)


def _read(samples: pd.DataFrame) -> _Rows:
    """Bring samples to the same columns and types, whatever their source had."""
    count = len(samples)
    levels = np.full((count, len(_LEVELS)), np.nan)
    counters = np.zeros((count, len(_COUNTERS)), dtype=np.int64)
    missing = np.ones((count, len(_COUNTERS)), dtype=bool)
    for place, name in enumerate(_LEVELS):
        if name in samples:
            levels[:, place] = samples[name].to_numpy(np.float64, na_value=np.nan)
    for place, name in enumerate(_COUNTERS):
        if name in samples:
            whole = samples[name].astype("Int64")
            counters[:, place] = whole.to_numpy(np.int64, na_value=0)
            missing[:, place] = whole.isna()
    time_ns = np.asarray(samples["time"].astype("datetime64[ns, UTC]").astype("int64"), dtype=np.int64)
    return _Rows(time_ns, levels, counters, missing)


_EMPTY: Final = _read(pd.DataFrame({"time": pd.DatetimeIndex([], tz="UTC")}))


def _join(parts: list[_Rows]) -> _Rows:
    return _Rows(
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.levels for part in parts]),
        np.concatenate([part.counters for part in parts]),
        np.concatenate([part.missing for part in parts]),
    )


def _in_time(rows: _Rows) -> _Rows:
    """Put one container's rows in order; of those of one instant the last to come stays."""
    order = np.argsort(rows.time_ns, kind="stable")
    time_ns = rows.time_ns[order]
    last = np.ones(order.size, dtype=bool)
    last[:-1] = time_ns[1:] != time_ns[:-1]
    return rows.take(order[last])


def _thin(time_ns: IntArray, most: int) -> BoolArray:
    """Which rows of a container stay, of rows in order of time (n_rows,), where there are more than it may keep.

    One in each span of time stays, and the newest. The spans' lengths are powers of two, so that those of a longer
    life are made of whole ones of before, and gaps stay even.
    """
    since_ns = time_ns - time_ns[0]
    length_ns = 2 ** int(np.ceil(np.log2(max(since_ns[-1] / (most - 1), 1))))
    stays: BoolArray = np.diff(since_ns // length_ns, prepend=-1) != 0
    stays[-1] = True
    return stays
