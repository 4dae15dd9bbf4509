"""From what was scraped of containers and pods to rows: who they are about, and the values that belong together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from podlab.metrics import AGES, CATALOGUE, Family, PrometheusPlace
from podlab.telemetry.nearest import Ints
from podlab.telemetry.prometheus_series import NODE_LABELS, Owned, Owner, Points, first_of, make_points, uid_of
from podlab.telemetry.prometheus_table import Grid, make_grid, make_table, number_of, rate_of
from podlab.telemetry.prometheus_wire import Floats

STARTED: Final = PrometheusPlace("container_start_time_seconds")
CPU_RATE: Final = "cpu_usage_nanocores"
CPU_COUNTER: Final = "cpu_usage_core_nanoseconds"
_ROOTFS: Final = "rootfs_used_bytes"
_MS_PER_S: Final = 1_000


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
        """Give each row the number that its pod has; -1 where it has none."""
        return number_of([key[:3] for key in self.containers], numbers)[self.grid.owner]

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
    joined = {column: grid.join(points[column]) for column in columns if column in points}
    if _ROOTFS in joined:
        joined |= ages(grid, points[_ROOTFS], "filesystem")
    if started is not None:
        joined["started_at"] = grid.join(started)
    rows = ScrapedRows(grid, list(numbers), joined, _about(list(numbers), scraped))
    for column, place in places.items():
        if CATALOGUE[column].per == "pod" and place.name in scraped and column in columns:
            _join_of_pods(rows, column, place, scraped[place.name])
    return rows


def _join_of_pods(rows: ScrapedRows, column: str, place: PrometheusPlace, owned: Owned) -> None:
    numbers: dict[Owner, int] = {}
    points = make_points(owned, place, numbers)
    owner = rows.pods(numbers)
    rows.columns[column] = rows.grid.join(points, owner=owner)
    for age, values in ages(rows.grid, points, CATALOGUE[column].family, owner=owner).items():
        known = rows.columns.get(age, values)
        rows.columns[age] = np.where(np.isnan(known), values, known)


def ages(grid: Grid, points: Points, family: Family, *, owner: Ints | None = None) -> dict[str, Floats]:
    """Tell how much older than the rows the values are that are joined to them; arguments as of :meth:`Grid.join`."""
    taken = Points(points.owner, points.time_ms, points.time_ms.astype(np.float64))
    return {AGES[family]: (grid.time_ms - grid.join(taken, owner=owner)) / _MS_PER_S}


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
