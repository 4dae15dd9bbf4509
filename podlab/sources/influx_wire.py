"""Reading InfluxDB's answers, msgpack or (3.x) JSON, into columns.

msgpack is used because it alone is exact and unambiguous: integers keep their 64 bits, and tag values come back
unchanged whatever characters they hold (CSV does not escape a backslash in them). It is also the quickest that
the server writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from podlab.errors import PodlabError


class _Series(msgspec.Struct):
    columns: list[str]
    tags: dict[str, str | None] | None = None
    rows: list[tuple[Any, ...]] = msgspec.field(default=[], name="values")
    partial: bool = False


class _Result(msgspec.Struct):
    series: list[_Series] = []
    error: str | None = None
    partial: bool = False


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str | None = None


_DECODER: Final = msgspec.msgpack.Decoder(_Answer)
_JSON_DECODER: Final = msgspec.json.Decoder(_Answer)


class RefusedError(PodlabError):
    """The server answered with an error in the body; ``what`` is what it said."""


class PartialAnswerError(PodlabError):
    """The server left rows out of its answer."""


@dataclass
class Rows:
    """Rows of one measurement, in columns.

    Attributes
    ----------
    tags : list of tuple of str
        The tags' values of each series; empty where a series does not have the tag.
    series : ndarray of int64, shape (n_rows,)
        Which of ``tags`` a row belongs to.
    time_ns : ndarray of int64, shape (n_rows,)
        Nanoseconds since 1970, UTC.
    fields : dict of str to Series
        One column per field: ``Int64``, ``Float64``, ``boolean`` or ``str``, with gaps missing.
    """

    tags: list[tuple[str, ...]]
    series: npt.NDArray[np.int64]
    time_ns: npt.NDArray[np.int64]
    fields: dict[str, pd.Series]


def read_series(answer: bytes, *, where: str) -> list[_Series]:
    """Read an answer of one statement.

    Raises
    ------
    RefusedError
        If the answer is an error; the server sends those with status 200 too.
    PartialAnswerError
        If the server left rows out.
    PodlabError
        If the answer is not what an InfluxDB server sends.
    """
    try:
        # A map in msgpack never begins as one in JSON does.
        decoded = (_JSON_DECODER if answer[:1] == b"{" else _DECODER).decode(answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _no_answer(str(error), where) from error
    series = []
    for said in (decoded.error, *(result.error for result in decoded.results)):
        if said is not None:
            raise RefusedError(said, where=where)
    for result in decoded.results:
        if result.partial or any(each.partial for each in result.series):
            raise PartialAnswerError("the server left rows out of its answer", where=where)
        series += result.series
    return series


def read_rows(answer: bytes, fields: Mapping[str, str], tags: Sequence[str], *, where: str) -> Rows:
    """Read the answer of ``SELECT fields ... GROUP BY tags``; errors as of :func:`read_series`.

    Parameters
    ----------
    answer : bytes
    fields : mapping of str to str
        What each field is to be called -> its name in the answer.
    tags : sequence of str
    where : str
        Where it came from, for errors.
    """
    expected = ["time", *fields.values()]
    all_series = [
        part
        for series in read_series(answer, where=where)
        for part in ([series] if series.columns == expected else _in_order(series, expected, tags, where))
    ]
    rows = [row for series in all_series for row in series.rows]
    try:
        time_ns, *values = _to_columns(rows, len(expected))
        time_ns = np.array(time_ns, dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _no_answer("its rows are not times and values", where) from error
    if len(values) != len(fields):
        raise _no_answer("its rows have not the columns that it names", where)
    if any(isinstance(value, list | dict) for column in values if isinstance(column, tuple) for value in column):
        raise _no_answer("its rows hold more than plain values", where)
    counts = [len(series.rows) for series in all_series]
    return Rows(
        tags=[tuple((series.tags or {}).get(tag) or "" for tag in tags) for series in all_series],
        series=np.repeat(np.arange(len(all_series)), counts),
        time_ns=time_ns,
        fields={name: _to_series(column) for name, column in zip(fields, values, strict=True)},
    )


def _no_answer(why: str, where: str) -> PodlabError:
    return PodlabError(
        f"the answer is not InfluxDB's or broke off: {why}", where=where, hint="check that it is InfluxDB"
    )


def _in_order(series: _Series, expected: Sequence[str], tags: Sequence[str], where: str) -> list[_Series]:
    """Put a series' columns into the order asked for; tags that stand among them (3.x) divide it."""
    place = {name: number for number, name in enumerate(series.columns)}
    if lost := [name for name in expected if name not in place]:
        raise PodlabError(f"the answer lacks the column {lost[0]!r} that was asked for", where=where)
    order = [place[name] for name in expected]
    among = [tag for tag in tags if tag in place]
    parts: dict[tuple[str | None, ...], list[tuple[Any, ...]]] = {}
    for row in series.rows:
        if len(row) != len(series.columns) or not all(isinstance(row[place[tag]], str | None) for tag in among):
            raise _no_answer("its rows have not the columns that it names", where)
        parts.setdefault(tuple(row[place[tag]] for tag in among), []).append(tuple(row[number] for number in order))
    return [
        _Series(list(expected), {**(series.tags or {}), **dict(zip(among, values, strict=True))}, rows)
        for values, rows in parts.items()
    ]


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Put the rows of several answers to the same question, such as time slices, into one."""
    parts = [part for part in parts if len(part.series)] or list(parts[:1])
    offsets = np.cumsum([0, *(len(part.tags) for part in parts[:-1])])
    return Rows(
        tags=[tags for part in parts for tags in part.tags],
        series=np.concatenate([part.series + offset for part, offset in zip(parts, offsets, strict=True)]),
        time_ns=np.concatenate([part.time_ns for part in parts]),
        fields={name: pd.concat([part.fields[name] for part in parts]) for name in parts[0].fields},
    )


def _to_columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Any]:
    """Turn rows into columns; integers throughout, which is what Telegraf writes, become arrays at once."""
    if rows and all(type(value) is int for value in rows[0]):
        # No type is asked for: numpy would cut fractions off, where a field has them from some row on.
        table = np.array(rows)
        if table.dtype == np.int64:
            return list(np.ascontiguousarray(table.T))
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _to_series(values: Any) -> pd.Series:
    """Bring one field to its type without a way through float64, which would round integers."""
    if isinstance(values, np.ndarray):
        return pd.Series(pd.arrays.IntegerArray(values, np.zeros(len(values), dtype=bool)))
    if all(value is None for value in values):
        return pd.Series(pd.NA, index=range(len(values)), dtype="Int64")
    column = pd.Series(pd.array(values))
    if column.dtype == object and all(value is None or type(value) in (int, float) for value in values):
        # Whole numbers beyond 64 bits: too large to be any metric, and seen to be so by those who read them.
        return pd.Series([None if value is None else float(value) for value in values], dtype="Float64")
    return column
