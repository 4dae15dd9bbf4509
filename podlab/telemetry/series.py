"""Labelled multivariate series of other formats: a CSV of times, values and a label, by a mapping of its columns."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from podlab.errors import InputError
from podlab.metrics import CATALOGUE, FEATURE_METRICS
from podlab.samples import check_samples

_RULE = re.compile(r"(?P<given>[^=]+)=(?P<rate>rate:)?(?P<column>\w+)(?:\*(?P<factor>[0-9.eE+-]+))?")
_PLAIN = ("time", "anomaly", "service")
_HOW = "write such as time=time,cpu=cpu_usage_nanocores*1e7,net_in=rate:rx_bytes,label=anomaly"


@dataclass(frozen=True)
class Rule:
    """Where one column of the samples table comes from.

    Attributes
    ----------
    given : str
        The series' column.
    column : str
        ``time``, ``anomaly``, ``service`` or a metric.
    factor : float
        Turns the series' unit into the metric's.
    rate : bool
        Whether the series holds a counter's growth per second.
    """

    given: str
    column: str
    factor: float = 1.0
    rate: bool = False


def parse_mapping(text: str) -> tuple[Rule, ...]:
    """Read ``given=column``, ``given=column*factor`` and ``given=rate:column``, with commas between.

    Raises
    ------
    InputError
        If a part is no rule, names no column of the samples table or one twice, or ``time`` is left out.

    Examples
    --------
    >>> parse_mapping("t=time,cpu=cpu_usage_nanocores*1e7")[1].factor
    10000000.0
    """
    rules = []
    for part in text.split(","):
        match = _RULE.fullmatch(part.strip())
        if match is None:
            raise InputError(f"{part.strip()!r} is no mapping", where="--map", todo=_HOW)
        column, rate = match["column"], match["rate"] is not None
        if column not in (*_PLAIN, *FEATURE_METRICS):
            raise InputError(f"{column!r} is no metric", where="--map", todo=f"choose of {', '.join(FEATURE_METRICS)}")
        if rate and (column in _PLAIN or CATALOGUE[column].kind != "counter"):
            raise InputError(f"{column!r} is no counter, so it has no rate", where="--map", todo=_HOW)
        try:
            factor = float(match["factor"] or 1.0)
        except ValueError:
            raise InputError(f"{match['factor']!r} is no number", where="--map", todo=_HOW) from None
        rules.append(Rule(match["given"].strip(), column, factor, rate))
    columns = [rule.column for rule in rules]
    if "time" not in columns:
        raise InputError("no column is mapped to time", where="--map", todo=_HOW)
    if twice := [column for column in columns if columns.count(column) > 1]:
        raise InputError(f"{twice[0]} is to come from two columns", where="--map", todo="keep one")
    return tuple(rules)


def read_series(path: Path, rules: tuple[Rule, ...]) -> pd.DataFrame:
    """Read a series as the samples of one container, named after the file.

    Parameters
    ----------
    path : Path
        A CSV file with a header. Times are seconds since 1970 or texts with a date; without a date any origin does.
        Labels are 0 and 1.
    rules : tuple of Rule
        Columns that none names are left out.

    Returns
    -------
    DataFrame
        A checked samples table.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or holds what is no number.
    """
    try:
        with warnings.catch_warnings():
            # A separator at the end of each row must not make the first column an index, and move all others;
            # more values than columns are an error.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, index_col=False)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise InputError(f"is no CSV file: {str(error).splitlines()[0]}", where=str(path)) from None
    absent = [rule.given for rule in rules if rule.given not in table]
    if absent:
        has = ", ".join(map(str, table.columns[:20]))
        raise InputError(f"column {absent[0]!r} is missing", where=str(path), todo=f"it has {has}")
    samples = pd.DataFrame({"pod": path.stem, "container": "series"}, index=table.index)
    time = next(rule for rule in rules if rule.column == "time")
    samples["time"] = _times(table[time.given], time.factor, path)
    step_s = samples["time"].diff().dt.total_seconds().fillna(0.0).clip(lower=0.0)
    for rule in rules:
        if rule.column == "service":
            samples["service"] = table[rule.given].astype("str")
        elif rule.column != "time":
            values = _numbers(table[rule.given], path) * rule.factor
            samples[rule.column] = _as_column(values, rule, step_s)
    return check_samples(samples, where=str(path))


def _times(given: pd.Series, factor: float, path: Path) -> pd.Series:
    seconds = pd.to_numeric(given, errors="coerce")
    if is_numeric_dtype(given) or seconds.notna().all():
        times = pd.to_datetime(seconds * factor, unit="s", utc=True, errors="coerce")
    else:
        # Some with a fraction of a second and some without are no other format.
        times = pd.to_datetime(given, format="ISO8601", utc=True, errors="coerce")
        if times.isna().any():
            times = pd.to_datetime(given, utc=True, errors="coerce")
    _refuse(given, times.isna(), "is no time", path)
    return times


def _numbers(given: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(given, errors="coerce").astype("float64")
    _refuse(given, numbers.isna() & given.notna(), "is no number", path)
    return numbers.where(np.isfinite(numbers))


def _refuse(given: pd.Series, bad: pd.Series, what: str, path: Path) -> None:
    if bad.any():
        row = int(bad.to_numpy().argmax())
        shown = "nothing" if pd.isna(given.iloc[row]) else repr(str(given.iloc[row])[:60])
        raise InputError(f"column {given.name!r}, row {row + 1}: {shown} {what}", where=str(path))


def _as_column(values: pd.Series, rule: Rule, step_s: pd.Series) -> pd.Series:
    if rule.column == "anomaly":
        return values.fillna(0.0) > 0
    if rule.rate:
        values = (values.fillna(0.0) * step_s).cumsum()
    return values.round() if CATALOGUE[rule.column].kind == "counter" else values
