"""From a kubelet's two answers to samples: ``/stats/summary``, and block I/O from ``/metrics/cadvisor``.

The Summary API's fields: ``staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go`` in
https://github.com/kubernetes/kubernetes. What it does not say is missing: ``usageNanoCores`` in a container's first
sample, ``rssBytes`` and page faults where the runtime does not tell them. Its times are whole seconds, one per section;
a sample's time is that of ``cpu``. cAdvisor, which measured it, tells milliseconds: where both tell of the same second,
the sample has those.
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

from podlab.errors import PodlabError
from podlab.metrics import CATALOGUE, FEATURE_METRICS
from podlab.telemetry.exposition import read_family
from podlab.telemetry.nearest import Ints
from podlab.telemetry.prometheus_series import container_of

SUMMARY, CADVISOR = "/stats/summary", "/metrics/cadvisor"
NS_PER_S: Final = 1_000_000_000
_MS_PER_S: Final = 1000
_NS_PER_MS: Final = 1_000_000
#: Stands for a missing value; no metric is negative.
MISSING: Final = -1
#: What only cAdvisor tells, and where.
IO: Final = {
    name: place for name in ("io_read_bytes", "io_write_bytes") if (place := CATALOGUE[name].prometheus) is not None
}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOST: Final = 2**63 - 1
#: A static pod has the digest of its file here, and another uid in the API: its names must do.
_UID: Final = re.compile(r"[0-9a-fA-F]{32}")
_COLUMN: Final = {name: number for number, name in enumerate(FEATURE_METRICS)}


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
    used: int | None = field(default=None, name="usedBytes")


class _Network(Struct, gc=False):
    rx: int | None = field(default=None, name="rxBytes")
    tx: int | None = field(default=None, name="txBytes")


class _Container(Struct, gc=False):
    name: str
    start: _Time | None = field(default=None, name="startTime")
    cpu: _Cpu | None = None
    memory: _Memory | None = None
    rootfs: _Filesystem | None = None
    logs: _Filesystem | None = None


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


_DECODER: Final = msgspec.json.Decoder(_Summary)


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
    told : ndarray of int64, shape (n, n_metrics)
        In the order of :data:`podlab.metrics.FEATURE_METRICS`; :data:`MISSING` where it is not told.
    """

    instances: list[Instance]
    time_ns: Ints
    told: Ints


def read_summary(answer: bytes, node: str) -> Reading:
    """Read ``/stats/summary``; containers without a time of their own are left out.

    Raises
    ------
    PodlabError
        If it is no such answer, or breaks off.
    """
    try:
        summary = _DECODER.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f"the answer to {SUMMARY} is not a kubelet's or broke off: {error}"
        raise PodlabError(what, where=f"node {node}", todo="check its address and port, then try again") from None
    instances, times, rows = [], [], []
    for pod in summary.pods or ():
        network = pod.network or _Network()
        volumes = [volume.used for volume in pod.volumes or () if volume.used is not None]
        whose = pod.reference
        uid = "" if _UID.fullmatch(whose.uid) else whose.uid
        for container in pod.containers or ():
            cpu, memory = container.cpu or _Cpu(), container.memory or _Memory()
            taken_ns = _ns(cpu.time or memory.time)
            if taken_ns == MISSING:
                continue
            rootfs, logs = container.rootfs or _Filesystem(), container.logs or _Filesystem()
            instances.append(Instance(node, whose.namespace, whose.name, uid, container.name, _ns(container.start)))
            times.append(taken_ns)
            rows.append(
                (
                    cpu.usage_nanocores, cpu.usage_core_nanoseconds, memory.usage, memory.working_set, memory.rss,
                    memory.page_faults, memory.major_page_faults, rootfs.used, logs.used,
                    sum(volumes) if volumes else None, network.rx, network.tx, None, None,
                )
            )  # fmt: skip
    flat = [MISSING if value is None or not 0 <= value <= _MOST else value for row in rows for value in row]
    return Reading(
        instances,
        np.array(times, dtype=np.int64),
        np.array(flat, dtype=np.int64).reshape(len(rows), len(FEATURE_METRICS)),
    )


def _ns(when: datetime | None) -> int:
    ns = MISSING if when is None else (when - _EPOCH) // _MICROSECOND * 1000
    return ns if 0 <= ns <= _MOST else MISSING  # Go's year 1 is no time


def add_block_io(reading: Reading, answer: bytes, node: str, *, tolerance_s: float, columns: Collection[str]) -> None:
    """Fill in what containers read from and wrote to disks, all devices together, and when to the millisecond.

    cAdvisor measures a container at its own time; a value that was taken more than ``tolerance_s`` before or after the
    sample stays missing. Where a container was just restarted, both of its lives may be told of; the later one counts.

    Raises
    ------
    PodlabError
        If it is no such answer, or breaks off.
    """
    rows = {(each.namespace, each.pod, each.container): number for number, each in enumerate(reading.instances)}
    for column, place in IO.items():
        if column not in columns:
            continue
        found: dict[int, dict[str, tuple[int, float]]] = {}
        for labels, value, time_ms in read_family(answer, place.name, where=f"node {node}"):
            owner = container_of(labels, "")
            row = None if owner is None else rows.get((owner[1], owner[2], owner[3]))
            if owner is None or row is None or not 0 <= value <= _MOST:
                continue
            lives = found.setdefault(row, {})
            taken_ms, total = lives.get(owner[4], (MISSING, 0.0))
            lives[owner[4]] = (max(taken_ms, MISSING if time_ms is None else time_ms), total + value)
        for row, lives in found.items():
            taken_ms, total = max(lives.values())
            apart_s = abs(taken_ms * 1e-3 - reading.time_ns[row] * 1e-9)
            if taken_ms == MISSING or apart_s <= tolerance_s:
                reading.told[row, _COLUMN[column]] = min(int(total), _MOST)
            if taken_ms // _MS_PER_S == reading.time_ns[row] // NS_PER_S:
                reading.time_ns[row] = taken_ms * _NS_PER_MS
