"""Times of foreign files: ISO 8601, seconds since 1970 and their parts, a pattern, or only an order."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from podlab.errors import InputError
from podlab.importing.mapping import Time
from podlab.units import parse_duration_s

_NS_PER: Final = {"unix-s": 1_000_000_000, "unix-ms": 1_000_000, "unix-us": 1_000, "unix-ns": 1}
_ISO: Final = "iso8601"
_PLAUSIBLE: Final = (pd.Timestamp("2000-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC"))
_NS_PER_S: Final = 1_000_000_000
_INT64_END: Final = 2.0**63
_OTHERS: Final = f"others are {', '.join(_NS_PER)}, {_ISO} and patterns as of strptime"


def read_times(table: pd.DataFrame, time: Time, who: pd.DataFrame, where: str) -> pd.Series:
    """Read the times of all rows.

    Parameters
    ----------
    table : DataFrame
        The file.
    time : Time
        How it writes times.
    who : DataFrame
        Identity of each row, by which rows are counted where there are no times.
    where : str
        The file, for errors.

    Returns
    -------
    Series of datetime64[ns, UTC]

    Raises
    ------
    InputError
        If a time cannot be read so, has no zone, or lies before 2000 or after 2100.
    """
    if time.column is None or (time.every is not None and time.column not in table):
        return _in_order(table, time, who, where)
    values = table[time.column]
    name = f"column {time.column!r}"
    if time.format in _NS_PER:
        times = _from_numbers(values, time.format, name, where)
    elif pd.api.types.is_datetime64_any_dtype(values):
        times = _with_zone(values, time.zone, name, where)
    else:
        if time.format == _ISO:
            zoned = values.dropna().astype("str").str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True)
            if zoned.any() and not zoned.all():
                raise InputError(
                    f"{name} has times with and without a zone", where=where, todo="write all of them alike"
                )
            pattern, has_zone = "ISO8601", bool(zoned.all())
        else:
            pattern, has_zone = time.format, "%z" in time.format.lower()
        try:
            # Of several zones in one column pandas makes objects unless all become UTC.
            times = pd.to_datetime(values, format=pattern, utc=has_zone)
        except ValueError as error:
            raise InputError(f"{name}: {str(error).splitlines()[0][:150]}", where=where) from error
        times = _with_zone(times, time.zone, name, where)
    if times.isna().any() and time.column is not None and values.isna().sum() < times.isna().sum():
        raise InputError(f"{name} holds what is no time", where=where)
    out = times[(times < _PLAUSIBLE[0]) | (times > _PLAUSIBLE[1])]
    if len(out):
        todo = f"is {time.format!r} right? {_OTHERS}"
        raise InputError(f"{name}: {values[out.index[0]]!r} would be in {out.iloc[0].year}", where=where, todo=todo)
    if time.round is not None:
        times = times.dt.floor(f"{round(parse_duration_s(time.round, where='time.round') * _NS_PER_S)}ns")
    exact: pd.Series = times.dt.as_unit("ns")
    return exact


def _from_numbers(values: pd.Series, time_format: str, name: str, where: str) -> pd.Series:
    ns = _NS_PER[time_format]
    try:
        numbers = pd.to_numeric(values, dtype_backend="numpy_nullable")
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: {str(error).partition(' at position')[0]}", where=where) from error
    # Milliseconds taken for seconds would wrap around, and some would come out in this century.
    beyond = (numbers.astype("Float64").abs() >= _INT64_END / ns).fillna(False)
    if beyond.any():
        raise InputError(
            f"{name}: {values[beyond].iloc[0]!r} is too large for {time_format!r}", where=where, todo=_OTHERS
        )
    if pd.api.types.is_float_dtype(numbers):
        whole = numbers.floordiv(1)
        # Nanoseconds since 1970 do not fit into a float: whole seconds and the rest apart.
        total = whole.astype("Int64") * ns + ((numbers - whole) * ns).round().astype("Int64")
    else:
        total = numbers.astype("Int64") * ns
    times: pd.Series = pd.to_datetime(total, unit="ns", utc=True)
    return times


def _with_zone(times: pd.Series, zone: str | None, name: str, where: str) -> pd.Series:
    if getattr(times.dt, "tz", None) is not None:
        known: pd.Series = times.dt.tz_convert("UTC")
        return known
    if zone is None:
        raise InputError(f"{name} has times without a zone", where=where, todo="say it: time.zone = 'UTC', for example")
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"time.zone: {zone!r} is no time zone", where=where, todo="such as Europe/Vienna") from error
    try:
        placed: pd.Series = times.dt.tz_localize(place).dt.tz_convert("UTC")
    except ValueError as error:
        # pandas names the time, and then arguments of its own.
        told = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(error))
        what = f"{name}: where clocks change, {zone} has {told[0] if told else 'a time of these'} twice or never"
        raise InputError(what, where=where, todo="write times with their offset, or in UTC") from error
    return placed


def _in_order(table: pd.DataFrame, time: Time, who: pd.DataFrame, where: str) -> pd.Series:
    step_s = parse_duration_s(time.every or "", where="time.every")
    try:
        given = pd.to_datetime(pd.Series([time.start]), format="ISO8601")
    except ValueError as error:
        todo = "such as 2026-01-31T08:00:00Z"
        raise InputError(f"time.start: {time.start!r} is no time", where=where, todo=todo) from error
    start = _with_zone(given, time.zone, "time.start", where)[0]
    number = who.groupby(list(who), dropna=False, sort=False).cumcount()
    first, last = _PLAUSIBLE
    if not first <= start <= last or int(number.max()) * step_s > (last - start).total_seconds():
        what = f"rows each {time.every} from {time.start} on would not lie between {first.year} and {last.year}"
        raise InputError(what, where=where, todo="check time.start and time.every")
    return pd.Series(start + pd.to_timedelta(number * step_s, unit="s"), index=table.index)
