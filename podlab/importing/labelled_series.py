"""Labelled multivariate series of other formats: a CSV of times, values and a label, by a mapping of its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.data.samples import MISSING_NUMBERS, check_samples, is_missing, known_text
from podlab.errors import InputError
from podlab.importing.readers import read_table

_RULE = re.compile(
    r"(?P<given>[^=]+)=(?P<rate>rate:)?(?P<column>\w+)(?:\*(?P<factor>[0-9.eE+-]+))?(?::(?P<written>.+))?"
)
_PLAIN = ("time", "anomaly", "service")
_TRUE_AND_FALSE = {"true": True, "false": False}
#: The year first, with any separator: there is one way to read it.
_YEAR_FIRST = r"\d{4}[-/.]\d\d?[-/.]\d\d?(?:[T ].*)?"
_HOW = "write such as time=time,cpu=cpu_usage_nanocores*1e7,net_in=rate:rx_bytes,label=anomaly"


@dataclass(frozen=True)
class Rule:
    """Where one column of the samples table, ``time``, ``anomaly``, ``service`` or a metric, comes from."""

    given: str  # the series' column
    column: str
    factor: float = 1.0  # turns the series' unit into the metric's
    rate: bool = False  # whether the series holds a counter's growth per second
    #: Of ``time`` a pattern of strptime; of ``anomaly`` what marks one, where labels are not 0 and 1.
    written: str | None = None


def parse_mapping(text: str) -> tuple[Rule, ...]:
    """Read ``given=column``, ``given=column*factor`` and ``given=rate:column``, with commas between.

    ``given=time:%d/%m/%Y`` says how times are written, ``given=anomaly:-1`` what marks an anomaly. Raises InputError if
    a part is no rule, names no column of the samples table or one twice, or ``time`` is left out.

    Examples
    --------
    >>> parse_mapping("t=time,cpu=cpu_usage_nanocores*1e7")[1].factor
    10000000.0
    """
    rules = []
    for part in text.split(","):
        match = _RULE.fullmatch(part.strip())
        if match is None:
            raise InputError(f"{part.strip()!r} is not a mapping", where="--mapping", hint=_HOW)
        column, rate = match["column"], match["rate"] is not None
        if column not in (*_PLAIN, *MEASURED_METRICS):
            what = f"{column!r} is not a metric"
            raise InputError(what, where="--mapping", hint=f"choose {', '.join(MEASURED_METRICS)}")
        if rate and (column in _PLAIN or CATALOGUE[column].kind != "counter"):
            raise InputError(f"{column!r} is not a counter, so it has no rate", where="--mapping", hint=_HOW)
        written = match["written"]
        if written is not None and column not in ("time", "anomaly"):
            raise InputError(f"{column!r} takes nothing behind a colon", where="--mapping", hint=_HOW)
        try:
            factor = float(match["factor"] or 1.0)
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            raise InputError(f"{match['factor']!r} is not a number above 0", where="--mapping", hint=_HOW)
        rules.append(Rule(match["given"].strip(), column, factor, rate, written))
    columns = [rule.column for rule in rules]
    if "time" not in columns:
        raise InputError("no column is mapped to time", where="--mapping", hint=_HOW)
    if twice := [column for column in columns if columns.count(column) > 1]:
        raise InputError(f"{twice[0]} is to come from two columns", where="--mapping", hint="keep one")
    return tuple(rules)


def read_series(path: Path, rules: tuple[Rule, ...]) -> pd.DataFrame:
    """Read a series, a CSV file with a header, as the checked samples of one container, named after the file.

    Times are seconds since any origin, texts that begin with the year, or written as the rule says; those without a
    zone are taken for UTC. Labels are 0 and 1, or true and false, or as the rule says. Columns that no rule names are
    left out. Raises InputError if the file cannot be read, lacks a column, holds what is not a number, or what could be
    read in two ways.
    """
    table = read_table(path, "csv").rows.apply(known_text, where=str(path))
    absent = [rule.given for rule in rules if rule.given not in table]
    if absent:
        has = ", ".join(map(str, table.columns[:20]))
        raise InputError(f"column {absent[0]!r} is missing", where=str(path), hint=f"it has {has}")
    time = next(rule for rule in rules if rule.column == "time")
    # In their order, for what has grown since the row before: many tools write the newest first.
    times = _times(table[time.given], time, path).sort_values(kind="stable")
    table = table.loc[times.index]
    samples = pd.DataFrame({"pod": path.stem, "container": "series", "time": times}, index=times.index)
    for rule in rules:
        if rule.column == "service":
            samples["service"] = table[rule.given]
        elif rule.column == "anomaly":
            samples["anomaly"] = _labels(table[rule.given], rule, path)
        elif rule.column != "time":
            values = _numbers(table[rule.given], path) * rule.factor
            samples[rule.column] = _as_column(values, rule, times)
    return check_samples(samples, where=str(path))


def _times(given: pd.Series, rule: Rule, path: Path) -> pd.Series:
    if rule.written is not None:
        try:
            times = pd.to_datetime(given, format=rule.written, utc=True, errors="coerce")
        except ValueError as error:
            raise InputError(f"{rule.written!r} is not a pattern", where="--mapping", hint=_HOW) from error
        _refuse(given, times.isna(), f"is not a time, or not written as {rule.written!r}", path)
        return times
    seconds = pd.to_numeric(given, errors="coerce")
    if seconds.notna().any():
        # Texts among numbers are no times; and numbers among texts are none either.
        times = pd.to_datetime(seconds * rule.factor, unit="s", utc=True, errors="coerce")
        _refuse(given, times.isna(), "is not a time", path)
        return times
    _refuse(given, given.isna() | ~given.str.contains(r"\d", regex=True, na=False), "is not a time", path)
    ambiguous = ~given.str.strip().str.fullmatch(_YEAR_FIRST)
    how = f"such as {rule.given}=time:%d/%m/%Y %H:%M:%S in --mapping"
    _refuse(given, ambiguous, "could be read in several ways, or has no date", path, f"say how it is written, {how}")
    zoned = given.str.contains(r":.*(?:Z|[+-]\d\d(?::?\d\d)?)$", regex=True)
    if zoned.any() and not zoned.all():
        raise InputError(f"column {given.name!r} has times with and without a zone", where=str(path))
    date = given.str.strip().str.replace(r"^(\d{4})[-/.](\d\d?)[-/.](\d\d?)", _two_digits, regex=True)
    # Some with a fraction of a second and some without are no other format.
    times = pd.to_datetime(date, format="ISO8601", utc=True, errors="coerce")
    _refuse(given, times.isna(), "is not a time", path, f"say how it is written, {how}")
    return times


def _two_digits(found: re.Match[str]) -> str:
    return f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}"


def _labels(given: pd.Series, rule: Rule, path: Path) -> pd.Series:
    if rule.written is not None:
        numbers = pd.to_numeric(given, errors="coerce")
        marks = pd.to_numeric(pd.Series([rule.written]), errors="coerce")[0]
        marked: pd.Series = (given == rule.written) | (numbers.notna() & (numbers == marks))
        return marked
    labels = given.str.strip().str.lower().map(_TRUE_AND_FALSE)
    numbers = pd.to_numeric(given, errors="coerce")
    labels = labels.where(labels.notna(), numbers.map({0.0: False, 1.0: True})).astype("boolean")
    hint = f"say what marks an anomaly, such as {rule.given}=anomaly:-1 in --mapping"
    _refuse(given, labels.isna() & given.notna(), "is neither 0 nor 1", path, hint)
    return labels.fillna(False)


def _numbers(given: pd.Series, path: Path) -> pd.Series:
    given = given.mask(is_missing(given, MISSING_NUMBERS))
    numbers = pd.to_numeric(given, errors="coerce").astype("float64")
    _refuse(given, numbers.isna() & given.notna(), "is not a number", path)
    return numbers.where(np.isfinite(numbers))


def _refuse(given: pd.Series, bad: pd.Series, what: str, path: Path, hint: str | None = None) -> None:
    if bad.any():
        row = bad.index[bad].min()
        shown = "nothing" if pd.isna(given[row]) else repr(str(given[row])[:60])
        raise InputError(f"column {given.name!r}, row {row + 1}: {shown} {what}", where=str(path), hint=hint)


def _as_column(values: pd.Series, rule: Rule, times: pd.Series) -> pd.Series:
    if rule.rate:
        # A rate is that of the time since the last one that is known.
        known = values.dropna()
        grown = known * times[known.index].diff().dt.total_seconds().fillna(0.0)
        values = grown.cumsum().reindex(values.index)
    return values.round() if CATALOGUE[rule.column].kind == "counter" else values
