"""Rows of foreign files: their containers, gaps filled from other rows, and checks of counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, CONTAINER_KEY
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import InputError
from podlab.importing.mapping import Column

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
            notes.append(f"rows of {len(several)} containers differ in {name}, such as pod {pod!r}: {values}")
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
            f"column {column.name!r} falls in {share:.0%} of its steps, so it is not a counter", where=where,
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
