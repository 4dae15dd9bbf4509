"""From foreign tables to the samples table, and what came of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, CONTAINER_KEY, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.samples import MISSING_NUMBERS, as_numbers, check_samples, is_missing, known_text, median_interval_s
from podlab.data.units import parse_duration_s
from podlab.data.workloads import deployments_of
from podlab.errors import InputError
from podlab.importing.mapping import (
    TEXT,
    Age,
    Column,
    Fixed,
    FromColumn,
    FromFile,
    Mapping,
    Origin,
    QuantityError,
    is_nothing_of_nothing,
    read_quantities,
)
from podlab.importing.readers import ForeignTable, read_table
from podlab.importing.rows import (
    DESCRIPTION,
    GAUGES_OF_MEMORY,
    as_counters,
    contradictions,
    drop_rows_of_nothing,
    fill_descriptions,
    fill_identity,
    read_times,
    restarts,
    starts_of_ages,
    times_in_order,
)
from podlab.sources.prometheus_series import PAUSE

log = logging.getLogger(__name__)

_INT64_END: Final = 2**63
#: What identifies a pod's row, for metrics that are counted per pod.
_OF_POD: Final = ("time", "cluster", "namespace", "pod")
_OF_CONTAINER: Final = ("time", *CONTAINER_KEY)
#: Columns of our own beside the table's: how long a container ran, which series a value is of, whether memory is known.
_AGE_S: Final = "age_s"
_SERIES: Final = "series"
_NO_MEMORY: Final = "no_memory"
#: What becomes of columns that are instants.
_INSTANT: Final = "instant"
_VALUE: Final = "value"
_AGE_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "text": 60.0}
_MOST_AGE_S: Final = 100 * 366 * 86400.0
_COMMAS_AND_POINTS: Final = str.maketrans(",.", ".,")
_COMMA: Final = re.compile(r"\s*[+-]?\d+,\d+\s*")


@dataclass(frozen=True)
class Imported:
    """A converted recording."""

    samples: pd.DataFrame  # a checked samples table
    present: dict[str, float]  # share of rows in which each metric has a value
    #: Median time between two rows of a container; None where each has only one.
    interval_s: float | None
    notes: list[str]  # what a reader should know of it


def import_files(paths: Sequence[Path], mapping: Mapping, *, cluster: str | None = None) -> Imported:
    """Convert files that are written alike into one recording.

    A row is identified by container and time alone: node, image, start and labels are filled in from any row of the
    container, and a note says where they contradict each other. Raises InputError if a file cannot be read, has not the
    columns that the mapping names, or what is in them is not what the mapping says. ``mapping`` says what their columns
    are; ``cluster`` is the cluster's name where the mapping names none.
    """
    where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    table = pd.concat([_read(path, mapping) for path in paths], ignore_index=True)
    if cluster is not None and mapping.identity.cluster is None:
        table["cluster"] = cluster
    for name in CONTAINER_KEY:
        if name not in table:
            table[name] = pd.Series(pd.NA, index=table.index, dtype="str")
    _refuse_absent(table, mapping, where)
    table = fill_identity(table)
    if mapping.time.every is not None:
        key = [*CONTAINER_KEY, *([_SERIES] if mapping.long is not None else [])]
        number = table.groupby(key, dropna=False, sort=False).cumcount()
        table["time"] = times_in_order(number, mapping.time, where)
    if mapping.long is not None:
        table = _from_long(table, mapping, where)
    if isinstance(mapping.identity.started_at, Age):
        unit_s = _AGE_UNITS_S[mapping.identity.started_at.unit]
        made_up = mapping.time.every is not None
        table["started_at"] = starts_of_ages(table, table[_AGE_S], unit_s=unit_s, made_up=made_up)
    differing = contradictions(table)
    table = fill_descriptions(table)
    table, empty_rows = drop_rows_of_nothing(table, mapping.column)
    if table.empty:
        raise InputError("no row has a value", where=where, hint="its values are missing, or all of them are 0")
    if _NO_MEMORY in table:
        gauges = [c.metric for c in mapping.column if c.metric in GAUGES_OF_MEMORY]
        table[gauges] = table[gauges].mask(table[_NO_MEMORY].fillna(False).astype(bool))
    table = as_counters(table, mapping.column, where)
    table = table.drop(columns=[_AGE_S, _SERIES, _NO_MEMORY], errors="ignore")
    if "service" in table and "deployment" not in table:
        table["deployment"] = deployments_of(table)
    samples = check_samples(table, where=where)
    notes = [*_notes(samples, mapping), *differing, *restarts(samples, mapping.column)]
    if empty_rows:
        what = "row has" if empty_rows == 1 else "rows have"
        notes.append(f"{empty_rows} {what} no value, or zeros in all columns: left out")
    return Imported(samples, _present(samples), median_interval_s(samples), notes)


def _read(path: Path, mapping: Mapping) -> pd.DataFrame:
    """Read a file as our columns, by its rows: a metric is missing where a row is of something else."""
    foreign = read_table(path, mapping.format)
    if mapping.time.columns is not None:
        foreign, mapping = _instants_as_rows(foreign, mapping)
    _check_columns(foreign, mapping)
    read = _read_rows(foreign, mapping, path, mapping.time.column, [c for c in mapping.column if c.time is None])
    parts = [read] if any(column.time is None for column in mapping.column) else []
    for name in dict.fromkeys(column.time for column in mapping.column if column.time is not None):
        parts.append(_read_rows(foreign, mapping, path, name, [c for c in mapping.column if c.time == name]))
    return pd.concat(parts, ignore_index=True)


def _read_rows(
    foreign: ForeignTable, mapping: Mapping, path: Path, time: str | None, columns: Sequence[Column]
) -> pd.DataFrame:
    table = foreign.rows
    fields = {
        name: _values(origin, table, path, name)
        for part in (mapping.identity, mapping.labels)
        for name, origin in part
        if origin is not None and name != "started_at"
    }
    rows = pd.DataFrame(fields, index=table.index)
    if time is not None:
        rows["time"] = read_times(foreign, time, mapping.time)
    if mapping.identity.started_at is not None:
        rows = rows.assign(**_start(foreign, mapping))
    if mapping.long is not None:
        rows[_SERIES] = table[mapping.long.name]
    for column in columns:
        rows[column.metric] = _numbers(foreign, column, mapping)
        if column.unit == TEXT and column.metric in GAUGES_OF_MEMORY and mapping.long is None:
            rows[_NO_MEMORY] = is_nothing_of_nothing(table[column.name])
    _refuse_nobody(foreign, rows, [column.metric for column in columns], mapping)
    return rows


def _instants_as_rows(foreign: ForeignTable, mapping: Mapping) -> tuple[ForeignTable, Mapping]:
    """Make a row for each value of a table whose columns are instants."""
    pattern = mapping.time.columns or ""
    names = list(map(str, foreign.rows))
    instants = [name for name in names if re.fullmatch(pattern, name)]
    others = [name for name in names if name not in instants]
    if not instants:
        what = f"time.columns: {pattern!r} fits no column"
        raise InputError(what, where=foreign.where, hint=f"it has {_some(others)}")
    for name in (_INSTANT, _VALUE):
        if name in others:
            what = f"column {name!r} cannot be distinguished from the instants' {name}"
            raise InputError(what, where=foreign.where, hint="rename it")
    rows = foreign.rows.astype(dict.fromkeys(instants, "object"))
    rows = rows.melt(id_vars=others, value_vars=instants, var_name=_INSTANT, value_name=_VALUE)
    time = mapping.time.model_copy(update={"column": _INSTANT, "columns": None})
    lines = np.tile(foreign.lines, len(instants))
    return replace(foreign, rows=rows, lines=lines), mapping.model_copy(update={"time": time})


def _check_columns(foreign: ForeignTable, mapping: Mapping) -> None:
    table, where = foreign.rows, foreign.where
    origins = [origin for part in (mapping.identity, mapping.labels) for _, origin in part]
    wanted = [origin for origin in origins if isinstance(origin, str)]
    wanted += [origin.column for origin in origins if isinstance(origin, FromColumn)]
    wanted += [origin.age for origin in origins if isinstance(origin, Age)]
    wanted += [] if mapping.time.column is None else [mapping.time.column]
    wanted += [column.time for column in mapping.column if column.time is not None]
    if mapping.long is None:
        wanted += [column.name for column in mapping.column]
    else:
        wanted += [mapping.long.name, mapping.long.value, *(label for c in mapping.column for label in c.where)]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        again = [name for name in table.columns if re.fullmatch(re.escape(missing[0]) + r" \(\d+\)", name)]
        if again:
            what = f"column {missing[0]!r} is there twice"
            raise InputError(what, where=where, hint=f"name one of {', '.join(map(repr, again))}")
        hint = f"it has {_some(list(table))}"
        if len(table.columns) == 1 and len(str(table.columns[0]).split()) > 1:
            hint += ", which is one column: put commas, semicolons or tabs between several"
        raise InputError(f"there is no column {missing[0]!r}", where=where, hint=hint)


def _some(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:20]))


def _values(origin: Origin, table: pd.DataFrame, path: Path, name: str) -> object:
    """Give an identity or a label; the words of other tools for missing are none, except as a pod's or container's."""
    if isinstance(origin, Fixed):
        return known_text(pd.Series([origin.value]), where=str(path))[0]
    if isinstance(origin, FromFile):
        try:
            found = re.search(origin.file, path.stem)
        except re.error as error:
            raise InputError(f"{origin.file!r} is not a regular expression: {error}", where=str(path)) from error
        if found is None or not found.groups():
            raise InputError(f"{origin.file!r} finds nothing in the file's name", where=str(path))
        return found[1]
    values = table[origin if isinstance(origin, str) else origin.column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # classes 0 and 1, of which some are missing, are no 0.0 and 1.0
    text = known_text(values, where=str(path), names=name in ("pod", "container")).str.strip(" \t")
    return text.replace(origin.rename) if isinstance(origin, FromColumn) else text


def _start(foreign: ForeignTable, mapping: Mapping) -> dict[str, pd.Series]:
    start = mapping.identity.started_at
    if isinstance(start, str):
        written = mapping.time.model_copy(update={"round": None})
        return {"started_at": read_times(foreign, start, written)}
    assert start is not None
    given = foreign.rows[start.age]
    is_duration = pd.api.types.is_timedelta64_dtype(given)
    values = known_text(given, where=foreign.where)
    if start.unit == "text" and not is_duration:
        known = {}
        for text in values.dropna().unique():
            # kubectl counts years, of 365 days each.
            days = re.sub(r"(\d{1,2})y", lambda found: f"{365 * int(found[1])}d", text)
            try:
                known[text] = 0.0 if text == "0s" else parse_duration_s(days)
            except InputError as error:
                raise foreign.fault(start.age, np.flatnonzero(values == text)[0], str(error)) from None
        return {_AGE_S: values.map(known).astype("float64")}
    in_units = as_numbers(values).astype("float64") * _AGE_UNITS_S[start.unit]
    age_s = given.dt.total_seconds() if is_duration else in_units
    bad = np.flatnonzero((age_s.isna() & values.notna()) | (age_s < 0) | (age_s > _MOST_AGE_S))
    if len(bad):
        what = f"{str(values.iloc[bad[0]])[:60]!r} is no age in {start.unit}"
        raise foreign.fault(start.age, bad[0], what)
    return {_AGE_S: age_s}


def _numbers(foreign: ForeignTable, column: Column, mapping: Mapping) -> pd.Series:
    """Give a metric's values in our unit, by the file's rows; missing where a row is of something else."""
    table = foreign.rows
    if mapping.long is None:
        values = table[column.name]
    else:
        meant = table[mapping.long.name] == column.name
        for label, text in column.where.items():
            meant &= table[label] == text
        values = table[mapping.long.value].where(meant.fillna(False))
    if pd.api.types.is_timedelta64_dtype(values) and CATALOGUE[column.metric].unit == "ns":
        values = values.dt.total_seconds() * (1e9 / column.factor)
    given = values
    if mapping.decimal == "," and not pd.api.types.is_numeric_dtype(values):
        values = values.map(lambda value: value.translate(_COMMAS_AND_POINTS) if isinstance(value, str) else value)
    if column.unit == TEXT:
        try:
            return read_quantities(values, CATALOGUE[column.metric].unit, column.part)
        except QuantityError as error:
            position = np.flatnonzero(values.astype("str") == error.text)[0]
            what = str(error).replace(error.text, str(given.iloc[position]))
            raise foreign.fault(column.name, position, what) from error
    if not pd.api.types.is_numeric_dtype(values):
        values = known_text(values, where=foreign.where)
        values = values.mask(is_missing(values, MISSING_NUMBERS))
    numbers = as_numbers(values)
    if pd.api.types.is_bool_dtype(numbers):
        raise InputError(f"column {column.name!r} is true and false, not numbers", where=foreign.where)
    bad = np.flatnonzero((numbers.isna() & values.notna()) | (numbers < 0).fillna(False))
    if len(bad):
        what = "is negative" if numbers.notna().iloc[bad[0]] else "is not a number"
        shown = str(given.iloc[bad[0]])[:60]
        hint = "if its comma is a decimal one, write decimal = ',' in the mapping" if _COMMA.fullmatch(shown) else None
        raise foreign.fault(column.name, bad[0], f"{shown!r} {what}", hint)
    # Infinite is no measurement, as in live sources.
    infinite = (numbers == np.inf).fillna(False)
    numbers, values = numbers.mask(infinite), values.mask(infinite)
    is_whole = pd.api.types.is_integer_dtype(numbers)
    most = int(_INT64_END / column.factor) if is_whole else _INT64_END / column.factor
    large = (numbers >= most).fillna(False).to_numpy(dtype=bool)
    if large.any():
        what = "%s: %d values of %s are beyond 2**63 and count as missing"
        log.warning(what, foreign.where, int(large.sum()), column.name)
        numbers = as_numbers(values.mask(large))
        is_whole = pd.api.types.is_integer_dtype(numbers)
    # Whole numbers stay whole where they count: counters pass 2**53.
    if CATALOGUE[column.metric].kind == "counter" and column.factor.is_integer() and is_whole:
        return numbers.astype("Int64") * int(column.factor)
    return numbers.astype("Float64").astype("float64") * column.factor


def _refuse_nobody(foreign: ForeignTable, rows: pd.DataFrame, metrics: Sequence[str], mapping: Mapping) -> None:
    """Refuse values of which nobody knows when, or in wide tables of whom, they are."""
    valued = rows[list(metrics)].notna().any(axis=1)
    for name in ("time", *(() if mapping.long is not None else ("pod", "container"))):
        lacking = np.flatnonzero(valued & rows[name].isna()) if name in rows else np.empty(0, dtype=np.int64)
        if len(lacking):
            raise InputError(f"{foreign.at(lacking[0])}: the {name} is missing", where=foreign.where)


def _refuse_absent(table: pd.DataFrame, mapping: Mapping, where: str) -> None:
    if mapping.long is None:
        return
    for column in mapping.column:
        if not (table[_SERIES] == column.name).any() or (column.where and table[column.metric].isna().all()):
            which = "".join(f", {label} {text!r}" for label, text in column.where.items())
            raise InputError(f"there is no row of {column.name!r}{which}", where=where)


def _from_long(table: pd.DataFrame, mapping: Mapping, where: str) -> pd.DataFrame:
    """Put the values of one container and instant, a row each, side by side."""
    own = [column.metric for column in mapping.column if CATALOGUE[column.metric].per == "container"]
    # The network is counted on the pod's pause container, or on the pod: that is no row of its own.
    a_container = table["container"].notna() & (table["container"] != PAUSE)
    rows = table[a_container].assign(**{_VALUE: table[own].notna().any(axis=1)})
    about = [name for name in (*DESCRIPTION, _AGE_S) if name in table]
    groups = rows.groupby(list(_OF_CONTAINER), dropna=False, sort=False)
    wide = groups[about].first().assign(**{_VALUE: groups[_VALUE].max()}).reset_index()
    wide = wide[wide[_VALUE].astype(bool)].drop(columns=_VALUE).reset_index(drop=True)
    if wide.empty:
        raise InputError("no row is of a container", where=where, hint="see identity.container in the mapping")
    if "node" in table:
        wide["node"] = wide["node"].fillna(_node_of_pod(wide, table))
    for column in mapping.column:
        whose = list(_OF_CONTAINER if CATALOGUE[column.metric].per == "container" else _OF_POD)
        part = table[[*whose, column.metric]].dropna(subset=[column.metric])
        if column.sum:
            part = part.groupby(whose, dropna=False)[column.metric].sum().reset_index()
        part = part.drop_duplicates()
        twice = part[part.duplicated(whose, keep=False)]
        if len(twice):
            what = f"{column.name!r} has several values for pod {twice['pod'].iloc[0]!r} at {twice['time'].iloc[0]}"
            raise InputError(what, where=where, hint="name the one meant by `where`, or add them by `sum = true`")
        wide = wide.merge(part, how="left", on=whose)
    return wide


def _node_of_pod(wide: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    nodes = table.dropna(subset=["node"]).groupby(list(_OF_POD), dropna=False)["node"].first()
    found: pd.Series = wide.merge(nodes.rename("of_pod").reset_index(), how="left", on=list(_OF_POD))["of_pod"]
    return found


def _present(samples: pd.DataFrame) -> dict[str, float]:
    shown = [name for name in MEASURED_METRICS if name in ORIGINAL_METRICS or name in samples]
    return {name: float(samples[name].notna().mean()) if name in samples else 0.0 for name in shown}


def _notes(samples: pd.DataFrame, mapping: Mapping) -> list[str]:
    notes = []
    if mapping.time.every is not None:
        notes.append(f"times are made up: rows in their order, {mapping.time.every} apart")
    if samples["started_at"].isna().any():
        notes.append("the start of some containers is not known: the first row counts as it")
    if any(column.unit == TEXT for column in mapping.column):
        notes.append("numbers were rounded before they were written: small changes are lost")
    if "service" in samples and mapping.labels.deployment is None:
        notes.append(f"deployments are derived from the pods' names: {samples['deployment'].nunique()} of them")
    return notes
