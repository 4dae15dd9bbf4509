"""The samples table: what it must look like, checked with errors that name file, column and row.

One row is one container at one instant; :mod:`podlab.data.catalogue` lists the columns. Gauges are ``float64``;
counters are nullable ``Int64``, because counters of real clusters pass 2**53 and a rate is the difference of two.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from podlab.arrays import BoolArray
from podlab.data.catalogue import AGES, ALL_COLUMNS, CATALOGUE, CONTAINER_KEY, MEASURED_METRICS, TIMES
from podlab.errors import InputError

if TYPE_CHECKING:
    import pandera.pandas as pa
    from pyarrow import Table

log = logging.getLogger(__name__)

#: Columns without which a row cannot be told from others.
REQUIRED = ("time", "pod", "container")
#: One container from its start to its end: a restarted one counts as new.
INSTANCE_KEY = (*CONTAINER_KEY, "started_at")

#: What other tools write where a name or label is not known, with small letters or capitals, and blanks around.
MISSING_WORDS: Final = frozenset(
    (
        "", "-", "--", "?", "null", "(null)", "<null>", "[null]", "nil", "<nil>", "none", "(none)", "<none>", "nan",
        "-nan", "<na>", "n/a", "#n/a", "#na", "NaT", "\\N", "undefined", "<undefined>", "<unknown>", "<no value>",
    )
)  # fmt: skip
#: Of those, what Kubernetes allows as a name, in small letters: there it is one.
_NAMES_ALL_THE_SAME: Final = frozenset(("null", "nil", "none", "nan", "undefined"))
#: What R and others write in columns of numbers; as a name or label it may be one.
MISSING_NUMBERS: Final = MISSING_WORDS | {"na"}
_NAMED_BY_KUBERNETES: Final = ("namespace", "pod", "container")

#: Pandas' types by Arrow's names, for integers and flags that may be missing.
_NULLABLE_TYPES: Final = {"bool": pd.BooleanDtype()} | {
    each.name.lower(): each
    for each in (
        pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype(),
        pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype(),
    )
}  # fmt: skip

Ints = npt.NDArray[np.int64]

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
        Any table with the columns of :data:`podlab.data.catalogue.ALL_COLUMNS`, or some of them.
    where : str
        The file or source it came from, for errors.

    Returns
    -------
    DataFrame
        A new frame, sorted by container and time, with one row for each (container, time): of rows that repeat
        them, what each knows is put together, and where they contradict the first counts, with a warning.
        Rows that repeat a sample a moment later count once (:func:`drop_repeats`).
        ``cluster`` is ``local`` where it was missing, and every identity column is there. Empty text and
        :data:`MISSING_WORDS` are missing; so are, with a warning, counts beyond 64 bits. Columns that the catalogue
        does not know are dropped with a warning.

    Raises
    ------
    InputError
        If a required column or every metric is missing, there are no rows, or a value is of the wrong type.
    """
    missing = [column for column in REQUIRED if column not in frame.columns]
    if missing:
        raise InputError(f"column {missing[0]!r} is missing", where=where, hint=f"needed are {', '.join(REQUIRED)}")
    if not any(column in frame.columns for column in MEASURED_METRICS):
        raise InputError("no metric column", where=where, hint=f"give at least one, such as {MEASURED_METRICS[0]}")
    if frame.empty:
        raise InputError("no rows", where=where, hint="collect or record again")

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
    return drop_repeats(_merge_repeated(ordered, where=where), INSTANCE_KEY, where=where)


def before_faults(samples: pd.DataFrame) -> BoolArray:
    """Tell which rows lie before the first anomalous one of their container (n_rows,)."""
    if "anomaly" not in samples:
        return np.ones(len(samples), dtype=bool)
    anomalous = samples["anomaly"].fillna(False).astype(bool)
    keys = [samples[name] for name in CONTAINER_KEY]
    first = samples["time"].where(anomalous).groupby(keys, dropna=False).transform("min")
    return np.asarray(first.isna() | (samples["time"] < first))


def median_interval_s(samples: pd.DataFrame) -> float | None:
    """Give the usual time between two samples of a container, in seconds; None where each was seen once."""
    steps = samples.groupby(list(INSTANCE_KEY), dropna=False)["time"].diff().dt.total_seconds()
    return None if steps.isna().all() else float(steps.median())


def _merge_repeated(table: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """Make one row of those that have the same container and time; nothing that only one of them knows is lost.

    The table is sorted by both. Columns that rows contradict each other in have the first value, and a warning names
    one. Rows of two instances, which differ in ``started_at``, stay apart.
    """
    key = [*CONTAINER_KEY, "time"]
    repeated = table.duplicated(key, keep=False)
    if not repeated.any():
        return table
    rows = table[repeated].copy()
    # A row without a start is of the instance that another row of the same time names, if it is one.
    starts = rows.groupby(key, dropna=False)["started_at"]
    rows["started_at"] = rows["started_at"].fillna(starts.transform("first").where(starts.transform("nunique") == 1))
    instances = rows.groupby([*key, "started_at"], dropna=False, sort=False)
    others = [str(name) for name in rows if name not in (*key, "started_at")]
    first = instances[others].transform("first")
    clash = pd.DataFrame({name: _differ(rows[name], first[name]) for name in others})
    rows[others] = first
    again = rows.duplicated([*key, "started_at"])
    if again.any():
        log.warning(
            "%s", f"{where}: {int(again.sum())} rows repeat a container and time{_describe(table, first, clash)}"
        )
    merged = pd.concat([table[~repeated], rows[~again].astype(table.dtypes.to_dict())])
    return merged.sort_index().reset_index(drop=True)


def _differ(values: pd.Series, others: pd.Series) -> pd.Series:
    """Tell where both are there and are not the same; of objects, a missing one cannot even be compared."""
    both = values.notna() & others.notna()
    return (values[both] != others[both]).astype(bool).reindex(values.index, fill_value=False)


def _describe(table: pd.DataFrame, first: pd.DataFrame, clash: pd.DataFrame) -> str:
    """Say what becomes of repeated rows, and show the first contradiction."""
    lines = clash.any(axis=1)
    if not lines.any():
        return " and are left out; what only they know is kept"
    number = int(lines.to_numpy().argmax())
    given = table.loc[clash.index].iloc[number]
    column = clash.columns[clash.iloc[number].to_numpy(dtype=bool)][0]
    shown = f"{column} {first[column].iloc[number]} and {given[column]}"
    place = f"pod {given['pod']!r} at {given['time']}"
    return f", {int(lines.sum())} of them with other values, such as {place}: {shown}; the first counts"


def _convert(values: pd.Series, where: str) -> pd.Series:
    """Bring one column to its type; refuse with the first row that does not fit."""
    column = str(values.name)
    dtype = _dtype_of(column)
    if dtype == "str":
        return known_text(values, where=where, names=column in _NAMED_BY_KUBERNETES)
    if str(values.dtype) == dtype and dtype != "float64":
        return values
    if dtype == _TIME_DTYPE:
        return _convert_times(values, where)
    if dtype == "boolean":
        return _convert_flags(values, where)
    return _convert_numbers(values, dtype, where)


def known_text(values: pd.Series, *, where: str, names: bool = False) -> pd.Series:
    """Give values as text, missing where they are empty or one of :data:`MISSING_WORDS`.

    ``names`` says whether ``null`` and the like may be the name of something. Raises InputError if there are bytes or
    halves of characters that are no text.
    """
    try:
        text = values if str(values.dtype) == "str" else values.astype("str").where(values.notna())
    except UnicodeError as error:
        raise InputError(f"column {values.name!r} holds bytes that are no text", where=where) from error
    codes, found = pd.factorize(text)
    known = pd.Series(found, dtype="str")
    nothing = is_missing(known) & ~(known.isin(_NAMES_ALL_THE_SAME) & names)
    return text.mask(nothing.to_numpy()[codes] & (codes >= 0)) if nothing.any() else text


def is_missing(texts: pd.Series, words: frozenset[str] = MISSING_WORDS) -> pd.Series:
    """Tell which texts say that something is not known."""
    meant = texts.astype("str").str.strip()
    said: pd.Series = meant.isin(words) | meant.str.lower().isin(words)
    return said


def _convert_times(values: pd.Series, where: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values) and values.notna().any():
        raise _bad_value(values, values.notna(), "is a number, not a time with a date", where)
    if not _is_time(values):
        values = known_text(values, where=where)
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
    values = known_text(values, where=where)
    flags = values.str.lower().map(words)
    bad = flags.isna() & values.notna()
    if bad.any():
        raise _bad_value(values, bad, "is not true or false", where)
    return flags.astype("boolean")


def _convert_numbers(values: pd.Series, dtype: str, where: str) -> pd.Series:
    if pd.api.types.is_bool_dtype(values):
        raise _bad_value(values, values.notna(), "is not a number", where)
    if not pd.api.types.is_numeric_dtype(values):
        values = values.mask(is_missing(values, MISSING_NUMBERS))
    numbers = as_numbers(values)
    bad = numbers.isna() & values.notna()
    if bad.any():
        raise _bad_value(values, bad, "is not a number", where)
    # What 64 bits cannot hold: an unsigned count that went below 0 wraps around to there.
    large = _beyond_64_bits(numbers)
    if large.any():
        log.warning("%s: %d values of %s are beyond 2**63 and count as missing", where, int(large.sum()), values.name)
        numbers = as_numbers(values.astype("UInt64" if str(values.dtype) == "uint64" else values.dtype).mask(large))
    if dtype == "float64":
        floats = numbers.astype("Float64").astype("float64")
        return floats.where(np.isfinite(floats))
    if pd.api.types.is_float_dtype(numbers):
        floats = numbers.astype("Float64").astype("float64")
        numbers = floats.where(np.isfinite(floats)).round().astype("Float64")
    try:
        return numbers.astype("Int64")
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"column {values.name!r} does not fit into 64-bit integers", where=where) from error


def _beyond_64_bits(numbers: pd.Series) -> BoolArray:
    if pd.api.types.is_signed_integer_dtype(numbers):
        return np.zeros(len(numbers), dtype=bool)
    # Integers are not compared with a float: that would round them.
    end = int(_INT64_END) if pd.api.types.is_integer_dtype(numbers) else _INT64_END
    return ((numbers >= end) & (numbers != np.inf)).fillna(False).to_numpy(dtype=bool)


def as_numbers(values: pd.Series) -> pd.Series:
    """Read numbers, missing where a text is none; whole ones stay whole, however large."""
    # Never by way of float64 where the source has integers: that would round counters beyond 2**53.
    if pd.api.types.is_numeric_dtype(values):
        # The limits of what a number may be do not fit into half a float.
        return values.astype("float64") if values.dtype == "float16" else values
    return pd.to_numeric(values, errors="coerce", dtype_backend="numpy_nullable")


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


def to_frame(table: Table) -> pd.DataFrame:
    """Turn an Arrow table into a frame without rounding integers that have gaps, as float64 would beyond 2**53."""
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=lambda arrow: _NULLABLE_TYPES.get(str(arrow)), ignore_metadata=True
    )
    return frame


def check_text(table: Table) -> Table:
    """Give a table back whose text is UTF-8; reading Parquet does not look, and whoever uses such text would fail.

    Raises pyarrow.ArrowInvalid, which names the column, if it is not.
    """
    import pyarrow as pa

    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(f"column {name!r}: {str(error).strip()}") from None
    return table


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


#: A row may repeat the one before if it follows it within this share of the time to the next sample.
_SHARE: Final = 0.25
#: Two observers make half of a container's rows repeats; so many, and this share, are taken for more than chance.
_FEWEST: Final = 2
_LEAST_SHARE: Final = 0.2


def drop_repeats(ordered: pd.DataFrame, key: Sequence[str], *, where: str) -> pd.DataFrame:
    """Count rows once that repeat all counters of the one before within a fraction of the interval.

    Two agents, or two replicas of a scraper, that ask the same kubelet give each of its samples twice, a moment apart:
    the counters stand still for that moment and then jump, again and again. A container that is idle, a pause, or a
    single late sample looks otherwise.

    ``ordered`` is sorted by container (the columns of ``key``) and time. Where the row that stays lacks a value, it has
    the repeat's.
    """
    repeats = _repeats(ordered, key)
    if not len(repeats):
        return ordered
    container = np.asarray(ordered.groupby(list(key), dropna=False, sort=False).ngroup(), dtype=np.int64)
    many = _have_many(container, repeats)
    found = 0
    # Of more than two observers, each pass finds those beside a row that is not close.
    while len(repeats := repeats[many[container[repeats]]]):
        found += len(repeats)
        ordered, container = _without(ordered, repeats), np.delete(container, repeats)
        repeats = _repeats(ordered, key)
    if found:
        log.warning(
            "%s: %d rows repeat all counters of the row before, a moment later, and count once; "
            "two agents may tell of the same containers", where, found,
        )  # fmt: skip
    return ordered


def _have_many(container: Ints, repeats: Ints) -> BoolArray:
    """Tell which containers have many: a machine that stalls lets a sample come late at times, and once."""
    rows = np.bincount(container)
    found = np.bincount(container[repeats], minlength=len(rows))
    return (found >= _FEWEST) & (found >= _LEAST_SHARE * rows)


def _repeats(ordered: pd.DataFrame, key: Sequence[str]) -> Ints:
    """Give the places of the rows that repeat the one before; no two of them side by side."""
    time_ns = ordered["time"].astype("int64").to_numpy()
    step = np.concatenate([[0], np.diff(time_ns), [0]]).astype(np.float64)
    here = np.arange(1, len(time_ns))
    close_to_next = step[here] < _SHARE * step[here + 1]
    close_to_last = step[here] < _SHARE * step[here - 1]
    # At the border of two containers a step is any number: only whose rows look close are looked at as a whole.
    here = here[(step[here] > 0) & (close_to_next | close_to_last)]
    if not len(here):
        return here
    counters = [name for name, metric in CATALOGUE.items() if metric.kind == "counter" and name in ordered]
    same, changed, known = _compare_with_row_before(ordered, key, counters, here)
    here = here[same & known & ~changed]
    close_to_next = (here + 1 < len(time_ns)) & (step[here] < _SHARE * step[here + 1])
    close_to_last = (here > 1) & (step[here] < _SHARE * step[here - 1])
    jump = np.zeros(len(here), dtype=bool)
    for close, beside in ((close_to_next, 1), (close_to_last, -1)):
        same, changed, _ = _compare_with_row_before(ordered, key, counters, here[close] + beside)
        jump[close] |= same & changed
    here = here[jump]
    # The second of two side by side is looked at again, when the first is gone.
    return here[np.diff(here, prepend=-1) > 1]


def _compare_with_row_before(
    ordered: pd.DataFrame, key: Sequence[str], counters: Sequence[str], rows: Ints
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Tell which rows are of the same container, which have another value of a counter, and which have one in both."""
    same, changed, known = np.ones(len(rows), dtype=bool), *np.zeros((2, len(rows)), dtype=bool)
    for name in key:
        here, before = (ordered[name].iloc[at].reset_index(drop=True) for at in (rows, rows - 1))
        same &= ((here == before).fillna(False).astype(bool) | (here.isna() & before.isna())).to_numpy()
    for name in counters:
        here, before = (ordered[name].array.take(at) for at in (rows, rows - 1))
        both = ~(here.isna() | before.isna())
        changed |= np.asarray((here != before).to_numpy(dtype=bool, na_value=False)) & both
        known |= both
    return same, changed, known


def _without(ordered: pd.DataFrame, repeats: Ints) -> pd.DataFrame:
    out = ordered.copy()
    for name in (name for name in (*CATALOGUE, *AGES.values()) if name in out):
        column = out.columns.tolist().index(name)
        lacking = repeats[out[name].iloc[repeats - 1].isna().to_numpy()]
        if len(lacking):
            out.iloc[lacking - 1, column] = ordered[name].iloc[lacking].array
    kept = np.ones(len(out), dtype=bool)
    kept[repeats] = False
    return out[kept].reset_index(drop=True)
