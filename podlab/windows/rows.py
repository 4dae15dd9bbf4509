"""The samples table as plain arrays, sorted by container and time, without readings that are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.metrics import CATALOGUE, FEATURE_METRICS, IDENTITY, LABELS
from podlab.samples import INSTANCE_KEY

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Columns that cannot all be 0 in a running container; a row where they are was written by an agent without a value.
_CPU_AND_MEMORY = tuple(name for name in FEATURE_METRICS if CATALOGUE[name].family in ("cpu", "memory"))
#: Of these, the ones that a running container never has at 0 for long.
_NEVER_ZERO = ("cpu_usage_core_nanoseconds", "memory_usage_bytes", "memory_working_set_bytes")


@dataclass(frozen=True)
class Rows:
    """The samples table as arrays, sorted by container and time.

    Attributes
    ----------
    containers : DataFrame
        One line per container instance (n_containers): its identity and labels.
    code : array of int64 (n_rows,)
        The line in ``containers`` that a row belongs to; does not fall.
    offset_s : array of float64 (n_rows,)
        Seconds since the container's start, or since its first row where the start is missing.
    values : dict of str to array (n_rows,)
        int64 for counters, float64 for gauges, by metric.
    valid : dict of str to array of bool (n_rows,)
        Where ``values`` holds a value.
    """

    containers: pd.DataFrame
    code: IntArray
    offset_s: FloatArray
    values: dict[str, NDArray[np.int64] | FloatArray]
    valid: dict[str, BoolArray]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric columns that the samples have."""
        return tuple(self.valid)

    def take(self, keep: BoolArray) -> Rows:
        """Keep only some rows; containers stay, also those left without rows."""
        return Rows(
            self.containers,
            self.code[keep],
            self.offset_s[keep],
            {name: values[keep] for name, values in self.values.items()},
            {name: valid[keep] for name, valid in self.valid.items()},
        )

    def only(self, chosen: BoolArray) -> Rows:
        """Keep only some containers (n_containers,) and their rows."""
        rows = self.take(chosen[self.code])
        number = np.cumsum(chosen) - 1
        containers = self.containers[chosen].reset_index(drop=True)
        return Rows(containers, number[rows.code], rows.offset_s, rows.values, rows.valid)


def read_rows(samples: pd.DataFrame) -> Rows:
    """Turn a checked samples table into arrays.

    Parameters
    ----------
    samples : DataFrame
        As :func:`podlab.samples.check_samples` returns it.

    Returns
    -------
    Rows
        Rows that repeat a container and instant are left out. CPU and memory values are missing in rows where all of
        them are 0: agents write that when they have no value yet.
    """
    code = (
        samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False, observed=True).ngroup().to_numpy(dtype=np.int64)
    )
    time_ns = samples["time"].to_numpy("datetime64[ns]").astype(np.int64)
    if np.any((np.diff(code) < 0) | ((np.diff(code) == 0) & (np.diff(time_ns) <= 0))):
        order = np.lexsort((time_ns, code))
        new = np.ones(order.size, dtype=bool)
        new[1:] = (np.diff(code[order]) != 0) | (np.diff(time_ns[order]) != 0)
        order = order[new]
        samples, code, time_ns = samples.iloc[order], code[order], time_ns[order]

    first_row = np.flatnonzero(np.diff(code, prepend=-1))
    kept = [name for name in (*IDENTITY, *LABELS) if name in samples and name != "time"]
    containers = samples[kept].iloc[first_row].reset_index(drop=True)
    started = containers["started_at"]
    origin_ns = np.where(started.notna(), started.to_numpy("datetime64[ns]").astype(np.int64), time_ns[first_row])
    offset_s = (time_ns - origin_ns[code]) / 1e9

    values: dict[str, NDArray[np.int64] | FloatArray] = {}
    valid: dict[str, BoolArray] = {}
    for name in FEATURE_METRICS:
        if name in samples:
            valid[name] = samples[name].notna().to_numpy(bool)
            counter = CATALOGUE[name].kind == "counter"
            values[name] = (
                samples[name].to_numpy(np.int64, na_value=0) if counter else samples[name].to_numpy(np.float64)
            )
    _drop_empty_readings(values, valid, first_row)
    return Rows(containers, code.astype(np.int64, copy=False), offset_s, values, valid)


def _drop_empty_readings(
    values: dict[str, NDArray[np.int64] | FloatArray], valid: dict[str, BoolArray], first_row: IntArray
) -> None:
    """Mark CPU and memory missing where an agent wrote 0 for all of them."""
    present = [name for name in _CPU_AND_MEMORY if name in values]
    if not present:
        return
    size = values[present[0]].size
    said = np.zeros(size, dtype=bool)
    telling = np.zeros(size, dtype=bool)
    for name in present:
        said |= valid[name] & (values[name] != 0)
        if name in _NEVER_ZERO:
            telling |= valid[name]
    # A lone gauge of CPU may well be 0 later in life; in the first row it is the agent's missing value.
    telling[first_row] = True
    empty = telling & ~said
    if empty.any():
        for name in present:
            valid[name] = valid[name] & ~empty
