"""From a kubelet's ``/stats/summary`` to samples.

The Summary API's fields: ``staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go`` in
https://github.com/kubernetes/kubernetes. What it does not say is missing: ``usageNanoCores`` in a container's first
sample, ``rssBytes`` and page faults where the runtime does not tell them. Its times are whole seconds, one per section;
a sample's time is that of ``cpu``, and network, file systems and volumes keep their own.

Pressure (``psi``) is the kernel's count of microseconds, whatever the API's comments say. A kubelet on cgroup v1, which
has no pressure, tells 0 of everything: where a whole node says nothing else, pressure is missing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct, field

from podlab.data.catalogue import AGES, CATALOGUE, MEASURED_METRICS
from podlab.errors import PodlabError
from podlab.sources.nearest import Ints

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
#: What the Summary API tells, in the order in which it is read.
_TOLD: Final = (
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
    """What one node said at one moment.

    Attributes
    ----------
    instances : list of Instance
        The containers, n of them.
    time_ns : ndarray of int64, shape (n,)
        When each was measured, ns since 1970.
    told : ndarray of int64, shape (n, n_columns)
        In the order of ``columns``; :data:`MISSING` where it is not told.
    columns : tuple of str
        See :func:`told_columns`.
    """

    instances: list[Instance]
    time_ns: Ints
    told: Ints
    columns: tuple[str, ...]

    def column(self, name: str) -> Ints:
        """Look at one column (n,); what is written into it stays."""
        return self.told[:, self.columns.index(name)]


def told_columns(wanted: Collection[str]) -> tuple[str, ...]:
    """Name what is kept where some metrics are wanted: these, and when those were measured that have their own time.

    In place of an age stands the time of measuring, in ns since 1970.
    """
    metrics = [name for name in MEASURED_METRICS if name in wanted]
    families = {CATALOGUE[name].family for name in metrics}
    return (*metrics, *(name for family, name in AGES.items() if family in families))


def read_summary(answer: bytes, node: str, columns: tuple[str, ...]) -> Reading:
    """Read ``/stats/summary``; containers without a time of their own are left out.

    Parameters
    ----------
    answer : bytes
    node : str
        The node's name, for errors and samples.
    columns : tuple of str
        From :func:`told_columns`.

    Raises
    ------
    PodlabError
        If it is no such answer, or breaks off.
    """
    try:
        summary = _DECODER.decode(answer)
        pressure = _read_pressure(answer) if not set(_PRESSURE).isdisjoint(columns) else None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        what = f"the answer to {SUMMARY} is not a kubelet's or broke off: {error}"
        raise PodlabError(what, where=f"node {node}", hint="check its address and port, then try again") from None
    instances, times, rows, kept = [], [], [], []
    number = -1
    for pod in summary.pods or ():
        network = pod.network or _Network()
        volumes = [volume.used for volume in pod.volumes or () if volume.used is not None]
        # Of several, the oldest: no more can be said of their sum.
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
    all_told = np.array(flat, dtype=np.int64).reshape(len(rows), len(_TOLD))
    told = np.full((len(rows), len(columns)), MISSING, dtype=np.int64)
    for place, name in enumerate(columns):
        if name in _TOLD:
            told[:, place] = all_told[:, _TOLD.index(name)]
        elif pressure is not None and name in _PRESSURE:
            told[:, place] = pressure[kept, _PRESSURE.index(name)]
    return Reading(instances, np.array(times, dtype=np.int64), told, columns)


def _read_pressure(answer: bytes) -> Ints | None:
    """Read each container's pressure in ns, in the answer's order (n_containers, n_pressures)."""
    decoded = _PRESSURE_DECODER.decode(answer)
    containers = [container for pod in decoded.pods or () for container in pod.containers or ()]
    flat = [_pressures_of(each) for each in (decoded.node, *containers)]
    told = np.array(flat, dtype=np.int64).reshape(len(flat), len(_PRESSURE))
    if not (told > 0).any():
        return None
    return np.where(told == MISSING, MISSING, told * _NS_PER_US)[1:]


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
    return ns if 0 <= ns <= _MOST else MISSING  # Go's year 1 is no time
