"""Rows the slow way, one sample at a time: what the fast way is held against."""

from __future__ import annotations

import pandas as pd

from podlab.data.samples import INSTANCE_KEY

Row = tuple[int, float, dict[str, object]]


def rows(samples: pd.DataFrame) -> list[Row]:
    """Container's number, seconds since its start, and the row, by container in order of appearance and by time."""
    instances: dict[tuple[object, ...], dict[pd.Timestamp, dict[str, object]]] = {}
    for row in samples.to_dict("records"):
        key = tuple(None if pd.isna(row[name]) else row[name] for name in INSTANCE_KEY)
        instances.setdefault(key, {}).setdefault(row["time"], row)
    found = []
    for number, by_time in enumerate(instances.values()):
        first = min(by_time)
        for time in sorted(by_time):
            start = by_time[time]["started_at"]
            origin = first if pd.isna(start) else start
            found.append((number, (time - origin).total_seconds(), by_time[time]))
    return found
