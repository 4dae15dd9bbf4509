"""From what was scraped of containers and pods to rows: who they are about, and the values that belong together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, PrometheusPlace
from podlab.sources.nearest import NOTHING, Ints
from podlab.sources.prometheus_series import NODE_LABELS, Owned, Owner, Points, first_of, make_points, uid_of
from podlab.sources.prometheus_table import Grid, make_grid, make_table, number_of, rate_of
from podlab.sources.prometheus_wire import Floats

STARTED: Final = PrometheusPlace("container_start_time_seconds")
CPU_RATE: Final = "cpu_usage_nanocores"
CPU_COUNTER: Final = "cpu_usage_core_nanoseconds"
_ROOTFS: Final = "rootfs_used_bytes"


@dataclass(frozen=True)
class ScrapedRows:
    """The rows of a table to be.

    Attributes
    ----------
    grid : Grid
        Whose each row is, and when it was taken.
    containers : list of Owner
        By number.
    columns : dict of str to ndarray, shape (n_rows,)
        Metrics, ages, and ``started_at`` in seconds since 1970.
    about : dict of str to list
        What is known of each container.
    """

    grid: Grid
    containers: list[Owner]
    columns: dict[str, Floats]
    about: dict[str, list[str | None]]

    def pods(self, numbers: Mapping[Owner, int]) -> Ints:
        """Give each row the number that its pod has, by uid where pods of one name are told apart; -1 where none."""
        by_uid = [(*key[:3], uid or "") for key, uid in zip(self.containers, self.about["pod_uid"], strict=True)]
        named = number_of([key[:3] for key in self.containers], numbers)
        own = number_of(by_uid, numbers)
        return np.where(own == NOTHING, named, own)[self.grid.owner]

    def join_of_pods(self, column: str, points: Points, numbers: Mapping[Owner, int]) -> None:
        """Join what is counted per pod, and how old it is; ``numbers`` are those of the pods."""
        owner = self.pods(numbers)
        age = AGES[CATALOGUE[column].family]
        self.columns[column], age_s = self.grid.join_with_age(points, owner=owner)
        known = self.columns.get(age)
        self.columns[age] = age_s if known is None else np.where(np.isnan(known), age_s, known)

    def table(self) -> pd.DataFrame:
        """Make the table, which is not checked yet."""
        return make_table(self.grid, self.containers, self.columns, self.about)


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
    grid = make_grid(list(points.values()), since_ms, until_ms)
    if CPU_RATE in columns and CPU_RATE not in points and CPU_COUNTER in points:
        points[CPU_RATE] = rate_of(points[CPU_COUNTER])
    joined: dict[str, Floats] = {}
    for column in (column for column in columns if column in points):
        joined[column], age_s = grid.join_with_age(points[column])
        if column == _ROOTFS:
            joined[AGES["filesystem"]] = age_s
    if started is not None:
        joined["started_at"] = grid.join(started)
    rows = ScrapedRows(grid, list(numbers), joined, _about(list(numbers), scraped))
    for column, place in places.items():
        if CATALOGUE[column].per == "pod" and place.name in scraped and column in columns:
            numbers = {}
            of_pods = make_points(scraped[place.name], place, numbers)
            rows.join_of_pods(column, of_pods, numbers)
    return rows


def _about(containers: list[Owner], scraped: Mapping[str, Owned]) -> dict[str, list[str | None]]:
    """Find what the series' labels tell of each container."""
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
