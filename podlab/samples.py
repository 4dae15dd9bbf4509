"""The samples table: what it must look like, checked with errors that name file, column and row.

One row is one container at one instant; :mod:`podlab.metrics` lists the columns. Gauges are ``float64``;
counters are nullable ``Int64``, because counters of real clusters pass 2**53 and a rate is the difference of two.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from podlab.errors import InputError
from podlab.metrics import AGES, ALL_COLUMNS, CATALOGUE, CONTAINER_KEY, MEASURED_METRICS, TIMES

if TYPE_CHECKING:
    import pandera.pandas as pa

log = logging.getLogger(__name__)

#: Columns without which a row cannot be told from others.
REQUIRED = ("time", "pod", "container")
#: One container from its start to its end: a restarted one counts as new.
INSTANCE_KEY = (*CONTAINER_KEY, "started_at")

_TIME_DTYPE: Final = "datetime64[ns, UTC]"
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
_INT64_END: Final = 2.0**63


def _dtype_of(column: str) -> str:
    if column in TIMES:
        return _TIME_DTYPE
    if column == "anomaly":
        return "boolean"
    if column in CATALOGUE:
        return "Int64" if CATALOGUE[column].kind == "counter" else "float64"
    return "float64" if column in AGES.values() else "str"


@cache
def schema() -> pa.DataFrameSchema:
    """Give the schema of a checked table."""
    # It takes a second of CPU to load, and a watcher whose tables are sound never needs it.
    import pandera.pandas as pa

    def column_schema(column: str) -> pa.Column:
        checks = [pa.Check.ge(0, error="is negative")] if column in CATALOGUE else []
        return pa.Column(_dtype_of(column), checks=checks, nullable=column not in REQUIRED, required=column in REQUIRED)

    return pa.DataFrameSchema({column: column_schema(column) for column in ALL_COLUMNS}, strict=True, ordered=False)


def check_samples(frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """Check a table, bring its columns to their types and its rows into order.

    Parameters
    ----------
    frame : DataFrame
        Any table with the columns of :data:`podlab.metrics.ALL_COLUMNS`, or some of them.
    where : str
        The file or source it came from, for errors.

    Returns
    -------
    DataFrame
        A new frame, sorted by container and time, without repeated (container, time) rows; ``cluster`` is
        ``local`` where it was missing, and every identity column is there. Columns that the catalogue does not
        know are dropped with a warning.

    Raises
    ------
    InputError
        If a required column or every metric is missing, there are no rows, or a value is of the wrong type.
    """
    missing = [column for column in REQUIRED if column not in frame.columns]
    if missing:
        raise InputError(f"column {missing[0]!r} is missing", where=where, todo=f"needed are {', '.join(REQUIRED)}")
    if not any(column in frame.columns for column in MEASURED_METRICS):
        raise InputError("no metric column", where=where, todo=f"give at least one, such as {MEASURED_METRICS[0]}")
    if frame.empty:
        raise InputError("no rows", where=where, todo="collect or record again")

    unknown = [str(column) for column in frame.columns if column not in ALL_COLUMNS]
    if unknown:
        log.warning("%s: columns not in the catalogue are left out: %s", where, ", ".join(unknown))
    present = [column for column in ALL_COLUMNS if column in frame.columns]
    table = pd.DataFrame({column: _convert(frame[column], where) for column in present}).reset_index(drop=True)
    for column in INSTANCE_KEY:
        if column not in table:
            table[column] = pd.Series(pd.NA, index=table.index, dtype=_dtype_of(column))
    table["cluster"] = table["cluster"].fillna("local")
    _check_schema(table, where)

    ordered = table[[column for column in ALL_COLUMNS if column in table]]
    ordered = ordered.sort_values([*CONTAINER_KEY, "time"], kind="stable", ignore_index=True)
    repeated = ordered.duplicated([*INSTANCE_KEY, "time"])
    if repeated.any():
        log.warning("%s: %d rows repeat a container and time and are left out", where, int(repeated.sum()))
        ordered = ordered[~repeated].reset_index(drop=True)
    return ordered


def _convert(values: pd.Series, where: str) -> pd.Series:
    """Bring one column to its type; refuse with the first row that does not fit."""
    column = str(values.name)
    dtype = _dtype_of(column)
    if str(values.dtype) == dtype and dtype != "float64":
        return values
    if dtype == _TIME_DTYPE:
        return _convert_times(values, where)
    if dtype == "boolean":
        return _convert_flags(values, where)
    if dtype == "str":
        try:
            return values.astype("str").where(values.notna())
        except UnicodeDecodeError as error:
            raise InputError(f"column {column!r} holds bytes that are no text", where=where) from error
    return _convert_numbers(values, dtype, where)


def _convert_times(values: pd.Series, where: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values) and values.notna().any():
        raise _bad_value(values, values.notna(), "is a number, not a time with a date", where)
    times = pd.to_datetime(values, utc=True, errors="coerce", format=None if _is_time(values) else "ISO8601")
    bad = times.isna() & values.notna()
    if bad.any():
        raise _bad_value(values, bad, "is not a time", where)
    # Times of whole nanoseconds reach from 1677 to 2262; others, such as Go's year 1, stand for no time.
    bad = (times.dt.year < _FIRST_YEAR) | (times.dt.year > _LAST_YEAR)
    if bad.any():
        # pandas cannot write a Timestamp of the year 10000, numpy can.
        shown = times.dt.tz_localize(None) if _is_time(values) else values
        raise _bad_value(shown, bad, f"is not a time between {_FIRST_YEAR} and {_LAST_YEAR}", where)
    return times.dt.as_unit("ns")


def _is_time(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def _convert_flags(values: pd.Series, where: str) -> pd.Series:
    words = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
    flags = values.astype("str").str.lower().map(words)
    bad = flags.isna() & values.notna()
    if bad.any():
        raise _bad_value(values, bad, "is not true or false", where)
    return flags.astype("boolean")


def _convert_numbers(values: pd.Series, dtype: str, where: str) -> pd.Series:
    if pd.api.types.is_bool_dtype(values):
        raise _bad_value(values, values.notna(), "is not a number", where)
    # Never by way of float64 where the source has integers: that would round counters beyond 2**53.
    numbers = values
    if not pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(values, errors="coerce", dtype_backend="numpy_nullable")
    bad = numbers.isna() & values.notna()
    if bad.any():
        raise _bad_value(values, bad, "is not a number", where)
    if dtype == "float64":
        floats = numbers.astype("Float64").astype("float64")
        return floats.where(np.isfinite(floats))
    if pd.api.types.is_float_dtype(numbers):
        floats = numbers.astype("Float64").astype("float64")
        # A cast would wrap around and not say so.
        large = (floats >= _INT64_END) & np.isfinite(floats)
        if large.any():
            raise _bad_value(values, large, "does not fit into a 64-bit integer", where)
        numbers = floats.where(np.isfinite(floats)).round().astype("Float64")
    try:
        return numbers.astype("Int64")
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"column {values.name!r} does not fit into 64-bit integers", where=where) from error


def _bad_value(values: pd.Series, bad: pd.Series, what: str, where: str) -> InputError:
    position = int(np.flatnonzero(bad.to_numpy(dtype=bool))[0])
    shown = str(values.to_numpy()[position])[:60]
    more = int(bad.sum()) - 1
    others = f" (and {more} more rows)" if more else ""
    return InputError(f"column {values.name!r}, row {position}: {shown!r} {what}{others}", where=where)


def _check_schema(table: pd.DataFrame, where: str) -> None:
    if is_sound(table):
        return
    import pandera.pandas as pa

    try:
        schema().validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        first = errors.failure_cases.iloc[0]
        what = (
            "is missing"
            if str(first["check"]).startswith("not_nullable")
            else f"{first['failure_case']} {first['check']}"
        )
        raise InputError(f"column {first['column']!r}, row {first['index']}: {what}", where=where) from None


def is_sound(table: pd.DataFrame) -> bool:
    """Tell whether a table fits the schema, in a tenth of the time that finding out where it does not takes."""
    if not set(REQUIRED) <= set(table) <= set(ALL_COLUMNS):
        return False
    for name, values in table.items():
        column = str(name)
        if str(values.dtype) != _dtype_of(column):
            return False
        if column in REQUIRED and values.isna().any():
            return False
        if column in CATALOGUE and (values < 0).any():
            return False
    return True
