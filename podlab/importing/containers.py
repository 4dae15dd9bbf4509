"""Whose a row is: the parts of an identity that only some rows tell, and what is said about a container."""

from __future__ import annotations

from typing import Final

import pandas as pd

from podlab.data.catalogue import CONTAINER_KEY

#: What is said about a container, which never tells its rows apart.
DESCRIPTION: Final = ("node", "image", "started_at", "service", "deployment", "variant", "version")
#: Of that, what does not change while a container lives.
_LASTING: Final = ("node", "image", "service", "deployment")
#: What some rows may not tell, and by what else the rows that do are found.
_PARTS_OF_IDENTITY: Final = {
    "cluster": ["namespace", "pod"],
    "namespace": ["cluster", "pod"],
    "pod_uid": ["cluster", "namespace", "pod"],
}
_LEAST_TOLERANCE_S: Final = 2.0


def fill_identity(table: pd.DataFrame) -> pd.DataFrame:
    """Fill in cluster, namespace and uid where only some rows of a pod tell them, and those agree.

    Parameters
    ----------
    table : DataFrame
        With all columns of ``CONTAINER_KEY``; ``time`` where it is known.
    """
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
    """Fill in what is said about a container where only some of its rows tell it, and those agree.

    A start is that of the latest life which had begun by a row's time.
    """
    filled = table.copy()
    for name in DESCRIPTION:
        if name in filled and filled[name].isna().any() and filled[name].notna().any():
            told = _start_by_then(filled) if name == "started_at" else _agreed(filled, list(CONTAINER_KEY), name)
            filled[name] = filled[name].fillna(told)
    return filled


def contradictions(table: pd.DataFrame) -> list[str]:
    """Tell of containers whose rows say different things about what does not change."""
    notes = []
    for name in _LASTING:
        if name not in table:
            continue
        told = table.dropna(subset=[name]).groupby(list(CONTAINER_KEY), dropna=False)[name].unique()
        several = told[told.map(len) > 1]
        if len(several):
            pod = several.index[0][CONTAINER_KEY.index("pod")]
            values = ", ".join(map(str, several.iloc[0][:5]))
            notes.append(f"rows of {len(several)} containers differ in {name}, such as pod {pod!r}: {values}")
    return notes


def starts_of_ages(table: pd.DataFrame, age_s: pd.Series, *, unit_s: float, made_up: bool) -> pd.Series:
    """Reckon when containers started from how long they had run.

    Ages are cut off to whole units, so rows of one life give starts that lie up to a unit late; the earliest counts.

    Parameters
    ----------
    table : DataFrame
        With ``time`` and all columns of ``CONTAINER_KEY``.
    age_s : Series of float
        Aligned with it.
    unit_s : float
        The unit of the ages, in seconds.
    made_up : bool
        Whether times are only an order: then a life ends where an age falls, and nowhere else.
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
    """Give the one value that rows of the same key tell; missing where they tell none or several."""
    values = table.groupby(key, dropna=False, sort=False)[name]
    return values.transform("first").where(values.transform("nunique") == 1)


def _start_by_then(table: pd.DataFrame) -> pd.Series:
    code = table.groupby(list(CONTAINER_KEY), dropna=False, sort=False).ngroup()
    rows = pd.DataFrame({"code": code, "time": table["time"], "row": table.index}).sort_values("time", kind="stable")
    starts = pd.DataFrame({"code": code, "start": table["started_at"]}).dropna().drop_duplicates().sort_values("start")
    found = pd.merge_asof(rows, starts, left_on="time", right_on="start", by="code")
    return pd.Series(found["start"].array, index=found["row"]).reindex(table.index)
