"""Counters of foreign files: growth summed up, restarts told from what is no counter, and rows that know nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, CONTAINER_KEY
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError
from podlab.importing.mapping import Column

#: A counter falls when its container restarts; so often other falls may be, of all steps.
_MOST_FALLS: Final = 0.05
#: A counter that began anew has at most this much of what it had, and grows in so many steps before it does so again.
_MOST_LEFT: Final = 0.5
_LEAST_GROWTH: Final = 2
#: What no container that runs has none of.
GAUGES_OF_MEMORY: Final = ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes")


def as_counters(table: pd.DataFrame, columns: Sequence[Column], where: str) -> pd.DataFrame:
    """Make counters of what counts in another way, and refuse what only calls itself a counter.

    Raises
    ------
    InputError
        If a counter falls as none does.
    """
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
    values = ordered[column.metric]
    grown = values.astype("float64")
    if (grown < 0).any():
        raise InputError(f"column {column.name!r}: a {column.kind} is below 0", where=where)
    if column.kind == "rate":
        grown = grown * ordered.groupby(key, dropna=False, sort=False)["time"].diff().dt.total_seconds()
    # A counter's first value says nothing, so it may begin at 0.
    grown = grown.where(ordered.duplicated(key), 0.0)
    summed = grown.fillna(0.0).groupby([ordered[name] for name in key], dropna=False).cumsum()
    return summed.where(values.notna()).round()


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
        raise InputError(
            f"column {column.name!r} falls in {share:.0%} of its steps, so it is no counter", where=where,
            hint="if it is growth per second, write kind = 'rate'; if growth since the row before, kind = 'growth'",
        )  # fmt: skip


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
    """Tell of containers whose counters begin anew within what counts as one life."""
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
    """Leave out rows that know nothing and say so by zeros in all columns, or by no value at all.

    Nothing that runs has no memory; and a counter that is 0 amid greater values was not read. Other rows of zeros
    are of a container that does nothing.

    Returns
    -------
    tuple of (DataFrame, int)
        The others, and how many were left out.
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
