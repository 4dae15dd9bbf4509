"""From a foreign table to the samples table, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from podlab.deployments import deployments_of
from podlab.errors import InputError
from podlab.importing.mapping import Column, Fixed, FromFile, Mapping, Origin
from podlab.importing.quantities import MISSING, TEXT, read_quantities
from podlab.importing.readers import read_table
from podlab.importing.times import read_times
from podlab.metrics import CATALOGUE, FEATURE_METRICS
from podlab.samples import INSTANCE_KEY, check_samples
from podlab.telemetry.prometheus_series import PAUSE

#: A counter falls when its container restarts; what falls more often than in this share of its steps is none.
_MOST_FALLS: Final = 0.05
_LARGEST: Final = 2.0**62
#: What tells pods apart, for metrics that are counted per pod.
_OF_POD: Final = ("time", "cluster", "namespace", "pod")


@dataclass(frozen=True)
class Imported:
    """A converted recording.

    Attributes
    ----------
    samples : DataFrame
        A checked samples table.
    present : dict of str to float
        Share of rows in which each metric has a value.
    interval_s : float or None
        Median time between two rows of a container; None where each has only one.
    notes : list of str
        What a reader should know of it.
    """

    samples: pd.DataFrame
    present: dict[str, float]
    interval_s: float | None
    notes: list[str]


def import_files(paths: Sequence[Path], mapping: Mapping, *, cluster: str | None = None) -> Imported:
    """Convert files that are written alike into one recording.

    Parameters
    ----------
    paths : sequence of Path
    mapping : Mapping
        What their columns are.
    cluster : str, optional
        The cluster's name, where the mapping names none.

    Raises
    ------
    InputError
        If a file cannot be read, has not the columns that the mapping names, or what is in them is not what the
        mapping says.
    """
    parts = [_convert(read_table(path, mapping.format), mapping, path) for path in paths]
    where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    table = pd.concat(parts, ignore_index=True)
    if cluster is not None and mapping.identity.cluster is None:
        table["cluster"] = cluster
    if "service" in table and "deployment" not in table:
        table["deployment"] = deployments_of(table)
    samples = check_samples(table, where=where)
    return Imported(samples, _present(samples), _interval_s(samples), _notes(samples, mapping))


def _convert(table: pd.DataFrame, mapping: Mapping, path: Path) -> pd.DataFrame:
    where = str(path)
    _check_columns(table, mapping, where)
    told = {
        name: _values(origin, table, path)
        for part in (mapping.identity, mapping.labels)
        for name, origin in part
        if origin is not None and name != "started_at"
    }
    who = pd.DataFrame(told, index=table.index)
    who["time"] = read_times(table, mapping.time, who, where)
    if mapping.identity.started_at is not None:
        at = mapping.time.model_copy(update={"column": mapping.identity.started_at, "round": None, "every": None})
        who["started_at"] = read_times(table, at, who, where)
    values = {column.metric: _numbers(table, column, mapping, where) for column in mapping.column}
    wide = who.assign(**values) if mapping.long is None else _from_long(who, values, mapping, where)
    for column in mapping.column:
        wide[column.metric] = _as_our_kind(wide, column, where)
    return wide.dropna(subset=[each.metric for each in mapping.column], how="all")


def _check_columns(table: pd.DataFrame, mapping: Mapping, where: str) -> None:
    origins = [origin for part in (mapping.identity, mapping.labels) for _, origin in part]
    wanted = [origin for origin in origins if isinstance(origin, str)]
    wanted += [] if mapping.time.column is None else [mapping.time.column]
    if mapping.long is None:
        wanted += [column.name for column in mapping.column]
    else:
        wanted += [mapping.long.name, mapping.long.value, *(label for c in mapping.column for label in c.where)]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        has = ", ".join(map(str, table.columns[:20]))
        raise InputError(f"there is no column {missing[0]!r}", where=where, todo=f"it has {has}")


def _values(origin: Origin, table: pd.DataFrame, path: Path) -> object:
    if isinstance(origin, Fixed):
        return origin.value
    if isinstance(origin, FromFile):
        try:
            found = re.search(origin.file, path.stem)
        except re.error as error:
            raise InputError(f"{origin.file!r} is no regular expression: {error}", where=str(path)) from error
        if found is None or not found.groups():
            raise InputError(f"{origin.file!r} finds nothing in the file's name", where=str(path))
        return found[1]
    return table[origin].astype("str").where(table[origin].notna())


def _numbers(table: pd.DataFrame, column: Column, mapping: Mapping, where: str) -> pd.Series:
    """Give a metric's values in our unit, by the file's rows; NaN where a row is of something else."""
    if mapping.long is None:
        values, meant = table[column.name], pd.Series(True, index=table.index)
    else:
        values, meant = table[mapping.long.value], table[mapping.long.name] == column.name
        for label, text in column.where.items():
            meant &= table[label] == text
        if not meant.any():
            which = "".join(f", {label} {text!r}" for label, text in column.where.items())
            raise InputError(f"there is no row of {column.name!r}{which}", where=where)
    values = values.where(meant)
    try:
        if column.unit == TEXT:
            return read_quantities(values, CATALOGUE[column.metric].unit, column.part)
        numbers = pd.to_numeric(values.replace([*MISSING], None), dtype_backend="numpy_nullable")
    except (ValueError, TypeError) as error:
        what = str(error).partition(" at position")[0]
        raise InputError(f"column {column.name!r}: {what}", where=where) from error
    # Whole numbers stay whole where they count: counters pass 2**53.
    exact = CATALOGUE[column.metric].kind == "counter" and column.factor.is_integer()
    if not exact or pd.api.types.is_float_dtype(numbers) or (numbers.abs() > _LARGEST / column.factor).any():
        return numbers.astype("float64") * column.factor
    return numbers * int(column.factor)


def _from_long(who: pd.DataFrame, values: dict[str, pd.Series], mapping: Mapping, where: str) -> pd.DataFrame:
    """Put the values of one container and instant, a row each, side by side."""
    told = pd.DataFrame({name: each.notna() for name, each in values.items() if CATALOGUE[name].per == "container"})
    # The network is counted on the pod's pause container, or on the pod: that is no row of its own.
    a_container = who["container"].notna() & (who["container"] != PAUSE)
    wide = who[a_container & told.any(axis=1)].drop_duplicates(ignore_index=True)
    if wide.empty:
        raise InputError("no row is of a container", where=where, todo="see identity.container in the mapping")
    for column in mapping.column:
        whose = list(who) if CATALOGUE[column.metric].per == "container" else [name for name in _OF_POD if name in who]
        part = who[whose].assign(**{column.metric: values[column.metric]}).dropna(subset=[column.metric])
        if column.sum:
            part = part.groupby(whose, dropna=False)[column.metric].sum().reset_index()
        part = part.drop_duplicates()
        twice = part[part.duplicated(whose, keep=False)]
        if len(twice):
            raise InputError(
                f"{column.name!r} has several values for pod {twice['pod'].iloc[0]!r} at {twice['time'].iloc[0]}",
                where=where, todo="name the one meant by `where`, or add them by `sum = true`",
            )  # fmt: skip
        wide = wide.merge(part, how="left", on=whose)
    return wide


def _as_our_kind(table: pd.DataFrame, column: Column, where: str) -> pd.Series:
    """Make a counter of what counts in another way, and refuse what only calls itself a counter."""
    values = table[column.metric]
    if CATALOGUE[column.metric].kind != "counter":
        return values
    key = [name for name in INSTANCE_KEY if name in table]
    order = table.sort_values([*key, "time"], kind="stable").index
    sorted_values = values.loc[order]
    groups = table.loc[order].groupby(key, dropna=False, sort=False)
    if column.kind in ("rate", "growth"):
        grown = sorted_values.astype("float64")
        if (grown < 0).any():
            raise InputError(f"column {column.name!r}: a {column.kind} is below 0", where=where)
        if column.kind == "rate":
            grown = grown * groups["time"].diff().dt.total_seconds()
        # A counter's first value says nothing, so it may begin at 0.
        first = ~table.loc[order].duplicated(key)
        grown = grown.where(~first, 0.0)
        summed = grown.fillna(0.0).groupby([table.loc[order, name] for name in key], dropna=False).cumsum()
        return summed.where(sorted_values.notna()).round().reindex(table.index)
    steps = groups[column.metric].diff().dropna()
    falls = float((steps < 0).mean()) if len(steps) else 0.0
    if falls > _MOST_FALLS:
        raise InputError(
            f"column {column.name!r} falls in {falls:.0%} of its steps, so it is no counter", where=where,
            todo="if it is growth per second, write kind = 'rate'; if growth since the row before, kind = 'growth'",
        )  # fmt: skip
    return values


def _present(samples: pd.DataFrame) -> dict[str, float]:
    return {name: float(samples[name].notna().mean()) if name in samples else 0.0 for name in FEATURE_METRICS}


def _interval_s(samples: pd.DataFrame) -> float | None:
    steps = samples.groupby(list(INSTANCE_KEY), dropna=False)["time"].diff().dt.total_seconds().dropna()
    return float(np.median(steps)) if len(steps) else None


def _notes(samples: pd.DataFrame, mapping: Mapping) -> list[str]:
    notes = []
    if mapping.time.every is not None:
        notes.append(f"times are made up: rows in their order, {mapping.time.every} apart")
    if samples["started_at"].isna().any():
        notes.append("the start of some containers is not known: the first row counts as it")
    if any(column.unit == TEXT for column in mapping.column):
        notes.append("numbers were rounded before they were written: small changes are lost")
    if "service" in samples and mapping.labels.deployment is None:
        notes.append(f"deployments are told by the pods' names: {samples['deployment'].nunique()} of them")
    return notes
