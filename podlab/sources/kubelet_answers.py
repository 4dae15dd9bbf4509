"""What a kubelet answers, as samples: ``/stats/summary``, and what only ``/metrics/cadvisor`` has.

The Summary API's fields: ``staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go`` in
https://github.com/kubernetes/kubernetes. Missing there are ``usageNanoCores`` in a container's first sample, and
``rssBytes`` and page faults where the runtime does not measure them. Its times are whole seconds, one per section; a
sample's time is that of ``cpu``, and network, file systems and volumes keep their own.

Pressure (``psi``) is the kernel's count of microseconds, whatever the API's comments say. A kubelet on cgroup v1, which
has no pressure, reports 0 everywhere: where all values of a node are 0, pressure is missing.

cAdvisor, which measures both, has milliseconds: where both have the same second, the sample gets those. Its answer has
some 100 families, of which podlab needs a few; the others are not parsed, which makes it many times as fast:
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct, field

from podlab.data.catalogue import AGES, CATALOGUE, MEASURED_METRICS, PrometheusPlace
from podlab.errors import PodlabError
from podlab.http import DECODE_ERRORS
from podlab.sources.prometheus_series import container_of, is_at, pod_of
from podlab.sources.time_join import Ints

SUMMARY: Final = "/stats/summary"
NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1000
#: Stands for a missing value; no metric is negative.
MISSING: Final = -1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST: Final = 2**63 - 1
#: A static pod has the digest of its file here, and another uid in the API: its names must do.
_UID: Final = re.compile(r"[0-9a-fA-F]{32}")
#: The columns of the Summary API, in the order in which they are read.
_SUMMARY_COLUMNS: Final = (
    *(name for name, metric in CATALOGUE.items() if metric.kubelet is not None and metric.family != "pressure"),
    *AGES.values(),
)
_PRESSURE: Final = tuple(name for name, metric in CATALOGUE.items() if metric.family == "pressure")


_Time = Annotated[datetime, Meta(tz=True)]


class _Cpu(Struct, gc=False):
    time: _Time | None = None
    usage_nanocores: int | None = field(default=None, name="usageNanoCores")
    usage_core_nanoseconds: int | None = field(default=None, name="usageCoreNanoSeconds")


class _Memory(Struct, gc=False):
    time: _Time | None = None
    usage: int | None = field(default=None, name="usageBytes")
    working_set: int | None = field(default=None, name="workingSetBytes")
    rss: int | None = field(default=None, name="rssBytes")
    page_faults: int | None = field(default=None, name="pageFaults")
    major_page_faults: int | None = field(default=None, name="majorPageFaults")


class _Filesystem(Struct, gc=False):
    time: _Time | None = None
    used: int | None = field(default=None, name="usedBytes")
    inodes_used: int | None = field(default=None, name="inodesUsed")


class _Network(Struct, gc=False):
    time: _Time | None = None
    rx: int | None = field(default=None, name="rxBytes")
    tx: int | None = field(default=None, name="txBytes")
    rx_errors: int | None = field(default=None, name="rxErrors")
    tx_errors: int | None = field(default=None, name="txErrors")


class _Swap(Struct, gc=False):
    used: int | None = field(default=None, name="swapUsageBytes")


class _Container(Struct, gc=False):
    name: str
    start: _Time | None = field(default=None, name="startTime")
    cpu: _Cpu | None = None
    memory: _Memory | None = None
    rootfs: _Filesystem | None = None
    logs: _Filesystem | None = None
    swap: _Swap | None = None


class _Reference(Struct, gc=False):
    name: str
    namespace: str = ""
    uid: str = ""


class _Pod(Struct, gc=False):
    reference: _Reference = field(name="podRef")
    containers: list[_Container] | None = None
    network: _Network | None = None
    volumes: list[_Filesystem] | None = field(default=None, name="volume")


class _Node(Struct, gc=False):
    name: str = field(default="", name="nodeName")


class _Summary(Struct, gc=False):
    node: _Node
    pods: list[_Pod] | None


class _Total(Struct, gc=False):
    total: int | None = None


class _Psi(Struct, gc=False):
    some: _Total | None = None
    full: _Total | None = None


class _Resource(Struct, gc=False):
    psi: _Psi | None = None


class _Resources(Struct, gc=False):
    name: str = ""
    cpu: _Resource | None = None
    memory: _Resource | None = None
    io: _Resource | None = None


class _PressuredPod(Struct, gc=False):
    containers: list[_Resources] | None = None


class _Pressures(Struct, gc=False):
    node: _Resources
    pods: list[_PressuredPod] | None


_DECODER: Final = msgspec.json.Decoder(_Summary)
#: Read by itself: most of a long answer is pressure, and only those who want it pay for it.
_PRESSURE_DECODER: Final = msgspec.json.Decoder(_Pressures)


class Instance(NamedTuple):
    """One container from its start to its end."""

    node: str
    namespace: str
    pod: str
    pod_uid: str
    container: str
    started_ns: int


@dataclass(frozen=True)
class Reading:
    """What one node reported at one moment of n containers.

    ``time_ns`` (n,) is when each was measured, in ns since 1970; ``numbers`` (n, n_columns) are in the order of
    ``columns``, see :func:`stored_columns`, and :data:`MISSING` where there is none.
    """

    instances: list[Instance]
    time_ns: Ints
    numbers: Ints
    columns: tuple[str, ...]

    def column(self, name: str) -> Ints:
        """Look at one column (n,); what is written into it stays."""
        return self.numbers[:, self.columns.index(name)]


def stored_columns(wanted: Collection[str]) -> tuple[str, ...]:
    """List the columns to keep for some metrics: these, and the times of those that are measured at their own time.

    In place of an age it holds the time of measuring, in ns since 1970.
    """
    metrics = [name for name in MEASURED_METRICS if name in wanted]
    families = {CATALOGUE[name].family for name in metrics}
    return (*metrics, *(name for family, name in AGES.items() if family in families))


def read_summary(answer: bytes, node: str, columns: tuple[str, ...]) -> Reading:
    """Read ``/stats/summary`` of a node; containers without a time of their own are left out.

    Raises PodlabError if it is no such answer, or breaks off.
    """
    try:
        summary = _DECODER.decode(answer)
        pressure = _read_pressure(answer) if not set(_PRESSURE).isdisjoint(columns) else None
    except DECODE_ERRORS as error:
        what = f"the answer to {SUMMARY} is not a kubelet's or broke off: {error}"
        raise PodlabError(what, where=f"node {node}", hint="check its address and port, then try again") from None
    instances, times, rows, kept = [], [], [], []
    number = -1
    for pod in summary.pods or ():
        network = pod.network or _Network()
        volumes = [volume.used for volume in pod.volumes or () if volume.used is not None]
        # Of several, the oldest, as for their sum.
        volume_ns = min((_ns(volume.time) for volume in pod.volumes or () if volume.used is not None), default=MISSING)
        of_pod = (sum(volumes) if volumes else None, network.rx, network.tx)
        errors = (network.rx_errors, network.tx_errors)
        network_ns = _ns(network.time)
        whose = pod.reference
        uid = "" if _UID.fullmatch(whose.uid) else whose.uid
        for container in pod.containers or ():
            number += 1
            cpu, memory = container.cpu or _Cpu(), container.memory or _Memory()
            taken_ns = _ns(cpu.time or memory.time)
            if taken_ns == MISSING:
                continue
            rootfs, logs = container.rootfs or _Filesystem(), container.logs or _Filesystem()
            instances.append(Instance(node, whose.namespace, whose.name, uid, container.name, _ns(container.start)))
            times.append(taken_ns)
            kept.append(number)
            rows.append(
                (
                    cpu.usage_nanocores, cpu.usage_core_nanoseconds, memory.usage, memory.working_set, memory.rss,
                    memory.page_faults, memory.major_page_faults, rootfs.used, logs.used, *of_pod,
                    container.swap.used if container.swap else None, rootfs.inodes_used, *errors,
                    network_ns, _ns(rootfs.time or logs.time), volume_ns,
                )
            )  # fmt: skip
    flat = [MISSING if value is None or not 0 <= value <= _MOST else value for row in rows for value in row]
    all_values = np.array(flat, dtype=np.int64).reshape(len(rows), len(_SUMMARY_COLUMNS))
    values = np.full((len(rows), len(columns)), MISSING, dtype=np.int64)
    for place, name in enumerate(columns):
        if name in _SUMMARY_COLUMNS:
            values[:, place] = all_values[:, _SUMMARY_COLUMNS.index(name)]
        elif pressure is not None and name in _PRESSURE:
            values[:, place] = pressure[kept, _PRESSURE.index(name)]
    return Reading(instances, np.array(times, dtype=np.int64), values, columns)


def _read_pressure(answer: bytes) -> Ints | None:
    """Read each container's pressure in ns, in the answer's order (n_containers, n_pressures)."""
    decoded = _PRESSURE_DECODER.decode(answer)
    containers = [container for pod in decoded.pods or () for container in pod.containers or ()]
    flat = [_pressures_of(each) for each in (decoded.node, *containers)]
    values = np.array(flat, dtype=np.int64).reshape(len(flat), len(_PRESSURE))
    if not (values > 0).any():
        return None
    return np.where(values == MISSING, MISSING, values * _NS_PER_US)[1:]


def _pressures_of(whose: _Resources) -> list[int]:
    found = []
    for resource in (whose.cpu, whose.memory, whose.io):
        psi = (resource.psi if resource else None) or _Psi()
        for part in (psi.some, psi.full):
            total = part.total if part else None
            found.append(MISSING if total is None or not 0 <= total <= _MOST // _NS_PER_US else total)
    return found


def _ns(when: datetime | None) -> int:
    ns = MISSING if when is None else (when - _EPOCH) // _MICROSECOND * 1000
    return ns if 0 <= ns <= _MOST else MISSING  # Go's year 1 is not a time


_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_AFTER_NAME = (b"{", b" ", b"\t")
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
_ESCAPE = re.compile(r'\\[\\"n]')


class ExposedSeries(NamedTuple):
    """One line: its labels, its value, and when it was taken (ms since 1970), where the line says so."""

    labels: dict[str, str]
    value: float
    time_ms: int | None


def read_family(text: bytes, name: str, *, where: str) -> Iterator[ExposedSeries]:
    r"""Read the lines of one family out of a whole answer; raises PodlabError if one is none, or the text breaks off.

    Examples
    --------
    >>> text = b'# TYPE up gauge\nup{pod="a\\"b"} 1 1700000000000\nother 7\n'
    >>> list(read_family(text, "up", where="here"))
    [ExposedSeries(labels={'pod': 'a"b'}, value=1.0, time_ms=1700000000000)]
    """
    if not text.endswith(b"\n"):
        raise PodlabError("the metrics break off in the middle of a line", where=where, hint="try again")
    line, written = _pattern(name), name.encode()
    for place in _starts(text, written):
        if text[place + len(written) : place + len(written) + 1] not in _AFTER_NAME:
            continue  # a longer name
        end = text.index(b"\n", place)
        found = line.fullmatch(text, place, end)
        if found is None:
            shown = text[place:end][:80].decode("utf-8", "replace")
            raise PodlabError(f"is no line of metrics: {shown}", where=where, hint="check that it is a kubelet")
        labels, value, time_ms = found.groups()
        yield ExposedSeries(_read_labels(labels or b""), float(value), None if time_ms is None else int(time_ms))


def _starts(text: bytes, written: bytes) -> Iterator[int]:
    """Find the lines that begin so; searching bytes is many times as fast as looking at each line's begin."""
    if text.startswith(written):
        yield 0
    place = text.find(b"\n" + written)
    while place >= 0:
        yield place + 1
        place = text.find(b"\n" + written, place + 1)


@cache
def _pattern(name: str) -> re.Pattern[bytes]:
    number = rb"([+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Inf|NaN))"
    labels = rb'[ \t]*(?:\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*")*)\})?[ \t]*'
    return re.compile(re.escape(name.encode()) + labels + number + rb"(?:[ \t]+(-?[0-9]{1,18}))?[ \t]*")


def _read_labels(written: bytes) -> dict[str, str]:
    return {name.decode(): _unescape(value.decode("utf-8", "replace")) for name, value in _LABEL.findall(written)}


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], value) if "\\" in value else value


CADVISOR: Final = "/metrics/cadvisor"
_MS_PER_S: Final = 1000
_NS_PER_MS: Final = 1_000_000
_NETWORK_TIME: Final = AGES["network"]


@dataclass
class _Life:
    """What one life of a container, or of a pod's sandbox, counted of one metric."""

    taken_ms: int = MISSING
    total: float = 0.0
    parts: dict[str, float] = dataclass_field(default_factory=dict)

    def add(self, series: ExposedSeries, place: PrometheusPlace) -> None:
        self.taken_ms = max(self.taken_ms, MISSING if series.time_ms is None else series.time_ms)
        self.parts[series.labels.get(place.part or "", "")] = series.value

    def value(self, place: PrometheusPlace) -> float:
        whole = self.parts.get(place.whole) if place.whole is not None else None
        return (sum(self.parts.values()) if whole is None else whole) * place.scale


def needs_cadvisor(columns: Collection[str]) -> bool:
    """Return whether some of these metrics are measured by cAdvisor only."""
    return any(CATALOGUE[name].kubelet is None for name in columns if name in CATALOGUE and _place_of(name))


def add_cadvisor(reading: Reading, answer: bytes, node: str, *, tolerance_s: float) -> None:
    """Fill in the columns that the Summary has of no container, devices summed up, and times to the millisecond.

    cAdvisor measures a container at its own time; a value that was taken more than ``tolerance_s`` before or after the
    sample stays missing. After a restart both instances of a container may be listed; the later one counts. Raises
    PodlabError if it is no such answer, or breaks off.
    """
    containers: dict[tuple[str, ...], list[int]] = {
        (each.namespace, each.pod, each.container): [n] for n, each in enumerate(reading.instances)
    }
    pods: dict[tuple[str, ...], list[int]] = {}
    for number, each in enumerate(reading.instances):
        pods.setdefault((each.namespace, each.pod), []).append(number)
    network_ns = reading.column(_NETWORK_TIME) if _NETWORK_TIME in reading.columns else None
    for name in reading.columns:
        place = _place_of(name)
        values = reading.column(name)
        if place is None or (values != MISSING).any():
            continue
        if CATALOGUE[name].per == "container":
            _fill(values, reading.time_ns, containers, place, _lives(answer, place, node, per_pod=False), tolerance_s)
        elif network_ns is not None:
            _fill(values, network_ns, pods, place, _lives(answer, place, node, per_pod=True), tolerance_s)


def _place_of(name: str) -> PrometheusPlace | None:
    """Where cAdvisor has it; the kubelet exposes the use of volumes elsewhere."""
    metric = CATALOGUE.get(name)
    return None if metric is None or metric.family == "volume" else metric.prometheus


def _lives(answer: bytes, place: PrometheusPlace, node: str, *, per_pod: bool) -> dict[tuple[str, ...], _Life]:
    """Gather the lines of one family by whose they are; of several lives the later one."""
    found: dict[tuple[str, ...], dict[str, _Life]] = {}
    for series in read_family(answer, place.name, where=f"node {node}"):
        owner = pod_of(series.labels, "") if per_pod else container_of(series.labels, "")
        if owner is None or not 0 <= series.value * place.scale <= _MOST:
            continue
        if place.only and not is_at(series.labels, place):
            continue
        # Two sandboxes of a pod that was just restarted differ in the cgroup's path.
        life = series.labels.get("id", "") if per_pod else owner[4]
        whose = owner[1:3] if per_pod else owner[1:4]
        found.setdefault(whose, {}).setdefault(life, _Life()).add(series, place)
    return {whose: max(lives.values(), key=lambda life: life.taken_ms) for whose, lives in found.items()}


def _fill(
    values: Ints,
    time_ns: Ints,
    rows_of: dict[tuple[str, ...], list[int]],
    place: PrometheusPlace,
    lives: dict[tuple[str, ...], _Life],
    tolerance_s: float,
) -> None:
    for whose, life in lives.items():
        for row in rows_of.get(whose, ()):
            apart_s = abs(life.taken_ms * 1e-3 - time_ns[row] * 1e-9)
            if MISSING in (life.taken_ms, time_ns[row]) or apart_s <= tolerance_s:
                values[row] = min(round(life.value(place)), _MOST)
            if time_ns[row] == MISSING or life.taken_ms // _MS_PER_S == time_ns[row] // NS_PER_S:
                time_ns[row] = MISSING if life.taken_ms == MISSING else life.taken_ms * _NS_PER_MS
