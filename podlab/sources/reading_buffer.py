"""The last minutes of samples in memory, for a source that keeps no past."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE
from podlab.sources.kubelet_answers import MISSING, NS_PER_S, Instance, Reading
from podlab.sources.time_join import Ints, instants

log = logging.getLogger(__name__)

#: Each takes 16 bytes and 8 a column: 10,000 containers each 10 s for 16 minutes.
_MOST_ROWS: Final = 1_000_000
_NOBODY: Final = np.zeros(0, dtype=np.int64)


class _Block(NamedTuple):
    came_s: float
    code: Ints
    time_ns: Ints
    numbers: Ints


class ReadingBuffer:
    """Samples that came within the last ``window_s``; threads may share it.

    Its size is bounded by the window, and by a number of rows beyond which the oldest are dropped early.

    Parameters
    ----------
    window_s : float
        How long a sample is kept after it came; by our clock, whatever the nodes' clocks say.
    columns : tuple of str
        Of all readings; see :func:`podlab.sources.kubelet_answers.stored_columns`.
    most_rows : int
        No more samples than these.
    """

    def __init__(self, window_s: float, columns: tuple[str, ...], most_rows: int = _MOST_ROWS) -> None:
        self.window_s = window_s
        self.columns = columns
        self.most_rows = most_rows
        self._blocks: deque[_Block] = deque()
        self._codes: dict[Instance, int] = {}
        self._newest_ns: dict[int, int] = {}
        self._next = 0
        self._rows = 0
        self._dropped = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._rows

    def add(self, readings: Sequence[Reading], came_s: float) -> int:
        """Add the readings of some nodes; a sample that is not newer than its container's last one is left out.

        A kubelet measures each 10 s or so and gives the same sample until then.

        Parameters
        ----------
        readings : sequence of Reading
        came_s : float
            When they came, in seconds since 1970.

        Returns
        -------
        int
            How many samples were new.
        """
        with self._lock:
            parts = [part for reading in readings if (part := self._fresh(reading)) is not None]
            if parts:
                code, time_ns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
                self._blocks.append(_Block(came_s, code, time_ns, values))
                self._rows += len(code)
            self._forget(came_s)
            return sum(len(code) for code, _, _ in parts)

    def _fresh(self, reading: Reading) -> tuple[Ints, Ints, Ints] | None:
        code = np.empty(len(reading.instances), dtype=np.int64)
        new = np.zeros(len(reading.instances), dtype=bool)
        for row, (instance, at_ns) in enumerate(zip(reading.instances, reading.time_ns.tolist(), strict=True)):
            number = self._codes.get(instance)
            if number is None:
                number = self._codes[instance] = self._next
                self._next += 1
            code[row] = number
            # A kubelet measures no more often; the same sample may come with and without its milliseconds.
            if at_ns // NS_PER_S > self._newest_ns.get(number, MISSING) // NS_PER_S:
                self._newest_ns[number] = at_ns
                new[row] = True
        return (code[new], reading.time_ns[new], reading.numbers[new]) if new.any() else None

    def _forget(self, now_s: float) -> None:
        forgotten = False
        while self._blocks and (self._blocks[0].came_s < now_s - self.window_s or self._rows > self.most_rows):
            if self._rows > self.most_rows and not self._dropped:
                log.warning("more than %d samples in %g s: the oldest are dropped early", self.most_rows, self.window_s)
                self._dropped = True
            self._rows -= len(self._blocks.popleft().code)
            forgotten = True
        if forgotten:
            # Whoever has no sample left is gone.
            live = set(np.unique(np.concatenate([block.code for block in self._blocks] or [_NOBODY])).tolist())
            self._codes = {instance: code for instance, code in self._codes.items() if code in live}
            self._newest_ns = {code: at_ns for code, at_ns in self._newest_ns.items() if code in live}

    def select(self, since_ns: int, until_ns: int, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Give the samples with ``since_ns <= time < until_ns``, of all pods or of those with one of these names.

        Returns
        -------
        DataFrame
            A samples table that is not checked yet, without ``cluster``; columns of which nothing is known are absent.
        """
        with self._lock:
            blocks, instances = list(self._blocks), {code: each for each, code in self._codes.items()}
        parts = []
        wanted = None
        if pods is not None:
            wanted = np.array([code for code, each in instances.items() if each.pod in pods], dtype=np.int64)
        for block in blocks:
            keep = (block.time_ns >= since_ns) & (block.time_ns < until_ns)
            if wanted is not None:
                keep &= np.isin(block.code, wanted)
            if keep.any():
                parts.append((block.code[keep], block.time_ns[keep], block.numbers[keep]))
        if not parts:
            return pd.DataFrame({"time": pd.Series(dtype="datetime64[ns, UTC]")})
        code, time_ns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
        return _to_frame([instances[number] for number in np.unique(code)], np.unique(code, return_inverse=True)[1],
                         time_ns, values, self.columns)  # fmt: skip


def _to_frame(
    instances: Sequence[Instance], row: Ints, time_ns: Ints, values: Ints, columns: Sequence[str]
) -> pd.DataFrame:
    def text(name: str) -> pd.Series:
        given = pd.Series([getattr(each, name) or None for each in instances], dtype="str")
        return given.take(row).reset_index(drop=True)

    started_ns = np.array([each.started_ns for each in instances], dtype=np.int64)[row]
    names = ("node", "namespace", "pod", "pod_uid", "container")
    table = {"time": instants(time_ns), **{name: text(name) for name in names}}
    table["started_at"] = instants(started_ns).where(started_ns != MISSING)
    for number, name in enumerate(columns):
        known = values[:, number] != MISSING
        if known.any():
            if name in AGES.values():
                age_s = (time_ns - values[:, number]) / NS_PER_S
                table[name] = pd.Series(np.where(known, age_s.round(3), np.nan))
            elif CATALOGUE[name].kind == "counter":
                table[name] = pd.Series(pd.arrays.IntegerArray(np.ascontiguousarray(values[:, number]), ~known))
            else:
                table[name] = pd.Series(np.where(known, values[:, number].astype(np.float64), np.nan))
    return pd.DataFrame(table)
