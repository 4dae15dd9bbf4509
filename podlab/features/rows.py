"""The samples table as plain arrays, sorted by container and time, without readings that are none.

Also the observation spans: when each container was observed first and last, how often, and whether from its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from podlab.arrays import BoolArray, FloatArray, IntArray
from podlab.data.catalogue import (
    AGES,
    CATALOGUE,
    FEATURE_METRICS,
    IDENTITY,
    LABELS,
    MEASURED_METRICS,
    ORIGINAL_METRICS,
    TIMES,
    Family,
)
from podlab.data.samples import INSTANCE_KEY

#: Columns that cannot all be 0 in a running container; a row where they are was written by an agent without a value.
_CPU_AND_MEMORY = tuple(name for name in ORIGINAL_METRICS if CATALOGUE[name].family in ("cpu", "memory"))
#: Of these, the ones that a running container never has at 0 for long.
_NEVER_ZERO = ("cpu_usage_core_nanoseconds", "memory_usage_bytes", "memory_working_set_bytes")


@dataclass(frozen=True, repr=False)
class Rows:
    """The samples table as arrays, sorted by container and time."""

    #: One line per container instance (n_containers): its identity and labels.
    containers: pd.DataFrame
    #: The line in ``containers`` that a row belongs to; does not fall (n_rows,).
    code: IntArray
    #: Seconds since the container's start, or since its first row where the start is missing (n_rows,).
    offset_s: FloatArray
    #: int64 for counters, float64 for gauges, by metric (n_rows,).
    values: dict[str, NDArray[np.int64] | FloatArray]
    valid: dict[str, BoolArray]  # where ``values`` holds a value (n_rows,)
    #: By family of metrics, how many seconds before its row a counter was read, where samples have it; 0 where a row
    #: does not (n_rows,).
    ages: dict[Family, FloatArray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Rows({len(self.code):,} rows of {len(self.containers):,} containers, {len(self.valid)} metrics)"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric columns that the samples have."""
        return tuple(self.valid)

    def take(self, keep: BoolArray) -> Rows:
        """Keep only some rows; containers stay, also those left without rows."""
        if keep.all():
            return self
        here = np.flatnonzero(keep)
        return Rows(
            self.containers,
            self.code[here],
            self.offset_s[here],
            {name: values[here] for name, values in self.values.items()},
            {name: valid[here] for name, valid in self.valid.items()},
            {family: age_s[here] for family, age_s in self.ages.items()},
        )

    def only(self, chosen: BoolArray) -> Rows:
        """Keep only some containers (n_containers,) and their rows."""
        if chosen.all():
            return self
        rows = self.take(chosen[self.code])
        number = np.cumsum(chosen) - 1
        containers = self.containers[chosen].reset_index(drop=True)
        return Rows(containers, number[rows.code], rows.offset_s, rows.values, rows.valid, rows.ages)

    def renumber(self, containers: pd.DataFrame, place: IntArray) -> Rows:
        """Give the rows to other containers, by the place of each present one among them; -1 leaves its rows out."""
        code = place[self.code]
        order = np.argsort(code, kind="stable")[np.count_nonzero(code < 0) :]
        return Rows(
            containers,
            code[order],
            self.offset_s[order],
            {name: values[order] for name, values in self.values.items()},
            {name: valid[order] for name, valid in self.valid.items()},
            {family: age_s[order] for family, age_s in self.ages.items()},
        )

    def columns_shown(self, columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Name those of the columns of which each container shows a value (n_containers,)."""
        there = [name for name in columns if name in self.valid]
        shown = np.zeros((len(self.containers), len(there)), dtype=bool)
        begins = np.flatnonzero(np.diff(self.code, prepend=-1))
        for number, name in enumerate(there):
            if begins.size:
                shown[self.code[begins], number] = np.logical_or.reduceat(self.valid[name], begins)
        # Mostly all show the same ones, and share one tuple.
        known: dict[bytes, tuple[str, ...]] = {}
        for own in shown:
            if (key := own.tobytes()) not in known:
                known[key] = tuple(compress(there, own.tolist()))
        return [known[own.tobytes()] for own in shown]

    def blocks(self, least: int, room: int) -> Iterator[tuple[slice, slice]]:
        """Divide the containers into runs whose rows, counted ``least`` at least each, are about ``room`` together.

        Yields
        ------
        tuple of (slice, slice)
            Of the containers, and of their rows. One container with more rows than that is a run of its own.
        """
        number = np.bincount(self.code, minlength=len(self.containers))
        end = np.cumsum(number)
        block = np.cumsum(np.maximum(number, least)) // room
        for first, last in pairwise((*np.flatnonzero(np.diff(block, prepend=-1)).tolist(), number.size)):
            yield slice(first, last), slice(int(end[first] - number[first]), int(end[last - 1]))

    def part(self, whose: slice, which: slice) -> Rows:
        """Look at some containers and their rows, as :meth:`blocks` gives them, without a copy."""
        if whose == slice(0, len(self.containers)):
            return self
        return Rows(
            self.containers.iloc[whose],
            self.code[which] - whose.start,
            self.offset_s[which],
            {name: values[which] for name, values in self.values.items()},
            {name: valid[which] for name, valid in self.valid.items()},
            {family: age_s[which] for family, age_s in self.ages.items()},
        )


def read_rows(samples: pd.DataFrame, *, metrics: Sequence[str] = FEATURE_METRICS) -> Rows:
    """Turn a checked samples table into arrays.

    Parameters
    ----------
    samples : DataFrame
        As :func:`podlab.data.samples.check_samples` returns it.
    metrics : sequence of str
        The metric columns to take, those of them that are there.

    Returns
    -------
    Rows
        Rows that repeat a container and instant are left out. CPU and memory values are missing in rows where all of
        them are 0: agents write that when they have no value yet.
    """
    used = [name for name in (*IDENTITY, *LABELS, *metrics, *AGES.values()) if name in samples]
    columns = {name: samples[name].array for name in used}
    code, time_ns = _number_instances(samples, columns), _nanoseconds(columns["time"])
    code_step, time_step = np.diff(code), np.diff(time_ns)
    if np.any((code_step < 0) | ((code_step == 0) & (time_step <= 0))):
        order = np.lexsort((time_ns, code))
        new = np.ones(order.size, dtype=bool)
        new[1:] = (np.diff(code[order]) != 0) | (np.diff(time_ns[order]) != 0)
        order = order[new]
        code, time_ns = code[order], time_ns[order]
        columns = {name: values.take(order) for name, values in columns.items()}

    first_row = np.flatnonzero(np.diff(code, prepend=-1))
    whose = [name for name in (*IDENTITY, *LABELS) if name in columns and name != "time"]
    # The first row of a lone container is a slice, which costs a fraction of what taking rows does.
    firsts = {name: columns[name][:1] if first_row.size == 1 else columns[name].take(first_row) for name in whose}
    containers, started = pd.DataFrame(firsts, copy=False), firsts["started_at"]
    origin_ns = np.where(started.isna(), time_ns[first_row], _nanoseconds(started))
    offset_s = (time_ns - origin_ns[code]) / 1e9

    values, valid = _read_values(columns, first_row, metrics)
    return Rows(containers, code, offset_s, values, valid, _read_ages(columns))


def metrics_to_read(columns: Sequence[str] | None) -> tuple[str, ...]:
    """Name the metrics that :func:`read_rows` must read where these are used: they, and all that models use."""
    return tuple(name for name in MEASURED_METRICS if name in FEATURE_METRICS or name in (columns or ()))


def _read_ages(columns: Mapping[str, ExtensionArray]) -> dict[Family, FloatArray]:
    """Read how old counters are, as :class:`Rows` has it; levels are held until the next one in any case."""
    families = {CATALOGUE[name].family for name in columns if name in CATALOGUE and CATALOGUE[name].kind == "counter"}
    known = {family: name for family, name in AGES.items() if family in families and name in columns}
    return {family: np.nan_to_num(np.asarray(columns[name], dtype=np.float64)) for family, name in known.items()}


def _read_values(
    columns: Mapping[str, ExtensionArray], first_row: IntArray, metrics: Sequence[str]
) -> tuple[dict[str, NDArray[np.int64] | FloatArray], dict[str, BoolArray]]:
    """Turn metric columns into arrays: values, and where they are any, as :class:`Rows` has them."""
    values: dict[str, NDArray[np.int64] | FloatArray] = {}
    valid: dict[str, BoolArray] = {}
    for name in metrics:
        if name in columns:
            column = columns[name]
            if CATALOGUE[name].kind == "counter":
                values[name] = column.to_numpy(np.int64, na_value=0)
                valid[name] = ~np.asarray(column.isna())
            else:
                values[name] = np.asarray(column, dtype=np.float64)
                valid[name] = ~np.isnan(values[name])
    drop_empty_readings(values, valid, first_row)
    return values, valid


def _number_instances(samples: pd.DataFrame, columns: Mapping[str, ExtensionArray]) -> IntArray:
    """Give each row the number of its container instance, in order of appearance (n_rows,).

    Rows of one container mostly stand together. So neighbours are compared, which is cheap, and only the first rows of
    runs are grouped.
    """
    new = np.ones(len(samples), dtype=bool)
    new[1:] = False
    for name in INSTANCE_KEY:
        differs = np.diff(_nanoseconds(columns[name])) != 0 if name in TIMES else _differs(columns[name])
        new[1:] |= differs
    first = np.flatnonzero(new)
    if first.size == 1:
        return np.zeros(len(samples), dtype=np.int64)
    heads = samples[list(INSTANCE_KEY)].iloc[first]
    code = heads.groupby(list(INSTANCE_KEY), dropna=False, sort=False, observed=True).ngroup().to_numpy(np.int64)
    return np.repeat(code, np.diff(first, append=len(samples)))


def _nanoseconds(times: ExtensionArray) -> IntArray:
    """Instants as nanoseconds since 1970 (n,)."""
    return np.asarray(times.to_numpy("datetime64[ns]").astype(np.int64))


def _differs(column: ExtensionArray) -> BoolArray:
    """Whether each text but the first is another than the one before it; missing ones are equal (n_rows - 1,)."""
    texts = pa.array(column)
    if texts[1:].equals(texts[:-1]):  # one container, or a column without a value: no need to compare each
        return np.zeros(max(len(texts) - 1, 0), dtype=bool)
    differs = pc.not_equal(texts[1:], texts[:-1])
    if texts.null_count:  # a comparison with a missing text is itself missing
        missing = texts.is_null()
        differs = pc.coalesce(differs, pc.not_equal(missing[1:], missing[:-1]))
    return np.asarray(differs, dtype=bool)


def levels_or_rates(rows: Rows, metric: str) -> FloatArray:
    """Give a metric's levels, or a counter's rate a second since the sample before (n_rows,); NaN where none is."""
    found = np.full(len(rows.code), np.nan)
    here = np.flatnonzero(rows.valid[metric])
    values = rows.values[metric][here]  # noqa: PD011
    if CATALOGUE[metric].kind != "counter":
        found[here] = values
        return found
    step, step_s = np.diff(values), np.diff(rows.offset_s[here])
    grew = (np.diff(rows.code[here]) == 0) & (step >= 0) & (step_s > 0)
    found[here[1:][grew]] = step[grew] / step_s[grew]
    return found


def drop_empty_readings(
    values: dict[str, NDArray[np.int64] | FloatArray], valid: dict[str, BoolArray], first_row: IntArray
) -> None:
    """Mark CPU and memory missing where an agent wrote 0 for all of them."""
    present = [name for name in _CPU_AND_MEMORY if name in values]
    if not present:
        return
    size = values[present[0]].size
    nonzero = np.zeros(size, dtype=bool)
    certain = np.zeros(size, dtype=bool)
    for name in present:
        nonzero |= valid[name] & (values[name] != 0)
        if name in _NEVER_ZERO:
            certain |= valid[name]
    # A lone gauge of CPU may well be 0 later; in the first row it is the agent's missing value.
    certain[first_row] = True
    empty = certain & ~nonzero
    if empty.any():
        for name in present:
            valid[name] = valid[name] & ~empty


#: A container was observed from its start if its first row came this soon, or within one and a half sampling intervals.
MAX_START_DELAY_S = 10.0


@dataclass(frozen=True)
class ObservationSpans:
    """When each container was seen."""

    rows: IntArray  # how many samples there are of it (n_containers,)
    #: When the first and last were taken, in seconds since its start; NaN without rows (n_containers,).
    first_s: FloatArray
    last_s: FloatArray

    @cached_property
    def interval_s(self) -> FloatArray:
        """Mean time between rows; 0 with fewer than two (n_containers,)."""
        return np.nan_to_num((self.last_s - self.first_s) / np.maximum(self.rows - 1, 1))

    @property
    def typical_interval_s(self) -> float:
        """The median container's time between rows; 0 where no container has two."""
        interval_s = self.interval_s
        several = interval_s[interval_s > 0]
        return float(np.median(several)) if several.size else 0.0

    @cached_property
    def start_observed(self) -> BoolArray:
        """Whether the start was seen (n_containers,)."""
        return np.asarray(self.first_s <= np.maximum(MAX_START_DELAY_S, 1.5 * self.interval_s))

    @cached_property
    def until_s(self) -> FloatArray:
        """The end of the last row's interval, in seconds since the start; 0 without rows (n_containers,)."""
        return np.nan_to_num(self.last_s + self.interval_s)

    @property
    def observed_s(self) -> FloatArray:
        """How long the container was observed (n_containers,).

        From its start to the last row; from the first row where the start is unknown or was not seen. 0 without rows.
        """
        begin_s = np.where(self.start_observed, 0.0, self.first_s)
        return np.asarray(np.nan_to_num(self.last_s.clip(0) - begin_s))


def observation_spans(rows: Rows) -> ObservationSpans:
    """Find when each container was seen first and last, and how often."""
    number = np.bincount(rows.code, minlength=len(rows.containers))
    end = np.cumsum(number)
    seen = number > 0
    first_s, last_s = np.full((2, number.size), np.nan)
    first_s[seen] = rows.offset_s[(end - number)[seen]]
    last_s[seen] = rows.offset_s[end[seen] - 1]
    return ObservationSpans(number, first_s, last_s)
