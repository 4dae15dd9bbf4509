"""Times of foreign files: ISO 8601, seconds since 1970 and their parts, a pattern, or only an order."""

from __future__ import annotations

import re
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from podlab.data.samples import as_numbers, known_text
from podlab.data.units import parse_duration_s
from podlab.errors import InputError
from podlab.importing.mapping import Time
from podlab.importing.readers import ForeignTable

_NS_PER: Final = {"unix-s": 1_000_000_000, "unix-ms": 1_000_000, "unix-us": 1_000, "unix-ns": 1}
_ISO: Final = "iso8601"
_PLAUSIBLE: Final = (pd.Timestamp("2000-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC"))
_NS_PER_S: Final = 1_000_000_000
_INT64_END: Final = 2.0**63
_OTHERS: Final = f"others are {', '.join(_NS_PER)}, {_ISO} and patterns as of strptime"
#: PostgreSQL writes an offset as ``+02``, Go ``+0200 CEST`` and behind that its own clock, Java the zone's name in
#: brackets, others ``UTC``.
_WRITTEN: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[Tt ](?P<time>\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)"
    r"(?:\s*(?:(?P<utc>Z|z|UTC|GMT)|(?P<hours>[+-]\d\d)(?::?(?P<minutes>\d\d))?(?:\s+(?:[A-Z]{1,5}|[+-]\d\d(?:\d\d)?))?))?"
    r"(?:\[[\w/+-]+\]|\s+m=[+-]?[\d.]+)?"
)
_USUAL: Final = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)$"
#: The same, also of times without separators; a date alone ends in what looks like an offset.
_HAS_ZONE: Final = r"[Tt ]\s*\d[\d:.,]*\s*(?:[Zz]|[+-][\d:]+)$"


def read_times(foreign: ForeignTable, column: str, time: Time) -> pd.Series:
    """Read the times of all rows, missing where the file has none.

    Raises InputError if a time cannot be read so, has no zone, or lies before 2000 or after 2100.
    """
    values = foreign.rows[column]
    if not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_datetime64_any_dtype(values):
        values = known_text(values, where=foreign.where)
    if time.format in _NS_PER:
        times = _from_numbers(foreign, values, time.format)
    elif pd.api.types.is_datetime64_any_dtype(values):
        times = values
    else:
        times = _from_text(foreign, known_text(values, where=foreign.where), time.format)
    times = _with_zone(times, time.zone, f"column {column!r}", foreign.where)
    out = np.flatnonzero((times < _PLAUSIBLE[0]) | (times > _PLAUSIBLE[1]))
    if len(out):
        what = f"{str(values.iloc[out[0]])!r} would be in {times.iloc[out[0]].year}"
        raise foreign.fault(column, out[0], what, f"is {time.format!r} right? {_OTHERS}")
    if time.round is not None:
        times = times.dt.floor(f"{round(parse_duration_s(time.round, where='time.round') * _NS_PER_S)}ns")
    exact: pd.Series = times.dt.as_unit("ns")
    return exact


def _from_text(foreign: ForeignTable, text: pd.Series, time_format: str) -> pd.Series:
    if time_format == _ISO:
        unusual = text.notna() & ~text.str.contains(_USUAL, regex=True, na=False)
        text = text.where(~unusual, text[unusual].map(_as_iso)) if unusual.any() else text
        pattern, has_zone = "ISO8601", True
    else:
        pattern, has_zone = time_format, "%z" in time_format.lower()
        if pattern.endswith("%z"):
            text = text.str.replace(r"([+-]\d\d)$", r"\g<1>00", regex=True)
    try:
        # Of several zones in one column pandas makes objects unless all become UTC.
        times: pd.Series = pd.to_datetime(text, format=pattern, utc=has_zone, errors="coerce")
    except ValueError as error:
        what = f"time.format: {time_format!r} is not a pattern"
        raise InputError(what, where=foreign.where, hint=_OTHERS) from error
    bad = np.flatnonzero(times.isna() & text.notna())
    if len(bad):
        what, hint = f"is not a time, or not written as {time_format!r}", _OTHERS
        if time_format == _ISO:
            what = "is not a time of ISO 8601, such as 2026-01-31T08:00:00Z"
            hint = "say how it is written: time.format = '%d.%m.%Y %H:%M:%S', for example"
        raise foreign.fault(text.name, bad[0], f"{str(text.iloc[bad[0]])[:60]!r} {what}", hint)
    if time_format == _ISO:
        known = text.dropna()
        zoned = known.str.contains(_HAS_ZONE, regex=True)
        if zoned.any() and not zoned.all():
            what = f"column {text.name!r} has times with and without a zone"
            raise InputError(what, where=foreign.where, hint="write all of them alike")
        times = times if zoned.all() else times.dt.tz_localize(None)
    return times


def _as_iso(text: str) -> str:
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return text
    offset = "" if found["hours"] is None else f"{found['hours']}:{found['minutes'] or '00'}"
    return f"{found['date']}T{found['time'].replace(',', '.')}{'Z' if found['utc'] else offset}"


def _from_numbers(foreign: ForeignTable, values: pd.Series, time_format: str) -> pd.Series:
    ns = _NS_PER[time_format]
    numbers = as_numbers(values)
    bad = np.flatnonzero(numbers.isna() & values.notna())
    if len(bad):
        what = f"{str(values.iloc[bad[0]])[:60]!r} is not a number, as {time_format!r} needs"
        raise foreign.fault(values.name, bad[0], what, _OTHERS)
    # Milliseconds taken for seconds would wrap around, and some would come out in this century.
    beyond = np.flatnonzero((numbers.astype("Float64").abs() >= _INT64_END / ns).fillna(False))
    if len(beyond):
        what = f"{values.iloc[beyond[0]]!r} is too large for {time_format!r}"
        raise foreign.fault(values.name, beyond[0], what, _OTHERS)
    if pd.api.types.is_float_dtype(numbers):
        numbers = numbers.astype("Float64")
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
        raise InputError(f"{name} has times without a zone", where=where, hint="say it: time.zone = 'UTC', for example")
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        message = f"time.zone: {zone!r} is not a time zone"
        raise InputError(message, where=where, hint="such as Europe/Vienna") from error
    try:
        placed: pd.Series = times.dt.tz_localize(place).dt.tz_convert("UTC")
    except ValueError as error:
        # pandas names the time, and then arguments of its own.
        named = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", str(error))
        what = f"{name}: where clocks change, {zone} has {named[0] if named else 'a time of these'} twice or never"
        raise InputError(what, where=where, hint="write times with their offset, or in UTC") from error
    return placed


def times_in_order(number: pd.Series, time: Time, where: str) -> pd.Series:
    """Make up times for rows of which only the order is known: ``number`` says which of its container each is, from 0.

    Raises InputError if the start is not a time, or a time would lie before 2000 or after 2100.
    """
    step_s = parse_duration_s(time.every or "", where="time.every")
    try:
        given = pd.to_datetime(pd.Series([_as_iso(time.start or "")]), format="ISO8601")
    except ValueError as error:
        hint = "such as 2026-01-31T08:00:00Z"
        raise InputError(f"time.start: {time.start!r} is not a time", where=where, hint=hint) from error
    start = _with_zone(given, time.zone, "time.start", where)[0]
    first, last = _PLAUSIBLE
    if not first <= start <= last or int(number.max()) * step_s > (last - start).total_seconds():
        what = f"rows each {time.every} from {time.start} on would not lie between {first.year} and {last.year}"
        raise InputError(what, where=where, hint="check time.start and time.every")
    return pd.Series(start + pd.to_timedelta(number * step_s, unit="s"), index=number.index).dt.as_unit("ns")
