"""From Telegraf's measurements to one table: joined on time, told apart by container."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, IDENTITY
from podlab.sources import influx_schema as schema
from podlab.sources.influx_wire import Rows
from podlab.sources.nearest import NOTHING, Ints, match_rows, nearest_rows, sampling_interval

log = logging.getLogger(__name__)

_NS_PER_S: Final = 1_000_000_000
# Telegraf's default interval, for a fetch that saw every container just once.
_DEFAULT_INTERVAL_NS: Final = 10 * _NS_PER_S
#: Beyond this a value does not fit into the table's counters.
_TOO_LARGE: Final = 2**63


@dataclass
class Grid:
    """The rows of the table to be: one per container and instant, sorted by both.

    Attributes
    ----------
    containers : list of tuple of str
        Cluster, node, namespace, pod and container by number.
    container, pod : ndarray of int64, shape (n_rows,)
        Number of each row's container, and of its pod.
    time_ns : ndarray of int64, shape (n_rows,)
        When the row was taken.
    interval_ns : ndarray of int64, shape (n_rows,)
        Estimated sampling interval of the row's container.
    """

    containers: list[tuple[str, ...]]
    container: Ints
    pod: Ints
    time_ns: Ints
    interval_ns: Ints
    pod_numbers: dict[tuple[str, ...], int]


def make_grid(rows_of: Mapping[str, Rows], *, cluster: str) -> Grid:
    """Make the grid of the containers' own rows, and of a replay's identity rows.

    Parameters
    ----------
    rows_of : mapping of str to Rows
        By measurement.
    cluster : str
        Name of the cluster where no tag tells it.
    """
    numbers: dict[tuple[str, ...], int] = {}
    parts = [rows_of[name] for name in (schema.CONTAINER, schema.IDENTITY) if name in rows_of]
    container = np.concatenate([_number(_named(part.tags, cluster), numbers)[part.series] for part in parts])
    time_ns = np.concatenate([part.time_ns for part in parts])
    containers = list(numbers)
    # System containers have no pod; they are measured elsewhere and are no business of ours.
    known = np.array([bool(key[3] and key[4]) for key in containers], dtype=bool)
    kept = known[container]
    container, time_ns = container[kept], time_ns[kept]

    order = np.lexsort((time_ns, container))
    container, time_ns = container[order], time_ns[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(container) != 0) | (np.diff(time_ns) != 0)
    container, time_ns = container[new], time_ns[new]
    pod_numbers: dict[tuple[str, ...], int] = {}
    pod = _number(((key[0], key[2], key[3]) for key in containers), pod_numbers)[container]
    interval_ns = sampling_interval(container, time_ns, default=_DEFAULT_INTERVAL_NS)
    return Grid(containers, container, pod, time_ns, interval_ns, pod_numbers)


def join_measurements(grid: Grid, rows_of: Mapping[str, Rows], *, cluster: str) -> pd.DataFrame:
    """Join every measurement to the grid's rows: the nearest within half a sampling interval, each used once.

    Parameters
    ----------
    grid : Grid
        From :func:`make_grid` of the same rows.
    rows_of : mapping of str to Rows
        By measurement; those that are not there leave no column.
    cluster : str
        As for :func:`make_grid`.

    Returns
    -------
    DataFrame
        One row per row of the grid; not yet checked.
    """
    names = pd.DataFrame(grid.containers, columns=["cluster", "node", "namespace", "pod", "container"], dtype="str")
    columns: dict[str, pd.Series] = {"time": _instants(pd.Series(grid.time_ns))}
    columns |= {str(name): values.where(values != "").take(grid.container) for name, values in names.items()}
    same = dict(zip(grid.containers, range(len(grid.containers)), strict=True))

    for name in (schema.CONTAINER, schema.IDENTITY):
        if name in rows_of:
            index = _match(grid, rows_of[name], grid.container, _lookup(_named(rows_of[name].tags, cluster), same))
            columns |= _take(rows_of[name].fields, index)
    if schema.NETWORK in rows_of:
        rows = rows_of[schema.NETWORK]
        index = _match(grid, rows, grid.pod, _lookup(_pods(rows, cluster), grid.pod_numbers))
        columns |= _take(rows.fields, index)
    if schema.VOLUME in rows_of:
        columns |= _sum_volumes(grid, rows_of[schema.VOLUME], cluster)
    if schema.BLKIO in rows_of:
        columns |= _join_blkio(grid, rows_of[schema.BLKIO], cluster, columns.get("pod_uid"))
    if "started_at" in columns:
        columns["started_at"] = _instants(columns["started_at"])
    frame = pd.DataFrame(
        {name: values.array for name, values in columns.items() if name in IDENTITY or values.notna().any()}
    )
    _drop_impossible(frame)
    _drop_first_zeros(frame, grid)
    return frame


def _join_blkio(grid: Grid, rows: Rows, cluster: str, known_uid: pd.Series | None) -> dict[str, pd.Series]:
    """Join Docker's block I/O, and take the pod's uid from it where nothing better tells it."""
    described = [schema.read_docker_tags(tags) for tags in rows.tags]
    numbers: dict[tuple[str, ...], int] = {}
    own = ((key[0], key[2], key[3], key[4]) for key in grid.containers)
    container = _number(own, numbers)[grid.container]
    of_series = _lookup(((d[0] or cluster, *d[1:4]) if d else () for d in described), numbers)
    columns = _take(rows.fields, _match(grid, rows, container, of_series))

    # A pod keeps its uid for life, so here the nearest row counts however far away it is.
    there = of_series[rows.series] != NOTHING
    series = rows.series[there]
    index, _ = nearest_rows(container, grid.time_ns, of_series[series], rows.time_ns[there])
    uids = pd.Series([d[4] if d and d[4] else None for d in described], dtype="str")
    uid = _take({"pod_uid": uids.take(series)}, index)["pod_uid"]
    columns["pod_uid"] = uid if known_uid is None else known_uid.astype("str").fillna(uid)
    return columns


def _sum_volumes(grid: Grid, rows: Rows, cluster: str) -> dict[str, pd.Series]:
    """Sum a pod's volumes; each is joined by itself, because Telegraf may stamp them a second apart."""
    pod_of_series = _lookup(_pods(rows, cluster), grid.pod_numbers)
    slots: dict[tuple[int, str], int] = {}
    in_pod: dict[int, int] = {}
    slot_of_series = np.empty(len(rows.tags), dtype=np.int64)
    for number, (pod, tags) in enumerate(zip(pod_of_series.tolist(), rows.tags, strict=True)):
        key = (pod, tags[-1])
        if key not in slots:
            slots[key] = in_pod[pod] = in_pod.get(pod, NOTHING) + 1
        slot_of_series[number] = slots[key]
    [column] = rows.fields
    total = pd.Series(np.nan, index=range(len(grid.time_ns)))
    for slot in range(max(in_pod.values(), default=NOTHING) + 1):
        index = _match(grid, rows, grid.pod, np.where(slot_of_series == slot, pod_of_series, NOTHING))
        total = total.add(_take(rows.fields, index)[column].astype("Float64").astype("float64"), fill_value=0)
    return {column: total}


def _match(grid: Grid, rows: Rows, left_group: Ints, group_of_series: Ints) -> Ints:
    group = group_of_series[rows.series]
    there = np.flatnonzero(group != NOTHING)
    index = match_rows(
        left_group,
        grid.time_ns,
        group[there],
        rows.time_ns[there],
        tolerance=grid.interval_ns // 2,
        user=grid.container,
    )
    return np.where(index == NOTHING, NOTHING, np.append(there, NOTHING)[index])


def _named(all_tags: Iterable[tuple[str, ...]], cluster: str) -> list[tuple[str, ...]]:
    return [(tags[0] or cluster, *tags[1:]) for tags in all_tags]


def _pods(rows: Rows, cluster: str) -> list[tuple[str, ...]]:
    return [(key[0], key[2], key[3]) for key in _named(rows.tags, cluster)]


def _number(keys: Iterable[tuple[str, ...]], numbers: dict[tuple[str, ...], int]) -> Ints:
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _lookup(keys: Iterable[tuple[str, ...]], numbers: Mapping[tuple[str, ...], int]) -> Ints:
    return np.array([numbers.get(key, NOTHING) for key in keys], dtype=np.int64)


def _take(fields: Mapping[str, pd.Series], index: Ints) -> dict[str, pd.Series]:
    return {name: pd.Series(values.array.take(index, allow_fill=True)) for name, values in fields.items()}


def _instants(ns: pd.Series) -> pd.Series:
    whole = ns.astype("Int64")
    instants = pd.Series(whole.fillna(0).astype("int64").to_numpy().view("datetime64[ns]")).dt.tz_localize("UTC")
    return instants.where(whole.notna().to_numpy())


def _drop_impossible(frame: pd.DataFrame) -> None:
    """Telegraf passes on what the kubelet reckons, and that wraps at times: below 0, or beyond 2**63, is no value."""
    for name in frame.columns.intersection(list(CATALOGUE)):
        wrapped = ((frame[name] < 0) | (frame[name] >= _TOO_LARGE)).fillna(False).to_numpy(dtype=bool)
        if wrapped.any():
            log.warning("%d values of %s are below 0 or beyond 2**63 and count as missing", int(wrapped.sum()), name)
            frame[name] = frame[name].mask(wrapped)


def _drop_first_zeros(frame: pd.DataFrame, grid: Grid) -> None:
    """In a container's first row, Telegraf writes 0 for what the kubelet did not know yet: those are missing.

    Only where CPU and memory are all 0; any other 0 is a value.
    """
    own = [name for name in CATALOGUE if name in frame and _is_of_container(name)]
    telling = [name for name in own if CATALOGUE[name].family in ("cpu", "memory")]
    instance = frame[[name for name in ("pod_uid", "started_at") if name in frame]].assign(container=grid.container)
    first = ~instance.duplicated().to_numpy()
    zeros = frame.loc[first, own].eq(0).fillna(False).astype(bool)
    values = frame.loc[first, telling].notna()
    empty = zeros[telling].any(axis=1) & (zeros[telling] | ~values).all(axis=1)
    rows = np.flatnonzero(first)[empty]
    for name in own:
        is_zero = np.zeros(len(frame), dtype=bool)
        is_zero[rows] = zeros.loc[empty, name]
        frame[name] = frame[name].mask(is_zero)


def _is_of_container(name: str) -> bool:
    place = CATALOGUE[name].influxdb
    return place is not None and place[0] == schema.CONTAINER
