"""From points of Prometheus' metrics to the samples table: one row per container and instant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, PrometheusPlace
from podlab.sources.prometheus_client import Floats
from podlab.sources.prometheus_series import NODE_LABELS, STARTED, Owned, Owner, Points, first_of, make_points, uid_of
from podlab.sources.time_join import (
    NOTHING,
    TOO_LARGE,
    Ints,
    drop_impossible,
    instants,
    match_rows,
    nearest_rows,
    sampling_interval,
)

_MS_PER_S: Final = 1_000
_NS_PER_MS: Final = 1_000_000
# cAdvisor's usual interval, for a fetch that saw every container just once.
_DEFAULT_INTERVAL_MS: Final = 15 * _MS_PER_S


@dataclass
class ScrapeTimeline:
    """The rows of the table to be, sorted by container and time.

    Attributes
    ----------
    owner, time_ms : ndarray of int64, shape (n_rows,)
        Number of each row's container, and when it was taken.
    interval_ms : ndarray of int64, shape (n_rows,)
        Estimated sampling interval of the row's container.
    """

    owner: Ints
    time_ms: Ints
    interval_ms: Ints

    def join(self, points: Points, *, owner: Ints | None = None) -> tuple[Floats, Floats]:
        """Give each row the nearest value within half a sampling interval, each used once.

        Parameters
        ----------
        points : Points
        owner : ndarray of int64, shape (n_rows,), optional
            Who each row is among the points' owners; the rows' containers by default.

        Returns
        -------
        values, age_s : ndarray of float64, shape (n_rows,)
            The values, and by how many seconds each was taken before its row; NaN where there is none.
        """
        if owner is None and np.array_equal(points.owner, self.owner) and np.array_equal(points.time_ms, self.time_ms):
            return points.value, np.zeros(len(self.time_ms))
        index = match_rows(
            self.owner if owner is None else owner, self.time_ms, points.owner, points.time_ms,
            tolerance=self.interval_ms // 2, user=self.owner,
        )  # fmt: skip
        age_s = (self.time_ms - np.append(points.time_ms, 0)[index]) / _MS_PER_S
        return np.append(points.value, np.nan)[index], np.where(index == NOTHING, np.nan, age_s)


def make_timeline(metrics: Sequence[Points], since_ms: int, until_ms: int) -> ScrapeTimeline:
    """Make the rows: the instants at which a container was measured.

    All metrics of a container usually carry the same instant. Those that lie less than half an interval from a row
    belong to it; others make a row of their own, so that nothing is lost where the first metric has a gap.

    Parameters
    ----------
    metrics : sequence of Points
        Of the containers; at least one.
    since_ms, until_ms : int
        Rows are in ``since_ms <= time < until_ms``.
    """
    owner = np.empty(0, dtype=np.int64)
    time_ms, interval_ms = owner, owner
    for points in metrics:
        inside = points.rows((points.time_ms >= since_ms) & (points.time_ms < until_ms))
        if np.array_equal(inside.owner, owner) and np.array_equal(inside.time_ms, time_ms):
            continue
        if len(owner) and len(inside.owner):
            _, apart_ms = nearest_rows(inside.owner, inside.time_ms, owner, time_ms)
            own_ms = sampling_interval(inside.owner, inside.time_ms, default=_DEFAULT_INTERVAL_MS)
            inside = inside.rows(apart_ms > own_ms // 2)
        owner, time_ms = np.append(owner, inside.owner), np.append(time_ms, inside.time_ms)
        order = np.lexsort((time_ms, owner))
        owner, time_ms = owner[order], time_ms[order]
    if len(owner):
        interval_ms = sampling_interval(owner, time_ms, default=_DEFAULT_INTERVAL_MS)
    return ScrapeTimeline(owner, time_ms, interval_ms)


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
    """The rows of a table to be.

    Attributes
    ----------
    timeline : ScrapeTimeline
        Whose each row is, and when it was taken.
    containers : list of Owner
        By number.
    columns : dict of str to ndarray, shape (n_rows,)
        Metrics, ages, and ``started_at`` in seconds since 1970.
    about : dict of str to list
        What is known of each container.
    """

    timeline: ScrapeTimeline
    containers: list[Owner]
    columns: dict[str, Floats]
    about: dict[str, list[str | None]]

    def pods(self, numbers: Mapping[Owner, int]) -> Ints:
        """Give each row the number that its pod has, by uid where pods of one name are distinguished; -1 where none."""
        by_uid = [(*key[:3], uid or "") for key, uid in zip(self.containers, self.about["pod_uid"], strict=True)]
        named, own = (
            np.array([numbers.get(who, NOTHING) for who in owners], dtype=np.int64)
            for owners in ([key[:3] for key in self.containers], by_uid)
        )
        return np.where(own == NOTHING, named, own)[self.timeline.owner]

    def join_of_pods(self, column: str, points: Points, numbers: Mapping[Owner, int]) -> None:
        """Join what is counted per pod, and how old it is; ``numbers`` are those of the pods."""
        owner = self.pods(numbers)
        age = AGES[CATALOGUE[column].family]
        self.columns[column], age_s = self.timeline.join(points, owner=owner)
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
        frame = pd.DataFrame({"time": instants(self.timeline.time_ms * _NS_PER_MS), **named})
        for name, values in self.columns.items():
            if name == "started_at":
                frame[name] = _starts(values, owner)
            elif np.isfinite(values).any():
                # A sum of floats may lie beside a whole number by the last bit.
                is_counter = name in CATALOGUE and CATALOGUE[name].kind == "counter"
                frame[name] = np.rint(values) if is_counter else values
        drop_impossible(frame)
        return frame


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
    """Join the metrics of each container, and of its pod.

    Parameters
    ----------
    scraped : mapping of str to Owned
        By metric; at least one that is counted per container, and :data:`STARTED` where it is there.
    places : mapping of str to PrometheusPlace
        By column; those whose metric was not scraped are left out.
    columns : collection of str
        The columns to make.
    since_ms, until_ms : int
        Rows are in ``since_ms <= time < until_ms``.
    """
    numbers: dict[Owner, int] = {}
    points = {
        column: make_points(scraped[place.name], place, numbers)
        for column, place in places.items()
        if CATALOGUE[column].per == "container" and place.name in scraped
    }
    started = make_points(scraped[STARTED.name], STARTED, {**numbers}) if STARTED.name in scraped else None
    timeline = make_timeline(list(points.values()), since_ms, until_ms)
    if CPU_RATE in columns and CPU_RATE not in points and CPU_COUNTER in points:
        points[CPU_RATE] = rate_of(points[CPU_COUNTER])
    joined: dict[str, Floats] = {}
    for column in (column for column in columns if column in points):
        joined[column], age_s = timeline.join(points[column])
        if column == _ROOTFS:
            joined[AGES["filesystem"]] = age_s
    if started is not None:
        joined["started_at"], _ = timeline.join(started)
    rows = ScrapedRows(timeline, list(numbers), joined, _about(list(numbers), scraped))
    for column, place in places.items():
        if CATALOGUE[column].per == "pod" and place.name in scraped and column in columns:
            numbers = {}
            of_pods = make_points(scraped[place.name], place, numbers)
            rows.join_of_pods(column, of_pods, numbers)
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
