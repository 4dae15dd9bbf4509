"""Telegraf's schema in InfluxDB, and its rows as one table: which measurement, tags and fields hold which column.

The metrics' places come from the catalogue. The tags are those of Telegraf's ``kubernetes`` and ``docker`` inputs:
https://docs.influxdata.com/telegraf/v1/input-plugins/kubernetes/ and .../docker/. ``cluster`` is a global tag that
an operator may have set (``[global_tags]``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, LABELS
from podlab.data.catalogue import IDENTITY as IDENTITY_COLUMNS
from podlab.sources.influxdb_client import MeasurementRows
from podlab.sources.influxdb_syntax import quote_identifier
from podlab.sources.time_join import (
    NOTHING,
    Ints,
    drop_impossible,
    instants,
    match_rows,
    nearest_rows,
    sampling_interval,
)

CONTAINER: Final = "kubernetes_pod_container"
NETWORK: Final = "kubernetes_pod_network"
VOLUME: Final = "kubernetes_pod_volume"
BLKIO: Final = "docker_container_blkio"
#: What Telegraf does not carry; written by a replay only, read where it is there.
IDENTITY: Final = "podlab_container"

CLUSTER_TAG: Final = "cluster"
NODE_TAG: Final = "node_name"
NAMESPACE_TAG: Final = "namespace"
POD_TAG: Final = "pod_name"
SCRAPED_POD_TAG: Final = "pod"
CONTAINER_TAG: Final = "container_name"
VOLUME_TAG: Final = "volume_name"
#: Labels that the kubelet gives each Docker container, and Telegraf keeps as tags by default.
DOCKER_LABELS: Final = {
    "namespace": "io.kubernetes.pod.namespace",
    "pod": "io.kubernetes.pod.name",
    "container": "io.kubernetes.container.name",
    "pod_uid": "io.kubernetes.pod.uid",
}
#: Docker's name of a container that the kubelet started. No part may hold an underscore in Kubernetes.
_DOCKER_NAME: Final = re.compile(
    r"k8s_(?P<container>[^_]*)_(?P<pod>[^_]*)_(?P<namespace>[^_]*)_(?P<pod_uid>[^_]*)_\d+", re.DOTALL
)

#: What a replay writes besides labels; no input of Telegraf has inodes or the age of values.
_CARRIED: Final = (
    "pod_uid", "image", "started_at", "image_size_bytes", "rootfs_inodes_used", *AGES.values()
)  # fmt: skip

_POD_TAGS: Final = (CLUSTER_TAG, NODE_TAG, NAMESPACE_TAG, POD_TAG)


@dataclass(frozen=True)
class Measurement:
    """One measurement, as far as podlab reads it.

    Attributes
    ----------
    name : str
        Its name in InfluxDB.
    tags : tuple of str
        The tags that distinguish its series.
    fields : dict of str to str
        Column of the samples table -> field.
    only : dict of str to str
        Tag values that a row must have.
    without : dict of str to tuple of str
        Tag values, of plain letters, that no row may have.
    """

    name: str
    tags: tuple[str, ...]
    fields: dict[str, str]
    only: dict[str, str] = field(default_factory=dict)
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def tags_asked_for(self) -> tuple[str, ...]:
        """The tags, and last whose agent's the rows are where that is none of them."""
        return self.tags if AGENT_TAG in self.tags else (*self.tags, AGENT_TAG)

    def query(self, pods: Collection[str] | None = None) -> str:
        """InfluxQL for all series in ``$since <= time < $until``, each agent's by itself.

        The values of ``only`` are bound by tag name.

        Parameters
        ----------
        pods : collection of str, optional
            Only series of pods with one of these names. The server finds them in its index, and reads no others.
        """
        fields = ", ".join(quote_identifier(name) for name in self.fields.values())
        tags = ", ".join(quote_identifier(tag) for tag in self.tags_asked_for)
        only = "".join(f" AND {quote_identifier(tag)} = ${tag}" for tag in self.only)
        only += "".join(
            f" AND {quote_identifier(tag)} != '{value}'" for tag, values in self.without.items() for value in values
        )
        only += "" if pods is None else f" AND ({self._of(pods)})"
        return (
            f"SELECT {fields} FROM {quote_identifier(self.name)} WHERE time >= $since AND time < $until{only}"  # noqa: S608
            f" GROUP BY {tags}"
        )

    def _of(self, pods: Collection[str]) -> str:
        # Every character of meaning is written as its number: no name can end the pattern or the statement.
        names = "|".join(re.sub(r"[^A-Za-z0-9-]", lambda found: rf"\x{{{ord(found[0]):x}}}", name) for name in pods)
        for tag in (POD_TAG, SCRAPED_POD_TAG):
            if tag in self.tags:
                return f"{quote_identifier(tag)} =~ /^(?:{names})$/"
        label, name = quote_identifier(DOCKER_LABELS["pod"]), quote_identifier(CONTAINER_TAG)
        return f"{label} =~ /^(?:{names})$/ OR {name} =~ /^k8s_[^_]*_(?:{names})_/"


def measurements(columns: Collection[str]) -> list[Measurement]:
    """List the measurements that hold some of ``columns``; the containers' own comes first."""

    def fields_of(measurement: str) -> dict[str, str]:
        places = {column: metric.influxdb for column, metric in CATALOGUE.items() if metric.influxdb is not None}
        return {c: place[1] for c, place in places.items() if place[0] == measurement and c in columns}

    # Rows are counted by the containers' measurement: without a field of it there is no row.
    container = fields_of(CONTAINER) or {"memory_working_set_bytes": "memory_working_set_bytes"}
    docker_tags = (CLUSTER_TAG, CONTAINER_TAG, *DOCKER_LABELS.values())
    others = [
        Measurement(NETWORK, _POD_TAGS, fields_of(NETWORK)),
        Measurement(VOLUME, (*_POD_TAGS, VOLUME_TAG), fields_of(VOLUME)),
        Measurement(BLKIO, docker_tags, fields_of(BLKIO), only={"device": "total"}),
        Measurement(
            IDENTITY,
            (*_POD_TAGS, CONTAINER_TAG),
            {column: column for column in (*_CARRIED, *LABELS)},
        ),
    ]
    return [Measurement(CONTAINER, (*_POD_TAGS, CONTAINER_TAG), container), *(m for m in others if m.fields)]


def docker_name(container: str, pod: str, namespace: str, pod_uid: str) -> str:
    """Name a container as the kubelet names it for Docker.

    Examples
    --------
    >>> docker_name("web", "shop-1", "default", "0a1b")
    'k8s_web_shop-1_default_0a1b_0'
    """
    return f"k8s_{container}_{pod}_{namespace}_{pod_uid}_0"


def read_docker_tags(tags: tuple[str, ...]) -> tuple[str, str, str, str, str] | None:
    """Return the container of a series of :data:`BLKIO`.

    Parameters
    ----------
    tags : tuple of str
        Values of that measurement's tags, in their order.

    Returns
    -------
    tuple of str or None
        Cluster, namespace, pod, container and uid; None for a container that Kubernetes did not start.
    """
    cluster, name, *labels = tags
    given = dict(zip(DOCKER_LABELS, labels, strict=True))
    if not (given["pod"] and given["container"]):
        match = _DOCKER_NAME.fullmatch(name)
        if match is None:
            return None
        given = match.groupdict()
    return cluster, given["namespace"], given["pod"], given["container"], given["pod_uid"]


#: The agent's own host, which Telegraf adds to all points.
AGENT_TAG: Final = "host"


def one_agent(rows: MeasurementRows) -> MeasurementRows:
    """Take of each series the rows of the agent that has most of them, and others' where that one has none.

    Parameters
    ----------
    rows : MeasurementRows
        Whose last tag is :data:`AGENT_TAG`.

    Returns
    -------
    MeasurementRows
        Without that tag. A row of another agent is in it where the first has none within three quarters of an interval,
        as when agents take turns.
    """
    bare = [tags[:-1] for tags in rows.tags]
    numbers: dict[tuple[str, ...], int] = {}
    who = np.array([numbers.setdefault(tags, len(numbers)) for tags in bare], dtype=np.int64)
    agents = sorted({tags[-1] for tags in rows.tags})
    if len(set(rows.tags)) == len(numbers):
        return replace(rows, tags=bare)
    agent = np.array([agents.index(tags[-1]) for tags in rows.tags], dtype=np.int64)
    owner, time_ns = who[rows.series], rows.time_ns
    pair = owner * len(agents) + agent[rows.series]

    pairs, count = np.unique(pair, return_counts=True)
    order = np.lexsort((pairs, -count, pairs // len(agents)))
    first = np.searchsorted(pairs // len(agents), pairs // len(agents))
    place = np.empty(len(pairs), dtype=np.int64)
    place[order] = np.arange(len(pairs)) - first[order]
    rank = place[np.searchsorted(pairs, pair)]

    kept = rank == 0
    for level in range(1, int(rank.max(initial=0)) + 1):
        taken, other = np.flatnonzero(kept), np.flatnonzero(rank == level)
        _, apart_ns = nearest_rows(owner[other], time_ns[other], owner[taken], time_ns[taken])
        interval_ns = np.full(len(numbers), _DEFAULT_INTERVAL_NS, dtype=np.int64)
        interval_ns[owner[taken]] = sampling_interval(owner[taken], time_ns[taken], default=_DEFAULT_INTERVAL_NS)
        kept[other[apart_ns > interval_ns[owner[other]] // 4 * 3]] = True
    fields = {name: values[kept] for name, values in rows.fields.items()}
    return MeasurementRows(bare, rows.series[kept], time_ns[kept], fields)


_NS_PER_S: Final = 1_000_000_000
# Telegraf's default interval, for a fetch that saw every container just once.
_DEFAULT_INTERVAL_NS: Final = 10 * _NS_PER_S


@dataclass
class ContainerTimeline:
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


def make_timeline(rows_of: Mapping[str, MeasurementRows], *, cluster: str) -> ContainerTimeline:
    """Make the timeline of the containers' own rows, and of a replay's identity rows.

    Parameters
    ----------
    rows_of : mapping of str to MeasurementRows
        By measurement.
    cluster : str
        Name of the cluster where no tag has it.
    """
    numbers: dict[tuple[str, ...], int] = {}
    parts = [rows_of[name] for name in (CONTAINER, IDENTITY) if name in rows_of]
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
    return ContainerTimeline(containers, container, pod, time_ns, interval_ns, pod_numbers)


def join_measurements(
    timeline: ContainerTimeline, rows_of: Mapping[str, MeasurementRows], *, cluster: str
) -> pd.DataFrame:
    """Join every measurement to the timeline's rows: the nearest within half a sampling interval, each used once.

    Parameters
    ----------
    timeline : ContainerTimeline
        From :func:`make_timeline` of the same rows.
    rows_of : mapping of str to MeasurementRows
        By measurement; those that are not there leave no column.
    cluster : str
        As for :func:`make_timeline`.

    Returns
    -------
    DataFrame
        One row per row of the timeline; not yet checked.
    """
    names = pd.DataFrame(timeline.containers, columns=["cluster", "node", "namespace", "pod", "container"], dtype="str")
    columns: dict[str, pd.Series] = {"time": instants(timeline.time_ns)}
    columns |= {str(name): values.where(values != "").take(timeline.container) for name, values in names.items()}
    same = dict(zip(timeline.containers, range(len(timeline.containers)), strict=True))

    for name in (CONTAINER, IDENTITY):
        if name in rows_of:
            index = _match(
                timeline, rows_of[name], timeline.container, _lookup(_named(rows_of[name].tags, cluster), same)
            )
            columns |= _take(rows_of[name].fields, index)
    if NETWORK in rows_of:
        rows = rows_of[NETWORK]
        index = _match(timeline, rows, timeline.pod, _lookup(_pods(rows, cluster), timeline.pod_numbers))
        columns |= _take(rows.fields, index)
    if VOLUME in rows_of:
        columns |= _sum_volumes(timeline, rows_of[VOLUME], cluster)
    if BLKIO in rows_of:
        columns |= _join_blkio(timeline, rows_of[BLKIO], cluster, columns.get("pod_uid"))
    if "started_at" in columns:
        columns["started_at"] = _starts(columns["started_at"])
    frame = pd.DataFrame(
        {name: values.array for name, values in columns.items() if name in IDENTITY_COLUMNS or values.notna().any()}
    )
    drop_impossible(frame)
    _drop_first_zeros(frame, timeline)
    return frame


def _join_blkio(
    timeline: ContainerTimeline, rows: MeasurementRows, cluster: str, known_uid: pd.Series | None
) -> dict[str, pd.Series]:
    """Join Docker's block I/O, and take the pod's uid from it where nothing better has it."""
    described = [read_docker_tags(tags) for tags in rows.tags]
    numbers: dict[tuple[str, ...], int] = {}
    own = ((key[0], key[2], key[3], key[4]) for key in timeline.containers)
    container = _number(own, numbers)[timeline.container]
    of_series = _lookup(((d[0] or cluster, *d[1:4]) if d else () for d in described), numbers)
    columns = _take(rows.fields, _match(timeline, rows, container, of_series))

    # A pod keeps its uid for life, so here the nearest row counts however far away it is.
    there = of_series[rows.series] != NOTHING
    series = rows.series[there]
    index, _ = nearest_rows(container, timeline.time_ns, of_series[series], rows.time_ns[there])
    uids = pd.Series([d[4] if d and d[4] else None for d in described], dtype="str")
    uid = _take({"pod_uid": uids.take(series)}, index)["pod_uid"]
    columns["pod_uid"] = uid if known_uid is None else known_uid.astype("str").fillna(uid)
    return columns


def _sum_volumes(timeline: ContainerTimeline, rows: MeasurementRows, cluster: str) -> dict[str, pd.Series]:
    """Sum a pod's volumes; each is joined by itself, because Telegraf may stamp them a second apart."""
    pod_of_series = _lookup(_pods(rows, cluster), timeline.pod_numbers)
    slots: dict[tuple[int, str], int] = {}
    in_pod: dict[int, int] = {}
    slot_of_series = np.empty(len(rows.tags), dtype=np.int64)
    for number, (pod, tags) in enumerate(zip(pod_of_series.tolist(), rows.tags, strict=True)):
        key = (pod, tags[-1])
        if key not in slots:
            slots[key] = in_pod[pod] = in_pod.get(pod, NOTHING) + 1
        slot_of_series[number] = slots[key]
    [column] = rows.fields
    total = pd.Series(np.nan, index=range(len(timeline.time_ns)))
    for slot in range(max(in_pod.values(), default=NOTHING) + 1):
        index = _match(timeline, rows, timeline.pod, np.where(slot_of_series == slot, pod_of_series, NOTHING))
        total = total.add(_take(rows.fields, index)[column].astype("Float64").astype("float64"), fill_value=0)
    return {column: total}


def _match(timeline: ContainerTimeline, rows: MeasurementRows, left_group: Ints, group_of_series: Ints) -> Ints:
    group = group_of_series[rows.series]
    there = np.flatnonzero(group != NOTHING)
    index = match_rows(
        left_group,
        timeline.time_ns,
        group[there],
        rows.time_ns[there],
        tolerance=timeline.interval_ns // 2,
        user=timeline.container,
    )
    return np.where(index == NOTHING, NOTHING, np.append(there, NOTHING)[index])


def _named(all_tags: Iterable[tuple[str, ...]], cluster: str) -> list[tuple[str, ...]]:
    return [(tags[0] or cluster, *tags[1:]) for tags in all_tags]


def _pods(rows: MeasurementRows, cluster: str) -> list[tuple[str, ...]]:
    return [(key[0], key[2], key[3]) for key in _named(rows.tags, cluster)]


def _number(keys: Iterable[tuple[str, ...]], numbers: dict[tuple[str, ...], int]) -> Ints:
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _lookup(keys: Iterable[tuple[str, ...]], numbers: Mapping[tuple[str, ...], int]) -> Ints:
    return np.array([numbers.get(key, NOTHING) for key in keys], dtype=np.int64)


def _take(fields: Mapping[str, pd.Series], index: Ints) -> dict[str, pd.Series]:
    return {name: pd.Series(values.array.take(index, allow_fill=True)) for name, values in fields.items()}


def _starts(ns: pd.Series) -> pd.Series:
    whole = ns.astype("Int64")
    return instants(np.asarray(whole.fillna(0), dtype=np.int64)).where(whole.notna().to_numpy())


def _drop_first_zeros(frame: pd.DataFrame, timeline: ContainerTimeline) -> None:
    """In a container's first row, Telegraf writes 0 for what the kubelet did not know yet: those are missing.

    Only where CPU and memory are all 0; any other 0 is a value.
    """
    own = [name for name in CATALOGUE if name in frame and _is_of_container(name)]
    telling = [name for name in own if CATALOGUE[name].family in ("cpu", "memory")]
    instance = frame[[name for name in ("pod_uid", "started_at") if name in frame]].assign(container=timeline.container)
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
    return place is not None and place[0] == CONTAINER
