"""Labelled multivariate series of other formats: a CSV of times, values and a label, by a mapping of its columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

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
        If a part is no rule, names no column of the samples table, or ``time`` is left out.

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
    if "time" not in {rule.column for rule in rules}:
        raise InputError("no column is mapped to time", where="--map", todo=_HOW)
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
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (OSError, ValueError) as error:
        raise InputError(f"is no CSV file: {str(error).splitlines()[0]}", where=str(path)) from None
    absent = [rule.given for rule in rules if rule.given not in table]
    if absent:
        has = ", ".join(map(str, table.columns[:20]))
        raise InputError(f"column {absent[0]!r} is missing", where=str(path), todo=f"it has {has}")
    samples = pd.DataFrame({"pod": path.stem, "container": "series"}, index=table.index)
    time = next(rule for rule in rules if rule.column == "time")
    given = table[time.given]
    seconds = pd.to_numeric(given, errors="coerce")
    numbers = seconds.notna().all()
    samples["time"] = pd.to_datetime(
        seconds * time.factor if numbers else given, unit="s" if numbers else None, utc=True, errors="coerce"
    )
    if samples["time"].isna().any():
        row = int(samples["time"].isna().to_numpy().argmax())
        raise InputError(f"row {row + 1}: {given.iloc[row]!r} is no time", where=str(path))
    step_s = samples["time"].diff().dt.total_seconds().fillna(0.0).clip(lower=0.0)
    for rule in rules:
        if rule.column == "service":
            samples["service"] = table[rule.given].astype("str")
        elif rule.column != "time":
            values = pd.to_numeric(table[rule.given], errors="coerce") * rule.factor
            samples[rule.column] = _as_column(values, rule, step_s)
    return check_samples(samples, where=str(path))


def _as_column(values: pd.Series, rule: Rule, step_s: pd.Series) -> pd.Series:
    if rule.column == "anomaly":
        return values.fillna(0.0) > 0
    if rule.rate:
        values = (values.fillna(0.0) * step_s).cumsum()
    return values.round().astype("Int64") if CATALOGUE[rule.column].kind == "counter" else values
