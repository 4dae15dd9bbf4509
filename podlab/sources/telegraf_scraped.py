"""What Telegraf's ``prometheus`` input writes of the kubelets' ``/metrics/cadvisor``: the same series as in Prometheus.

A metric is a measurement of its name, with a field ``gauge``, ``counter`` or ``value`` (``metric_version = 1``), or a
field of the measurement ``prometheus`` (``metric_version = 2``); labels are tags, and times cAdvisor's own:
https://docs.influxdata.com/telegraf/v1/input-plugins/prometheus/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, PrometheusPlace
from podlab.sources.influxdb_client import MeasurementRows
from podlab.sources.prometheus_client import RawSeries
from podlab.sources.prometheus_query import CADVISOR
from podlab.sources.prometheus_series import (
    CPU_COUNTER,
    CPU_RATE,
    PAUSE,
    STARTED,
    Owned,
    ScrapedRows,
    choose_scrapers,
    container_of,
    join_scraped,
    needed_columns,
    pod_of,
)
from podlab.sources.telegraf import Measurement
from podlab.sources.time_join import NOTHING, Ints, match_rows, sampling_interval

ALL_IN_ONE: Final = "prometheus"
#: Labels as tags, and what Telegraf adds: who wrote it.
_TAGS: Final = (
    "cluster", "namespace", "pod", "container", "id", "name", "image", "node", "cpu", "device", "interface",
    "failure_type", "scope", "host", "url",
)  # fmt: skip
_FIELDS: Final = ("gauge", "counter", "value")
_NS_PER_MS: Final = 1_000_000
_DEFAULT_INTERVAL_NS: Final = 15_000_000_000

#: Reads a measurement's rows in the span asked for, widened by a number of ns on both sides.
ReadMeasurement = Callable[[Measurement, int], MeasurementRows]


def places_of(columns: Collection[str]) -> dict[str, PrometheusPlace]:
    """Where cAdvisor has some columns, and what rows need; it does not measure volumes."""
    needed = needed_columns([column for column in columns if column in CADVISOR.places or column == CPU_RATE])
    return {
        column: place
        for column, place in CADVISOR.places.items()
        if column in needed and CATALOGUE[column].family != "volume"
    }


def measurement_of(metric: str, *, per_pod: bool, all_in_one: bool) -> Measurement:
    """Say where a metric is."""
    fields = {metric: metric} if all_in_one else {name: name for name in _FIELDS}
    without: dict[str, tuple[str, ...]] = {"pod": ("",)}
    if not per_pod:
        without["container"] = ("", PAUSE)
    return Measurement(ALL_IN_ONE if all_in_one else metric, _TAGS, fields, without=without)


def read_scraped(
    read: ReadMeasurement,
    there: Collection[str],
    columns: Collection[str],
    since_ns: int,
    until_ns: int,
    *,
    cluster: str,
    all_in_one: bool,
    margin_ns: int,
) -> ScrapedRows | None:
    """Read and join what is there of some columns, in a span; None where nothing is.

    ``there`` are the metrics that exist, ``all_in_one`` as fields of one measurement. The pods' own values, and
    processor time, whose growth is asked for, are looked for up to ``margin_ns`` around the span.
    """
    places = {column: place for column, place in places_of(columns).items() if place.name in there}
    if not any(CATALOGUE[column].per == "container" for column in places):
        return None
    found: dict[str, Owned] = {}
    named = {place.name: CATALOGUE[column].per == "pod" for column, place in places.items()}
    processor = CADVISOR.places[CPU_COUNTER].name
    for name, per_pod in (named | {STARTED.name: False}).items():
        if name in there:
            wider_ns = margin_ns if per_pod or name == processor else 0
            rows = read(measurement_of(name, per_pod=per_pod, all_in_one=all_in_one), wider_ns)
            found[name] = Owned.of(_as_series(rows), pod_of if per_pod else container_of, cluster)
    joined = join_scraped(
        choose_scrapers(found), places, columns, -(-since_ns // _NS_PER_MS), -(-until_ns // _NS_PER_MS)
    )
    return joined if len(joined.timeline.owner) else None


def _as_series(rows: MeasurementRows) -> RawSeries:
    labels = [{tag: value for tag, value in zip(_TAGS, tags, strict=True) if value} for tags in rows.tags]
    value = np.full(len(rows.series), np.nan)
    for field in rows.fields.values():
        # Whoever else writes text into it writes no value.
        numbers = pd.to_numeric(field, errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
        value = np.where(np.isnan(value), numbers, value)
    there = ~np.isnan(value)
    return RawSeries(labels, rows.series[there], rows.time_ns[there] // _NS_PER_MS, value[there])


def lacking_columns(frame: pd.DataFrame, columns: Collection[str]) -> list[str]:
    """List the columns that the ``kubernetes`` input lacks and this one may have; of the network all or none."""
    present = {column for column in columns if column in frame and frame[column].notna().any()}
    lacking = {column for column in places_of(columns) if column in columns and column not in present}
    if any(CATALOGUE[column].family == "network" for column in lacking):
        lacking |= {column for column in places_of(columns) if CATALOGUE[column].family == "network"}
    return [column for column in columns if column in lacking]


def add_scraped(frame: pd.DataFrame, scraped: pd.DataFrame, columns: Collection[str]) -> pd.DataFrame:
    """Join what was scraped to the rows of Telegraf's ``kubernetes`` input, which are taken at other times.

    The nearest within half an interval, each used once, of the columns that :func:`lacking_columns` names. The network
    is taken as a whole where it was scraped: only there it has its own times.
    """
    key = ["cluster", "namespace", "pod", "container"]
    both = pd.concat([frame[key], scraped[key]], ignore_index=True).astype("object").fillna("")
    group: Ints = np.asarray(both.groupby(key, sort=False).ngroup(), dtype=np.int64)
    time_ns, other_ns = (np.asarray(each["time"].astype("int64"), dtype=np.int64) for each in (frame, scraped))
    own = group[: len(frame)]
    index = match_rows(
        own, time_ns, group[len(frame) :], other_ns,
        tolerance=sampling_interval(own, time_ns, default=_DEFAULT_INTERVAL_NS) // 2, user=own,
    )  # fmt: skip
    found = [column for column in columns if column in scraped]
    taken: dict[str, Any] = {column: scraped[column].array.take(index, allow_fill=True) for column in found}
    network = any(CATALOGUE[column].family == "network" for column in found)
    for column in ("pod_uid", "started_at", "image"):
        if column in scraped and (column not in frame or bool(frame[column].isna().all())):
            taken[column] = scraped[column].array.take(index, allow_fill=True)
    age = AGES["network"]
    if network and age in scraped and age not in frame:
        later_s = (time_ns - np.append(other_ns, 0)[index]) * 1e-9
        ages_s = np.append(scraped[age].to_numpy(np.float64), np.nan)[index] + later_s
        taken[age] = np.where(index == NOTHING, np.nan, ages_s.round(3))
    return frame.assign(**taken)


def present_names(measurements: Mapping[str, Collection[str]]) -> tuple[set[str], bool]:
    """Find which metrics exist, and whether as fields of one measurement.

    ``measurements`` are all, and of :data:`ALL_IN_ONE` the fields.
    """
    known = {place.name for place in CADVISOR.places.values()} | {STARTED.name}
    own = known & measurements.keys()
    return (own, False) if own else (known & set(measurements.get(ALL_IN_ONE, ())), True)


def written_columns(columns: Collection[str]) -> dict[bool, list[str]]:
    """List what a replay writes as this input would, metrics per pod apart: those that no other input has.

    The network is written as a whole or not at all; see :func:`add_scraped`.
    """
    there = [column for column in places_of(columns) if column in columns]
    own = {column for column in there if CATALOGUE[column].influxdb is None}
    network = any(CATALOGUE[column].family == "network" for column in own)
    written = [column for column in there if column in own or (network and CATALOGUE[column].family == "network")]
    parts: dict[bool, list[str]] = {}
    for column in written:
        parts.setdefault(CATALOGUE[column].per == "pod", []).append(column)
    return parts
