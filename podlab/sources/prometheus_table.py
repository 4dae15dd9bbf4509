"""From points of Prometheus' metrics to the samples table: one row per container and instant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, PrometheusPlace
from podlab.sources.prometheus_client import Floats
from podlab.sources.prometheus_series import NODE_LABELS, STARTED, Owned, Owner, Points, first_of, make_points, uid_of
from podlab.sources.time_join import NOTHING, TOO_LARGE, Ints, Timeline, drop_impossible, instants

_MS_PER_S: Final = 1_000
_NS_PER_MS: Final = 1_000_000
# cAdvisor's usual interval, for a fetch that saw every container just once.
_DEFAULT_INTERVAL_MS: Final = 15 * _MS_PER_S


def rate_of(points: Points) -> Points:
    """Growth per second since the point before; none for a container's first point, and none where a counter fell."""
    elapsed_s = np.diff(points.time_ms) / _MS_PER_S
    growth = np.diff(points.value)
    kept = np.flatnonzero((np.diff(points.owner) == 0) & (growth >= 0)) + 1
    return Points(points.owner[kept], points.time_ms[kept], growth[kept - 1] / elapsed_s[kept - 1])


def _starts(seconds: Floats, owner: Ints) -> pd.Series:
    """Read starts; a container keeps its own until the next one, so a row without takes its neighbour's."""
    ms = pd.Series(
        np.where((seconds > 0) & (seconds < TOO_LARGE / _MS_PER_S / _NS_PER_MS), seconds, np.nan) * _MS_PER_S
    )
    filled = ms.groupby(owner).ffill().groupby(owner).bfill()
    known = filled.notna()
    return instants(filled.where(known, 0).round().to_numpy().astype(np.int64) * _NS_PER_MS).where(known)


CPU_RATE: Final = "cpu_usage_nanocores"
CPU_COUNTER: Final = "cpu_usage_core_nanoseconds"
_ROOTFS: Final = "rootfs_used_bytes"


@dataclass(frozen=True)
class ScrapedRows:
    """The rows of a table to be."""

    timeline: Timeline  # whose each row is, and when it was taken, in milliseconds since 1970
    containers: list[Owner]  # by number
    columns: dict[str, Floats]  # metrics, ages, and ``started_at`` in seconds since 1970 (n_rows,)
    about: dict[str, list[str | None]]  # what is known of each container

    def pods(self, numbers: Mapping[Owner, int]) -> Ints:
        """Give each row the number that its pod has, by uid where pods of one name are distinguished; -1 where none."""
        by_uid = [(*key[:3], uid or "") for key, uid in zip(self.containers, self.about["pod_uid"], strict=True)]
        named, own = (
            np.array([numbers.get(who, NOTHING) for who in owners], dtype=np.int64)
            for owners in ([key[:3] for key in self.containers], by_uid)
        )
        return np.where(own == NOTHING, named, own)[self.timeline.owner]

    def join(self, column: str, points: Points) -> Floats:
        """Join what is counted per container; return by how many seconds each value was taken before its row."""
        self.columns[column], age_s = _join(self.timeline, points)
        return age_s

    def join_of_pods(self, column: str, points: Points, numbers: Mapping[Owner, int]) -> None:
        """Join what is counted per pod, and how old it is; ``numbers`` are those of the pods."""
        age = AGES[CATALOGUE[column].family]
        self.columns[column], age_s = _join(self.timeline, points, self.pods(numbers))
        known = self.columns.get(age)
        self.columns[age] = age_s if known is None else np.where(np.isnan(known), age_s, known)

    def table(self) -> pd.DataFrame:
        """Make the table, which is not checked yet; metrics without any value leave no column."""
        owner = self.timeline.owner
        names = pd.DataFrame(
            [key[:4] for key in self.containers], columns=["cluster", "namespace", "pod", "container"], dtype="str"
        )
        named = {str(name): values.where(values != "").take(owner).array for name, values in names.items()}
        named |= {name: pd.Series(values, dtype="str").take(owner).array for name, values in self.about.items()}
        frame = pd.DataFrame({"time": instants(self.timeline.time * _NS_PER_MS), **named})
        for name, values in self.columns.items():
            if name == "started_at":
                frame[name] = _starts(values, owner)
            elif np.isfinite(values).any():
                # A sum of floats may lie beside a whole number by the last bit.
                is_counter = name in CATALOGUE and CATALOGUE[name].kind == "counter"
                frame[name] = np.rint(values) if is_counter else values
        drop_impossible(frame)
        return frame


def _join(timeline: Timeline, points: Points, own: Ints | None = None) -> tuple[Floats, Floats]:
    """Give each row its nearest value, and by how many seconds that was taken before it; NaN where there is none."""
    index = timeline.match(points.owner, points.time_ms, own=own)
    age_s = (timeline.time - np.append(points.time_ms, 0)[index]) / _MS_PER_S
    return np.append(points.value, np.nan)[index], np.where(index == NOTHING, np.nan, age_s)


def needed_columns(columns: Collection[str]) -> set[str]:
    """Name what must be read for some columns: rows are counted by the containers' own metrics."""
    needed = {*columns, *([CPU_COUNTER] if CPU_RATE in columns else [])}
    if not any(CATALOGUE[column].per == "container" for column in needed):
        needed.add("memory_working_set_bytes")
    return needed


def join_scraped(
    scraped: Mapping[str, Owned],
    places: Mapping[str, PrometheusPlace],
    columns: Collection[str],
    since_ms: int,
    until_ms: int,
) -> ScrapedRows:
    """Join the metrics of each container, and of its pod, as rows with ``since_ms <= time < until_ms``.

    Parameters
    ----------
    scraped : mapping of str to Owned
        By metric; at least one that is counted per container, and :data:`STARTED` where it is there.
    places : mapping of str to PrometheusPlace
        By column; those whose metric was not scraped are left out.
    columns : collection of str
        The columns to make.
    """
    numbers: dict[Owner, int] = {}
    points = {
        column: make_points(scraped[place.name], place, numbers)
        for column, place in places.items()
        if CATALOGUE[column].per == "container" and place.name in scraped
    }
    inside = (each.rows((each.time_ms >= since_ms) & (each.time_ms < until_ms)) for each in points.values())
    timeline = Timeline.of(((each.owner, each.time_ms) for each in inside), default=_DEFAULT_INTERVAL_MS)
    rows = ScrapedRows(timeline, list(numbers), {}, _about(list(numbers), scraped))
    if CPU_RATE in columns and CPU_RATE not in points and CPU_COUNTER in points:
        points[CPU_RATE] = rate_of(points[CPU_COUNTER])
    for column in (column for column in columns if column in points):
        age_s = rows.join(column, points[column])
        if column == _ROOTFS:
            rows.columns[AGES["filesystem"]] = age_s
    if STARTED.name in scraped:
        rows.join("started_at", make_points(scraped[STARTED.name], STARTED, numbers))
    for column, place in places.items():
        if CATALOGUE[column].per == "pod" and place.name in scraped and column in columns:
            pods: dict[Owner, int] = {}
            rows.join_of_pods(column, make_points(scraped[place.name], place, pods), pods)
    return rows


def _about(containers: list[Owner], scraped: Mapping[str, Owned]) -> dict[str, list[str | None]]:
    """Collect what the series' labels say about each container."""
    labels_of: dict[Owner | None, Mapping[str, str]] = {}
    for owned in scraped.values():
        for who, labels in zip(owned.owners, owned.raw.labels, strict=True):
            labels_of.setdefault(who, labels)
    known = [labels_of[who] for who in containers]
    return {
        "node": [first_of(labels, NODE_LABELS) or None for labels in known],
        "image": [labels.get("image") or None for labels in known],
        "pod_uid": [uid_of(labels) for labels in known],
    }
