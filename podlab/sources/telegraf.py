"""Telegraf's schema in InfluxDB, and its rows as one table: which measurement, tags and fields hold which column.

The metrics' places come from the catalogue. The tags are those of Telegraf's ``kubernetes`` and ``docker`` inputs:
https://docs.influxdata.com/telegraf/v1/input-plugins/kubernetes/ and .../docker/. ``cluster`` is a global tag that
an operator may have set (``[global_tags]``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, LABELS
from podlab.data.catalogue import IDENTITY as IDENTITY_COLUMNS
from podlab.sources.influxdb_client import MeasurementRows, quote_identifier
from podlab.sources.time_join import NOTHING, Ints, Timeline, drop_impossible, instants, nearest_rows, sampling_interval

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

    ``tags`` distinguish its series, ``fields`` are by column of the samples table; a row must have the tag values of
    ``only`` and none of those of ``without``, which are of plain letters.
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

        The values of ``only`` are bound by tag name. ``pods`` are names of pods, of which alone series are wanted: the
        server finds them in its index, and reads no others.
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
        places = [(c, metric.influxdb) for c, metric in CATALOGUE.items() if metric.influxdb and c in columns]
        return {column: field for column, (name, field) in places if name == measurement}

    # Rows are counted by the containers' measurement: without a field of it there is no row.
    container = fields_of(CONTAINER) or {"memory_working_set_bytes": "memory_working_set_bytes"}
    docker_tags = (CLUSTER_TAG, CONTAINER_TAG, *DOCKER_LABELS.values())
    others = [
        Measurement(NETWORK, _POD_TAGS, fields_of(NETWORK)),
        Measurement(VOLUME, (*_POD_TAGS, VOLUME_TAG), fields_of(VOLUME)),
        Measurement(BLKIO, docker_tags, fields_of(BLKIO), only={"device": "total"}),
        Measurement(IDENTITY, (*_POD_TAGS, CONTAINER_TAG), {column: column for column in (*_CARRIED, *LABELS)}),
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
    """Read cluster, namespace, pod, container and uid from the tags of a series of :data:`BLKIO`, in their order.

    None for a container that Kubernetes did not start.
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

    The last tag is :data:`AGENT_TAG`, and is gone in the result. A row of another agent is in it where the first has
    none within three quarters of an interval, as when agents take turns.
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


#: So long nodes may both tell of one pod that moves; and so often two counters must contradict each other.
_MOST_OVERLAP_NS: Final = 30 * 1_000_000_000
_LEAST_FALLS, _SHARE_OF_FALLS = 3, 0.25


def drop_twins(rows_of: Mapping[str, MeasurementRows]) -> tuple[dict[str, MeasurementRows], str | None]:
    """Leave out pods that run on two nodes at once, in two clusters without a tag for them, but for the ones seen most.

    Returns the rows by measurement, as :func:`one_agent` gives them, and what to tell of it, None where there are none.
    """
    rows = rows_of[CONTAINER]
    places = {tags[: len(_POD_TAGS)] for tags in rows.tags}
    if len({(cluster, namespace, pod) for cluster, _, namespace, pod in places}) == len(places):
        return dict(rows_of), None
    seen: dict[tuple[str, ...], dict[str, list[Ints]]] = {}
    by_series = np.split(rows.time_ns[np.argsort(rows.series, kind="stable")],
                         np.cumsum(np.bincount(rows.series, minlength=len(rows.tags)))[:-1])  # fmt: skip
    for (cluster, node, namespace, pod, _), time_ns in zip(rows.tags, by_series, strict=True):
        if pod and len(time_ns):
            seen.setdefault((cluster, namespace, pod), {}).setdefault(node, []).append(time_ns)
    lost: set[tuple[str, ...]] = set()
    told = None
    for (cluster, namespace, pod), nodes in seen.items():
        if len(nodes) < 2:
            continue
        spans = {node: np.concatenate(times) for node, times in nodes.items()}
        most, *others = sorted(spans, key=lambda node: (-len(spans[node]), node))
        begin, end = spans[most].min(), spans[most].max()
        twins = [n for n in others if min(end, spans[n].max()) - max(begin, spans[n].min()) > _MOST_OVERLAP_NS]
        if twins:
            lost |= {(cluster, node, namespace, pod) for node in twins}
            told = told or f"{namespace}/{pod} on {NODE_TAG} {', '.join([most, *twins])}"
    if not lost:
        return dict(rows_of), None
    return {name: _without_pods(each, lost) for name, each in rows_of.items()}, told


def _without_pods(rows: MeasurementRows, lost: Collection[tuple[str, ...]]) -> MeasurementRows:
    kept = np.array([tags[: len(_POD_TAGS)] not in lost for tags in rows.tags], dtype=bool)[rows.series]
    fields = {name: values[kept] for name, values in rows.fields.items()}
    return MeasurementRows(rows.tags, rows.series[kept], rows.time_ns[kept], fields)


def find_contradiction(rows: MeasurementRows) -> str | None:
    """Find a container of which two agents tell counters that cannot be the same one's, and say so; None without one.

    ``rows`` are the containers', their last tag is :data:`AGENT_TAG`.
    """
    numbers: dict[tuple[str, ...], int] = {}
    who = np.array([numbers.setdefault(tags[:-1], len(numbers)) for tags in rows.tags], dtype=np.int64)
    counters = [name for name in rows.fields if name in CATALOGUE and CATALOGUE[name].kind == "counter"]
    if len(numbers) == len(rows.tags) or not counters:
        return None
    value = rows.fields[counters[0]].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    there = np.flatnonzero(~np.isnan(value))
    order = there[np.lexsort((rows.time_ns[there], who[rows.series[there]]))]
    owner, series = who[rows.series[order]], rows.series[order]
    turns = (np.diff(owner) == 0) & (np.diff(series) != 0)
    many = np.bincount(owner[1:][turns], minlength=len(numbers))
    falls = np.bincount(owner[1:][turns & (np.diff(value[order]) < 0)], minlength=len(numbers))
    found = np.flatnonzero((falls >= _LEAST_FALLS) & (falls >= _SHARE_OF_FALLS * many))
    if not len(found):
        return None
    _, _, namespace, pod, _ = next(tags for tags, number in numbers.items() if number == found[0])
    agents = [tags[-1] for tags, number in zip(rows.tags, who, strict=True) if number == found[0]]
    return f"{namespace}/{pod} by {AGENT_TAG} {', '.join(agents)}"


_NS_PER_S: Final = 1_000_000_000
# Telegraf's default interval, for a fetch that saw every container just once.
_DEFAULT_INTERVAL_NS: Final = 10 * _NS_PER_S
#: Which of a container's five names tell it, a pod, and a container whose node is not known.
_ALL: Final = (0, 1, 2, 3, 4)
_OF_POD: Final = (0, 2, 3)
_OF_CONTAINER: Final = (0, 2, 3, 4)


@dataclass(frozen=True)
class ContainerRows:
    """The rows of the table to be, one per container and instant, sorted by both."""

    timeline: Timeline  # in nanoseconds since 1970
    containers: list[tuple[str, ...]]  # cluster, node, namespace, pod and container by number
    cluster: str  # name of the cluster where no tag has it

    @classmethod
    def of(cls, rows_of: Mapping[str, MeasurementRows], *, cluster: str) -> ContainerRows:
        """Make them of the containers' own rows, and of a replay's identity rows."""
        numbers: dict[tuple[str, ...], int] = {}
        measured = []
        for rows in (rows_of[name] for name in (CONTAINER, IDENTITY) if name in rows_of):
            # System containers have no pod; they are measured elsewhere and are no business of ours.
            keys = [key if key[3] and key[4] else None for key in _names(rows, cluster)]
            owner = np.array(
                [NOTHING if key is None else numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64
            )[rows.series]
            measured.append((owner[owner != NOTHING], rows.time_ns[owner != NOTHING]))
        return cls(Timeline.of(measured, default=_DEFAULT_INTERVAL_NS), list(numbers), cluster)

    def group(self, rows: MeasurementRows, parts: Sequence[int]) -> tuple[Ints, Ints]:
        """Group the table's rows (n_rows,) and the series of a measurement (n_series,) by some of their names."""
        return self.group_by([tuple(key[n] for n in parts) for key in _names(rows, self.cluster)], parts)

    def group_by(self, keys: Iterable[tuple[str, ...]], parts: Sequence[int]) -> tuple[Ints, Ints]:
        """Group them by a key for each series; -1 is one of nobody here."""
        numbers: dict[tuple[str, ...], int] = {}
        own = [numbers.setdefault(tuple(key[n] for n in parts), len(numbers)) for key in self.containers]
        of_series = [numbers.get(key, NOTHING) for key in keys]
        return np.array(own, dtype=np.int64)[self.timeline.owner], np.array(of_series, dtype=np.int64)

    def match(self, rows: MeasurementRows, own: Ints, of_series: Ints) -> Ints:
        """Find for each row (n_rows,) the measurement's nearest one of its group within half an interval, or -1."""
        group = of_series[rows.series]
        there = np.flatnonzero(group != NOTHING)
        index = self.timeline.match(group[there], rows.time_ns[there], own=own)
        return np.append(there, NOTHING)[index]


def join_measurements(table: ContainerRows, rows_of: Mapping[str, MeasurementRows]) -> pd.DataFrame:
    """Join every measurement to the table's rows: the nearest within half a sampling interval, each used once.

    Measurements that are not there leave no column. The result, a row per row of the table, is not checked yet.
    """
    names = pd.DataFrame(table.containers, columns=["cluster", "node", "namespace", "pod", "container"], dtype="str")
    columns: dict[str, pd.Series] = {"time": instants(table.timeline.time)}
    columns |= {str(name): values.where(values != "").take(table.timeline.owner) for name, values in names.items()}
    for name, parts in ((CONTAINER, _ALL), (IDENTITY, _ALL), (NETWORK, _OF_POD)):
        if name in rows_of:
            rows = rows_of[name]
            columns |= _take(rows.fields, table.match(rows, *table.group(rows, parts)))
    if VOLUME in rows_of:
        columns |= _sum_volumes(table, rows_of[VOLUME])
    if BLKIO in rows_of:
        columns |= _join_blkio(table, rows_of[BLKIO], columns.get("pod_uid"))
    if "started_at" in columns:
        columns["started_at"] = _starts(columns["started_at"])
    frame = pd.DataFrame(
        {name: values.array for name, values in columns.items() if name in IDENTITY_COLUMNS or values.notna().any()}
    )
    drop_impossible(frame)
    _drop_first_zeros(frame, table.timeline.owner)
    return frame


def _join_blkio(table: ContainerRows, rows: MeasurementRows, known_uid: pd.Series | None) -> dict[str, pd.Series]:
    """Join Docker's block I/O, and take the pod's uid from it where nothing better has it."""
    described = [read_docker_tags(tags) for tags in rows.tags]
    keys = ((d[0] or table.cluster, *d[1:4]) if d else () for d in described)
    own, of_series = table.group_by(keys, _OF_CONTAINER)
    columns = _take(rows.fields, table.match(rows, own, of_series))

    # A pod keeps its uid for life, so here the nearest row counts however far away it is.
    there = of_series[rows.series] != NOTHING
    series = rows.series[there]
    index, _ = nearest_rows(own, table.timeline.time, of_series[series], rows.time_ns[there])
    uids = pd.Series([d[4] if d and d[4] else None for d in described], dtype="str")
    uid = _take({"pod_uid": uids.take(series)}, index)["pod_uid"]
    columns["pod_uid"] = uid if known_uid is None else known_uid.astype("str").fillna(uid)
    return columns


def _sum_volumes(table: ContainerRows, rows: MeasurementRows) -> dict[str, pd.Series]:
    """Sum a pod's volumes; each is joined by itself, because Telegraf may stamp them a second apart."""
    own, of_series = table.group(rows, _OF_POD)
    volume = pd.Series(pd.factorize(np.array([tags[-1] for tags in rows.tags], dtype=object))[0])
    number = volume.groupby(of_series).rank("dense").to_numpy()
    [column] = rows.fields
    total = pd.Series(np.nan, index=range(len(own)))
    for each in np.unique(number):
        index = table.match(rows, own, np.where(number == each, of_series, NOTHING))
        total = total.add(_take(rows.fields, index)[column].astype("Float64").astype("float64"), fill_value=0)
    return {column: total}


def _names(rows: MeasurementRows, cluster: str) -> list[tuple[str, ...]]:
    return [(tags[0] or cluster, *tags[1:]) for tags in rows.tags]


def _take(fields: Mapping[str, pd.Series], index: Ints) -> dict[str, pd.Series]:
    return {name: pd.Series(values.array.take(index, allow_fill=True)) for name, values in fields.items()}


def _starts(ns: pd.Series) -> pd.Series:
    whole = ns.astype("Int64")
    return instants(np.asarray(whole.fillna(0), dtype=np.int64)).where(whole.notna().to_numpy())


def _drop_first_zeros(frame: pd.DataFrame, container: Ints) -> None:
    """In a container's first row, Telegraf writes 0 for what the kubelet did not know yet: those are missing.

    Only where CPU and memory are all 0; any other 0 is a value.
    """
    own = [name for name, metric in CATALOGUE.items() if name in frame and (metric.influxdb or ("",))[0] == CONTAINER]
    telling = [name for name in own if CATALOGUE[name].family in ("cpu", "memory")]
    instance = frame[[name for name in ("pod_uid", "started_at") if name in frame]].assign(container=container)
    first = ~instance.duplicated().to_numpy()
    zeros = frame.loc[first, own].eq(0).fillna(False).astype(bool)
    values = frame.loc[first, telling].notna()
    empty = zeros[telling].any(axis=1) & (zeros[telling] | ~values).all(axis=1)
    rows = np.flatnonzero(first)[empty]
    for name in own:
        is_zero = np.zeros(len(frame), dtype=bool)
        is_zero[rows] = zeros.loc[empty, name]
        frame[name] = frame[name].mask(is_zero)
