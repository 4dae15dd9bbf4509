"""The samples of the containers that are looked at: so many rows of each, so many of all, however long it takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.metrics import CATALOGUE, FEATURE_METRICS

IntArray = NDArray[np.int64]

#: Rows kept of one container: two minutes of one each second, twenty of one each ten seconds.
MOST_ROWS = 120
#: Rows kept of all containers, at 130 bytes each.
ROOM = 120_000
#: Of very many containers at once, each keeps at least these.
_LEAST_ROWS = 8


class History:
    """A bounded store of samples, by the number of their case.

    A container that has more rows than it may keep loses some all over its life, so that the rest still tells of all
    of it; counters lose nothing by that, since growth is taken between neighbours.

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
        self._rows = _shape(pd.DataFrame({"number": [], "time": []}))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, samples: pd.DataFrame) -> None:
        """Put samples in.

        Parameters
        ----------
        samples : DataFrame
            Columns of the samples table, and ``number``. A row of the same number and time as one that is there takes
            its place: it may hold more, where one measurement came later than another.
        """
        rows = pd.concat([self._rows, _shape(samples)], ignore_index=True)
        number = rows["number"].to_numpy(np.int64)
        time = np.asarray(rows["time"].astype("int64"), dtype=np.int64)
        order = np.lexsort((time, number))  # stable: of equal ones the last to come stands last
        number, time = number[order], time[order]
        last = np.ones(len(order), dtype=bool)
        last[:-1] = (np.diff(number) != 0) | (np.diff(time) != 0)
        kept = order[last]
        self._rows = rows.take(kept[self._thin(number[last], time[last])]).reset_index(drop=True)

    def _thin(self, number: IntArray, time_ns: IntArray) -> NDArray[np.bool_]:
        """Which rows stay, of rows sorted by number and time (n_rows,).

        Of a container with too many, one in each span of time stays, and the newest. The spans' lengths are powers
        of two, so that those of a longer life are made of whole ones of before, and gaps stay even.
        """
        first = np.flatnonzero(np.diff(number, prepend=-1))
        count = np.diff(first, append=number.size)
        most = min(self.most_rows, max(_LEAST_ROWS, self.room // max(1, first.size)))
        since_ns = time_ns - np.repeat(time_ns[first], count)
        newest = first + count - 1
        length_ns = 2 ** np.ceil(np.log2(np.maximum(since_ns[newest] / (most - 1), 1)))
        span = np.where(np.repeat(count > most, count), since_ns // np.repeat(length_ns, count), since_ns)
        stays = np.diff(span, prepend=-1) != 0
        stays[first] = stays[newest] = True
        return np.asarray(stays)

    def keep(self, numbers: IntArray) -> None:
        """Forget all rows but those of these numbers."""
        here = np.isin(self._rows["number"].to_numpy(), numbers)
        if not here.all():
            self._rows = self._rows[here].reset_index(drop=True)

    def of(self, numbers: IntArray) -> pd.DataFrame:
        """Give the rows of some numbers, sorted by number and time, with ``number`` in front."""
        return self._rows[np.isin(self._rows["number"].to_numpy(), numbers)].reset_index(drop=True)


def _shape(samples: pd.DataFrame) -> pd.DataFrame:
    """Bring samples to the same columns and types, whatever their source had."""
    columns: dict[str, pd.Series] = {
        "number": samples["number"].astype("int64"),
        "time": samples["time"].astype("datetime64[ns, UTC]"),
    }
    for name in FEATURE_METRICS:
        given = samples[name] if name in samples else pd.Series(pd.NA, index=samples.index, dtype="Float64")
        columns[name] = given.astype("Int64") if CATALOGUE[name].kind == "counter" else given.astype("float64")
    return pd.DataFrame(columns)
