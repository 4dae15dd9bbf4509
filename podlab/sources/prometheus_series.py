"""From Prometheus' series to the samples table: whose they are, which of several scrapers to take, and their rows.

Labels are read as Kubernetes' versions and the usual relabelling write them:

- ``pod`` and ``container``; ``pod_name`` and ``container_name`` before Kubernetes 1.16; ``exported_...`` where the
  scrape did not honour labels;
- ``id``, the cgroup's path, differs between two instances of a container and holds the pod's uid; ``name`` differs
  too;
- ``k8s_pod_name``, ``k8s.pod.name`` and so on from OpenTelemetry's kubeletstats receiver; ``pod`` may be the
  collector's own there;
- no container, or ``POD``: the pod's own cgroup or its pause container, on which the network is counted.

Two replicas of Prometheus, or two jobs, see the same container, which has the same cgroup for both: one is taken. Two
pods of one name that run at the same time, in two clusters behind one server, have each their own uid and cgroup.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from podlab.data.catalogue import AGES, CATALOGUE, PrometheusPlace
from podlab.sources.prometheus_client import Floats, RawSeries
from podlab.sources.time_join import NOTHING, TOO_LARGE, Flags, Ints, Timeline, changes, drop_impossible, instants

#: Cluster, namespace, pod, container, instance; without the last two for what is counted per pod.
Owner = tuple[str, ...]
Scraper = tuple[tuple[str, str], ...]

CLUSTER_LABELS: Final = ("cluster", "k8s_cluster_name", "k8s.cluster.name")
NAMESPACE_LABELS: Final = ("k8s_namespace_name", "k8s.namespace.name", "exported_namespace", "namespace")
POD_LABELS: Final = ("k8s_pod_name", "k8s.pod.name", "exported_pod", "pod", "pod_name")
CONTAINER_LABELS: Final = ("k8s_container_name", "k8s.container.name", "exported_container", "container",
                           "container_name")  # fmt: skip
NODE_LABELS: Final = ("k8s_node_name", "k8s.node.name", "node", "kubernetes_node", "kubernetes_io_hostname")
UID_LABELS: Final = ("k8s_pod_uid", "k8s.pod.uid")
INSTANCE_LABELS: Final = ("container_id", "container.id", "id", "name")
PAUSE: Final = "POD"
STARTED: Final = PrometheusPlace("container_start_time_seconds")
# Before cAdvisor 0.33.
_FAILURE_LABELS: Final = ("failure_type", "type")
#: The other labels identify the scraper: two replicas of Prometheus, or two jobs, see the same container twice.
_ABOUT: Final = frozenset(
    (
        "__name__", "image", "uid", "persistentvolumeclaim", *CLUSTER_LABELS, *NAMESPACE_LABELS, *POD_LABELS,
        *CONTAINER_LABELS, *INSTANCE_LABELS, *_FAILURE_LABELS, "scope", "cpu", "device", "interface", "direction",
        *NODE_LABELS[:3], *UID_LABELS, "k8s_volume_name", "k8s.volume.name",
    )
)  # fmt: skip
# As the kubelet names cgroups: .../pod<uid>/..., or ...-pod<uid with underscores>.slice/... under systemd.
_POD_UID: Final = re.compile(r"[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?:/|$)")


def first_of(labels: Mapping[str, str], names: Iterable[str]) -> str:
    """Give the first of some labels that is there and not empty, or ``""``."""
    return next((value for name in names if (value := labels.get(name))), "")


def uid_of(labels: Mapping[str, str]) -> str | None:
    """Return the uid of a series' pod, where its labels hold it."""
    return first_of(labels, UID_LABELS) or uid_in(labels.get("id", ""))


@lru_cache(maxsize=65_536)
def uid_in(cgroup: str) -> str | None:
    """Read the pod's uid from a cgroup's path; None for static pods, whose path holds another one than the API.

    Examples
    --------
    >>> uid_in("/kubepods.slice/kubepods-pod577dee3a_0f95_4a6f_8c64_c72c45d5bb88.slice/cri-containerd-0a.scope")
    '577dee3a-0f95-4a6f-8c64-c72c45d5bb88'
    """
    found = _POD_UID.search(cgroup)
    return None if found is None else found[1].replace("_", "-")


def container_of(labels: Mapping[str, str], cluster: str) -> Owner | None:
    """Return the container instance of a series; None for pause containers and the cgroups of pods and slices."""
    pod, container = first_of(labels, POD_LABELS), first_of(labels, CONTAINER_LABELS)
    if not pod or not container or container == PAUSE:
        return None
    instance = first_of(labels, INSTANCE_LABELS)
    return (*_place_of(labels, cluster), pod, container, instance)


def pod_of(labels: Mapping[str, str], cluster: str) -> Owner | None:
    """Return the pod of a series."""
    pod = first_of(labels, POD_LABELS)
    return (*_place_of(labels, cluster), pod) if pod else None


def claim_of(labels: Mapping[str, str], cluster: str) -> Owner | None:
    """Return the persistent volume claim of a series."""
    claim = labels.get("persistentvolumeclaim")
    return (*_place_of(labels, cluster), claim) if claim else None


def _place_of(labels: Mapping[str, str], cluster: str) -> tuple[str, str]:
    return first_of(labels, CLUSTER_LABELS) or cluster, first_of(labels, NAMESPACE_LABELS)


def without_target_labels(series: Sequence[Mapping[str, str]]) -> Sequence[Mapping[str, str]]:
    """Remove the labels of a scrape's target, where the scrape did not honour those of the series.

    In one scrape, ``pod`` or ``container`` beside an ``exported_pod`` or ``exported_container`` is the target's name. A
    series of the same scrape that has no such label of its own, as those of a node's or a pod's cgroup, must not pass
    for the target's.
    """
    targets: dict[str, set[tuple[object, ...]]] = {"pod": set(), "container": set()}
    for name, known in targets.items():
        known.update(_target(labels, name) for labels in series if labels.get(f"exported_{name}"))
    if not any(targets.values()):
        return series
    out: list[Mapping[str, str]] = []
    for labels in series:
        foreign = [
            name for name, known in targets.items()
            if known and not labels.get(f"exported_{name}") and _target(labels, name) in known
        ]  # fmt: skip
        out.append({name: value for name, value in labels.items() if name not in foreign} if foreign else labels)
    return out


def _target(labels: Mapping[str, str], name: str) -> tuple[object, ...]:
    return scraper_of(labels), labels.get(name)


def is_at(labels: Mapping[str, str], place: PrometheusPlace) -> bool:
    """Return whether a series of the right name is the one meant."""
    return all(
        (first_of(labels, _FAILURE_LABELS) if label == "failure_type" else labels.get(label)) == value
        for label, value in place.only
    )


@dataclass
class Owned:
    """Series of one name, and the owner of each; None for what is no business of ours."""

    raw: RawSeries
    owners: list[Owner | None]

    @classmethod
    def of(cls, raw: RawSeries, owner_of: Callable[[Mapping[str, str], str], Owner | None], cluster: str) -> Owned:
        """Find each series' owner, each by the labels that it has itself."""
        return cls(raw, [owner_of(labels, cluster) for labels in without_target_labels(raw.labels)])


def scraper_of(labels: Mapping[str, str]) -> Scraper:
    """Return who scraped a series: its labels that are not about what was scraped."""
    return tuple(sorted(item for item in labels.items() if item[0] not in _ABOUT))


@dataclass
class Points:
    """Values of one metric (n_points,): one per owner and instant, sorted by both."""

    owner: Ints
    time_ms: Ints
    value: Floats

    def rows(self, kept: Flags | Ints) -> Points:
        """Keep some points."""
        return Points(self.owner[kept], self.time_ms[kept], self.value[kept])


def make_points(owned: Owned, place: PrometheusPlace, numbers: dict[Owner, int]) -> Points:
    """Make a metric's points: the values of its parts summed, repeated instants counted once.

    Owners are numbered by ``numbers``, to which new ones are added.
    """
    part = [labels.get(place.part or "", "") for labels in owned.raw.labels]
    owners = [who if is_at(labels, place) else None for who, labels in zip(owned.owners, owned.raw.labels, strict=True)]
    if place.whole is not None:
        have_whole = {who for who, p in zip(owners, part, strict=True) if p == place.whole}
        owners = [
            who if p == place.whole or who not in have_whole else None for who, p in zip(owners, part, strict=True)
        ]
    parts: dict[str, int] = {}
    part_of = np.array([parts.setdefault(p, len(parts)) for p in part], dtype=np.int64)
    owner_of = np.array(
        [NOTHING if who is None else numbers.setdefault(who, len(numbers)) for who in owners], dtype=np.int64
    )
    there = np.flatnonzero(owner_of[owned.raw.series] != NOTHING)
    series, time_ms, value = owned.raw.series[there], owned.raw.time_ms[there], owned.raw.value[there]
    owner, part_number = owner_of[series], part_of[series]
    order = np.lexsort((part_number, time_ms, owner))
    owner, time_ms, part_number, value = owner[order], time_ms[order], part_number[order], value[order]
    # A server without deduplication, or an answer in two pieces, gives a sample twice.
    once = changes(owner, time_ms, part_number)
    starts = np.flatnonzero(changes(owner, time_ms)[once])
    total = np.add.reduceat(value[once], starts) if len(starts) else value[once]
    return Points(owner[once][starts], time_ms[once][starts], total * place.scale)


#: Labels of the scrape's target; they differ between two clusters, but name neither.
_TARGET_LABELS: Final = frozenset(("instance", "node", "host", "pod_ip", "kubernetes_node", "kubernetes_io_hostname"))
# A pod that moves to another node may be seen on both for some scrapes.
_LEAST_OVERLAP_MS: Final = 60_000
_MOST_VALUES_SHOWN: Final = 4


def choose_scrapers(owned: Mapping[str, Owned]) -> dict[str, Owned]:
    """Of the same container seen by several scrapers, take one: the one with the most samples of its pod.

    Another is taken for a time of which the first has nothing, as when a job's name changed. Pods of one name are
    distinguished by uid, where all series have it; the owner of what is counted per pod then ends with the uid. The
    metrics must be of the same scrape; series that are not taken have no owner in the result.
    """
    count = {name: np.bincount(of.raw.series, minlength=len(of.owners)).tolist() for name, of in owned.items()}
    seen: dict[Owner, Counter[Scraper]] = defaultdict(Counter)
    scrapers: dict[str, list[Scraper]] = {}
    for name, of in owned.items():
        scrapers[name] = [scraper_of(labels) for labels in of.raw.labels]
        for who, scraper, many in zip(of.owners, scrapers[name], count[name], strict=True):
            if who is not None:
                seen[who[:3]][scraper] += many
    contested = {pod: rivals for pod, rivals in seen.items() if len(rivals) > 1}
    if not contested:
        return dict(owned)
    uids: dict[Owner, set[str]] = defaultdict(set)
    for of in owned.values():
        for who, labels in zip(of.owners, of.raw.labels, strict=True):
            if who is not None and who[:3] in contested:
                uids[who[:3]].add(uid_of(labels) or "")
    several = {pod for pod, known in uids.items() if len(known) > 1 and "" not in known}
    chosen = {}
    for name, of in owned.items():
        first_ms, last_ms = _spans(of.raw, len(of.owners))
        members: dict[Owner, list[int]] = defaultdict(list)
        for number, who in enumerate(of.owners):
            if who is not None and who[:3] in contested and count[name][number]:
                # Containers of one pod may come and go at other times, so each is looked at by itself.
                uid = (uid_of(of.raw.labels[number]) or "") if who[:3] in several else ""
                members[(*who[:4], uid)].append(number)
        left_out: list[int] = []
        for who, numbers in members.items():
            rank = {scraper: (-many, scraper) for scraper, many in contested[who[:3]].items()}
            by_scraper: dict[Scraper, list[int]] = defaultdict(list)
            for number in numbers:
                by_scraper[scrapers[name][number]].append(number)
            taken: list[tuple[int, int]] = []
            for scraper in sorted(by_scraper, key=rank.__getitem__):
                its = by_scraper[scraper]
                begin, end = int(first_ms[its].min()), int(last_ms[its].max())
                if any(begin <= other_end and other_begin <= end for other_begin, other_end in taken):
                    left_out += its
                else:
                    taken.append((begin, end))
        # The uid comes behind the owner of what is counted per pod, for pods of one name.
        owners = [
            (*who, uid_of(labels) or "") if who is not None and len(who) == 3 and who in several else who
            for who, labels in zip(of.owners, of.raw.labels, strict=True)
        ]
        gone = set(left_out)
        chosen[name] = Owned(of.raw, [None if number in gone else who for number, who in enumerate(owners)])
    return chosen


@dataclass(frozen=True)
class Twins:
    """Pods of one name that run at the same time, those of several clusters; and the labels of scrapes that differ."""

    pods: list[Owner]
    labels: dict[str, list[str]]

    def __str__(self) -> str:
        (_, namespace, pod), more = self.pods[0], len(self.pods) - 1
        others = f" (and of {more} more names)" if more else ""
        differ = ", ".join(f"{label} ({_some(values)})" for label, values in self.labels.items())
        return f"two pods {namespace}/{pod} run at the same time{others}; they differ by {differ}"

    @property
    def example(self) -> str:
        """One label that differs between them, and a value, as the setting takes it."""
        label, values = next(iter(self.labels.items()))
        return f"{label}={next(filter(None, values), '')}"


def find_twins(owned: Mapping[str, Owned]) -> Twins | None:
    """Find pods of one name that run at the same time, each seen by other scrapers; None where there are none.

    The metrics are those before a scraper was chosen.
    """
    spans: dict[Owner, dict[tuple[str, Scraper], tuple[int, int]]] = defaultdict(dict)
    for name, of in owned.items():
        first_ms, last_ms = _spans(of.raw, len(of.owners))
        started = _first_values(of.raw, len(of.owners)) if name == STARTED.name else None
        for number, who in enumerate(of.owners):
            if who is None or len(who) < 5 or first_ms[number] > last_ms[number]:
                continue
            instance = uid_of(of.raw.labels[number]) or who[4].rpartition("/")[2]
            # It differs between two containers also where no label does.
            if not instance and started is not None:
                instance = f"started {started[number]:.0f}"
            if instance:
                key = (instance, scraper_of(of.raw.labels[number]))
                begin, end = spans[who[:4]].get(key, (first_ms[number], last_ms[number]))
                spans[who[:4]][key] = (min(begin, int(first_ms[number])), max(end, int(last_ms[number])))
    found: set[Owner] = set()
    values: dict[str, set[str]] = defaultdict(set)
    for who, instances in spans.items():
        for one, other in _at_once(instances) if len(instances) > 1 else ():
            found.add(who[:3])
            for label in {name for name, _ in {*one} ^ {*other}}:
                values[label] |= {dict(each).get(label, "") for each in (one, other)}
    if not found:
        return None
    telling = {label: sorted(texts) for label, texts in sorted(values.items()) if label not in _TARGET_LABELS}
    return Twins(sorted(found), telling or {label: sorted(texts) for label, texts in sorted(values.items())})


def _at_once(instances: Mapping[tuple[str, Scraper], tuple[int, int]]) -> Iterator[tuple[Scraper, Scraper]]:
    """Give the scrapers of each two instances of one container that overlap for long."""
    for (key, (begin, end)), (other_key, (other_begin, other_end)) in combinations(instances.items(), 2):
        (instance, one), (other_instance, other) = key, other_key
        if instance == other_instance or one == other:
            continue
        overlap_ms = min(end, other_end) - max(begin, other_begin)
        if overlap_ms >= _LEAST_OVERLAP_MS and 2 * overlap_ms >= min(end - begin, other_end - other_begin):
            yield one, other


def _some(values: list[str]) -> str:
    shown = ", ".join(value or "none" for value in values[:_MOST_VALUES_SHOWN])
    return shown + (", ..." if len(values) > _MOST_VALUES_SHOWN else "")


def _first_values(raw: RawSeries, n_series: int) -> np.ndarray:
    found = np.zeros(n_series)
    found[raw.series[::-1]] = raw.value[::-1]
    return found


def _spans(raw: RawSeries, n_series: int) -> tuple[Ints, Ints]:
    first = np.full(n_series, np.iinfo(np.int64).max)
    last = np.full(n_series, np.iinfo(np.int64).min)
    np.minimum.at(first, raw.series, raw.time_ms)
    np.maximum.at(last, raw.series, raw.time_ms)
    return first, last


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
