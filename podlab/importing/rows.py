"""Rows of foreign files: times, containers, gaps filled from other rows, and checks of counters.

Times are ISO 8601, seconds since 1970 and their parts, a pattern, or only an order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, CONTAINER_KEY
from podlab.data.samples import INSTANCE_KEY, as_numbers, known_text
from podlab.data.units import format_count, parse_duration_s
from podlab.errors import InputError
from podlab.importing.mapping import Column, Time
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


#: Descriptions of a container, which never identify a row.
DESCRIPTION: Final = ("node", "image", "started_at", "service", "deployment", "variant", "version")
#: Of that, what does not change while a container lives.
_LASTING: Final = ("node", "image", "service", "deployment")
#: What some rows may lack, and by which columns the rows that have it are found.
_PARTS_OF_IDENTITY: Final = {
    "cluster": ["namespace", "pod"],
    "namespace": ["cluster", "pod"],
    "pod_uid": ["cluster", "namespace", "pod"],
}
_LEAST_TOLERANCE_S: Final = 2.0


def fill_identity(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in cluster, namespace and uid where only some rows of a pod have them, and those agree."""
    filled = table.copy()
    for name, others in _PARTS_OF_IDENTITY.items():
        # A pod of the same name may come again: at one instant there is one of them.
        keys = [[*others, "time"], others] if "time" in table else [others]
        for key in keys:
            missing = filled[name].isna()
            if missing.any() and not missing.all():
                filled[name] = filled[name].fillna(_agreed(filled, key, name))
    return filled


def fill_descriptions(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in descriptions of a container where only some of its rows have them, and those agree.

    A start is that of the latest life which had begun by a row's time.
    """
    filled = table.copy()
    for name in DESCRIPTION:
        if name in filled and filled[name].isna().any() and filled[name].notna().any():
            values = _start_by_then(filled) if name == "started_at" else _agreed(filled, list(CONTAINER_KEY), name)
            filled[name] = filled[name].fillna(values)
    return filled


def contradictions(table: pd.DataFrame) -> list[str]:
    """List containers whose rows contradict each other in what does not change."""
    notes = []
    for name in _LASTING:
        if name not in table:
            continue
        by_container = table.dropna(subset=[name]).groupby(list(CONTAINER_KEY), dropna=False)[name].unique()
        several = by_container[by_container.map(len) > 1]
        if len(several):
            pod = several.index[0][CONTAINER_KEY.index("pod")]
            values = ", ".join(map(str, several.iloc[0][:5]))
            who = format_count(len(several), "container")
            notes.append(f"rows of {who} differ in {name}, such as pod {pod!r}: {values}")
    return notes


def starts_of_ages(table: pd.DataFrame, age_s: pd.Series, *, unit_s: float, made_up: bool) -> pd.Series:
    """Reckon when containers started from how long they had run, in seconds, by the rows of the table.

    Ages are cut off to whole units of ``unit_s`` seconds, so rows of one life give starts that lie up to a unit late;
    the earliest counts. Where times are ``made_up``, only an order, a life ends where an age falls, and nowhere else.
    """
    rows = table[list(CONTAINER_KEY)].assign(time=table["time"], age_s=age_s).dropna(subset=["age_s"])
    rows = rows.sort_values([*CONTAINER_KEY, "time"], kind="stable")
    rows["start"] = rows["time"] - pd.to_timedelta(rows["age_s"], unit="s")
    lives = rows.groupby(list(CONTAINER_KEY), dropna=False, sort=False)
    begins = lives["age_s"].diff() < 0
    if not made_up:
        begins |= lives["start"].diff().dt.total_seconds() > max(_LEAST_TOLERANCE_S, 2 * unit_s)
    number = begins.groupby([rows[name] for name in CONTAINER_KEY], dropna=False, sort=False).cumsum()
    start = rows.groupby([*(rows[name] for name in CONTAINER_KEY), number], dropna=False, sort=False)["start"]
    earliest: pd.Series = start.transform("min").dt.as_unit("ns").reindex(table.index)
    return earliest


def _agreed(table: pd.DataFrame, key: list[str], name: str) -> pd.Series:
    """Give the one value that rows of the same key have; missing where they have none or several."""
    values = table.groupby(key, dropna=False, sort=False)[name]
    return values.transform("first").where(values.transform("nunique") == 1)


def _start_by_then(table: pd.DataFrame) -> pd.Series:
    code = table.groupby(list(CONTAINER_KEY), dropna=False, sort=False).ngroup()
    rows = pd.DataFrame({"code": code, "time": table["time"], "row": table.index}).sort_values("time", kind="stable")
    starts = pd.DataFrame({"code": code, "start": table["started_at"]}).dropna().drop_duplicates().sort_values("start")
    found = pd.merge_asof(rows, starts, left_on="time", right_on="start", by="code")
    return pd.Series(found["start"].array, index=found["row"]).reindex(table.index)


#: A counter falls when its container restarts; the share of steps that may be other falls.
_MOST_FALLS: Final = 0.05
#: A counter that restarts drops to at most this share of its value, and then grows for at least this many steps.
_MOST_LEFT: Final = 0.5
_LEAST_GROWTH: Final = 2
#: Gauges that are never 0 in a running container.
GAUGES_OF_MEMORY: Final = ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes")


def as_counters(table: pd.DataFrame, columns: Sequence[Column], where: str) -> pd.DataFrame:
    """Make counters of what counts in another way; InputError if one only calls itself so, and falls as none does."""
    counted = [column for column in columns if CATALOGUE[column.metric].kind == "counter"]
    if not counted:
        return table
    ordered = table.sort_values([name for name in (*INSTANCE_KEY, "time") if name in table], kind="stable")
    key = [name for name in INSTANCE_KEY if name in table]
    for column in counted:
        if column.kind in ("rate", "growth"):
            ordered[column.metric] = _summed(ordered, key, column, where)
        else:
            _refuse_level(ordered, key, column, where)
    return ordered.sort_index()


def _summed(ordered: pd.DataFrame, key: list[str], column: Column, where: str) -> pd.Series:
    known = ordered.dropna(subset=[column.metric])
    grown = known[column.metric].astype("float64")
    if (grown < 0).any():
        raise InputError(f"column {column.name!r}: a {column.kind} is below 0", where=where)
    if column.kind == "rate":
        # Of the time since the last one that is known.
        grown = grown * known.groupby(key, dropna=False, sort=False)["time"].diff().dt.total_seconds()
    # A counter's first value says nothing, so it may begin at 0.
    grown = grown.where(known.duplicated(key), 0.0)
    return grown.groupby([known[name] for name in key], dropna=False).cumsum().round().reindex(ordered.index)


def _refuse_level(ordered: pd.DataFrame, key: list[str], column: Column, where: str) -> None:
    steps = _steps(ordered, key, column.metric)
    falls = steps["step"] < 0
    anew = falls & steps["anew"]
    share = float(falls.mean()) if len(steps) else 0.0
    others = float((falls & ~anew).mean()) if len(steps) else 0.0
    seldom = share <= _MOST_FALLS
    # One restart may be at any place; whatever is often 0 is none of them, however it goes on from there.
    repeated = steps[anew].duplicated(key, keep=False) | ~steps[anew]["grows"]
    restarts_only = others <= _MOST_FALLS and int(repeated.sum()) * _LEAST_GROWTH <= int((steps["step"] > 0).sum())
    if not (seldom or restarts_only):
        what = f"column {column.name!r} falls in {share:.0%} of its steps, so it is not a counter"
        hint = "if it is growth per second, write kind = 'rate'; if growth since the row before, kind = 'growth'"
        raise InputError(what, where=where, hint=hint)


def _steps(ordered: pd.DataFrame, key: list[str], metric: str) -> pd.DataFrame:
    """Give how far a metric goes from value to value, and whether it begins anew there."""
    rows = ordered.dropna(subset=[metric])
    groups = rows.groupby(key, dropna=False, sort=False)[metric]
    before, after = groups.shift(), groups.shift(-1)
    value = rows[metric].astype("float64")
    falls_again = (after.astype("float64") < value).to_numpy()
    steps = rows[key].assign(
        step=(rows[metric] - before).astype("float64"),
        anew=(value <= before.astype("float64") * _MOST_LEFT) & ~falls_again,
        grows=after.astype("float64") > value,
    )
    return steps.dropna(subset=["step"])


def restarts(samples: pd.DataFrame, columns: Sequence[Column]) -> list[str]:
    """List containers whose counters restart within one instance."""
    pods: dict[str, str] = {}
    for column in columns:
        if CATALOGUE[column.metric].kind == "counter":
            steps = _steps(samples, list(INSTANCE_KEY), column.metric)
            pods |= dict.fromkeys(steps.loc[(steps["step"] < 0) & steps["anew"], "pod"], column.name)
    if not pods:
        return []
    pod, name = next(iter(pods.items()))
    return [f"counters begin anew in {len(pods)} pods, such as {name!r} of {pod!r}: a restart"]


def drop_rows_of_nothing(table: pd.DataFrame, columns: Sequence[Column]) -> tuple[pd.DataFrame, int]:
    """Leave out, and count, rows that know nothing and say so by zeros in all columns, or by no value at all.

    Nothing that runs has no memory; and a counter that is 0 amid greater values was not read. Other rows of zeros are
    of a container that does nothing.
    """
    values = table[[column.metric for column in columns]].astype("float64")
    empty = values.isna().all(axis=1)
    zeros = (values.isna() | (values == 0)).all(axis=1) & ~empty
    gauges = [name for name in GAUGES_OF_MEMORY if name in values]
    nothing = zeros & (values[gauges] == 0).any(axis=1) if gauges else pd.Series(False, index=table.index)
    several = zeros & (values.notna().sum(axis=1) > 1)
    counters = [c.metric for c in columns if CATALOGUE[c.metric].kind == "counter" and c.kind in (None, "counter")]
    order = table.sort_values("time", kind="stable").index
    code = table.groupby(list(CONTAINER_KEY), dropna=False, sort=False).ngroup()[order]
    for name in counters:
        around = values.loc[order, name].mask(zeros[order]).groupby(code)
        before, after = around.ffill(), around.bfill()
        fallen = (before > 0) & (after.isna() | (after >= before))
        nothing |= several & (values[name] == 0) & fallen.reindex(table.index)
    left_out = empty | nothing
    return table[~left_out].reset_index(drop=True), int(np.sum(left_out))
