"""The catalogue: every column of the samples table, its unit and kind, and where each source finds it.

The samples table has one row per container and instant. A value that a source cannot give is missing, never 0;
a column that a source cannot give may be absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "constant"]
Family = Literal["cpu", "memory", "filesystem", "volume", "network", "io", "image"]

#: What tells one container from every other; two pods of one name differ in ``pod_uid``.
CONTAINER_KEY = ("cluster", "namespace", "pod", "pod_uid", "container")
#: Who a row is about, beside :data:`CONTAINER_KEY`; never a feature.
IDENTITY = ("time", "cluster", "node", "namespace", "pod", "pod_uid", "container", "image", "started_at")
#: The truth about a row, only in recordings meant for training; never a feature.
LABELS = ("service", "deployment", "variant", "version", "anomaly", "anomaly_kind")
#: The columns that hold instants.
TIMES = ("time", "started_at")


@dataclass(frozen=True)
class PrometheusPlace:
    """Where cAdvisor, or the kubelet, exposes a metric for Prometheus.

    Attributes
    ----------
    name : str
        The metric's name there.
    only : tuple of (str, str)
        Labels that a series must have.
    part : str, optional
        A container, or a pod, has one series for each value of this label; their sum is the metric.
    whole : str, optional
        The value of ``part`` that stands for all where it is there: nothing is summed then.
    scale : float
        What its values are multiplied by.
    """

    name: str
    only: tuple[tuple[str, str], ...] = ()
    part: str | None = None
    whole: str | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Metric:
    """One metric column.

    Attributes
    ----------
    name : str
        Column name, its unit included.
    kind : {"gauge", "counter", "constant"}
        A gauge is a level. A counter only grows until the container restarts, and is used as a rate.
        A constant belongs to the image.
    unit : str
        Unit of the stored value.
    family : str
        What the metric is about; the metric filters choose by it.
    per : {"container", "pod"}
        What the source counts; all containers of a pod share a value counted per pod.
    influxdb : tuple of str, optional
        Measurement and field as Telegraf writes them.
    kubelet : str, optional
        Path in the kubelet's ``/stats/summary``.
    prometheus : PrometheusPlace, optional
        cAdvisor's or the kubelet's series.
    """

    name: str
    kind: Kind
    unit: str
    family: Family
    per: Literal["container", "pod"] = "container"
    influxdb: tuple[str, str] | None = None
    kubelet: str | None = None
    prometheus: PrometheusPlace | None = None


_CONTAINER = "kubernetes_pod_container"
_NETWORK = "kubernetes_pod_network"
_VOLUME = "kubernetes_pod_volume"
_BLKIO = "docker_container_blkio"
_FAILURES = "container_memory_failures_total"

_METRICS = (
    Metric(
        "cpu_usage_nanocores", "gauge", "1e-9 cores", "cpu",
        influxdb=(_CONTAINER, "cpu_usage_nanocores"), kubelet="cpu.usageNanoCores",
    ),
    Metric(
        "cpu_usage_core_nanoseconds", "counter", "ns", "cpu",
        influxdb=(_CONTAINER, "cpu_usage_core_nanoseconds"), kubelet="cpu.usageCoreNanoSeconds",
        prometheus=PrometheusPlace("container_cpu_usage_seconds_total", part="cpu", whole="total", scale=1e9),
    ),
    Metric(
        "memory_usage_bytes", "gauge", "bytes", "memory",
        influxdb=(_CONTAINER, "memory_usage_bytes"), kubelet="memory.usageBytes",
        prometheus=PrometheusPlace("container_memory_usage_bytes"),
    ),
    Metric(
        "memory_working_set_bytes", "gauge", "bytes", "memory",
        influxdb=(_CONTAINER, "memory_working_set_bytes"), kubelet="memory.workingSetBytes",
        prometheus=PrometheusPlace("container_memory_working_set_bytes"),
    ),
    Metric(
        "memory_rss_bytes", "gauge", "bytes", "memory",
        influxdb=(_CONTAINER, "memory_rss_bytes"), kubelet="memory.rssBytes",
        prometheus=PrometheusPlace("container_memory_rss"),
    ),
    Metric(
        "memory_page_faults", "counter", "1", "memory",
        influxdb=(_CONTAINER, "memory_page_faults"), kubelet="memory.pageFaults",
        prometheus=PrometheusPlace(_FAILURES, only=(("scope", "container"), ("failure_type", "pgfault"))),
    ),
    Metric(
        "memory_major_page_faults", "counter", "1", "memory",
        influxdb=(_CONTAINER, "memory_major_page_faults"), kubelet="memory.majorPageFaults",
        prometheus=PrometheusPlace(_FAILURES, only=(("scope", "container"), ("failure_type", "pgmajfault"))),
    ),
    Metric(
        "rootfs_used_bytes", "gauge", "bytes", "filesystem",
        influxdb=(_CONTAINER, "rootfs_used_bytes"), kubelet="rootfs.usedBytes",
        prometheus=PrometheusPlace("container_fs_usage_bytes", part="device"),
    ),
    Metric(
        "logsfs_used_bytes", "gauge", "bytes", "filesystem",
        influxdb=(_CONTAINER, "logsfs_used_bytes"), kubelet="logs.usedBytes",
    ),
    Metric(
        "volume_used_bytes", "gauge", "bytes", "volume", per="pod",
        influxdb=(_VOLUME, "used_bytes"), kubelet="volume[].usedBytes",
        prometheus=PrometheusPlace("kubelet_volume_stats_used_bytes", part="persistentvolumeclaim"),
    ),
    Metric(
        "rx_bytes", "counter", "bytes", "network", per="pod",
        influxdb=(_NETWORK, "rx_bytes"), kubelet="network.rxBytes",
        prometheus=PrometheusPlace("container_network_receive_bytes_total", part="interface", whole="eth0"),
    ),
    Metric(
        "tx_bytes", "counter", "bytes", "network", per="pod",
        influxdb=(_NETWORK, "tx_bytes"), kubelet="network.txBytes",
        prometheus=PrometheusPlace("container_network_transmit_bytes_total", part="interface", whole="eth0"),
    ),
    Metric(
        "io_read_bytes", "counter", "bytes", "io",
        influxdb=(_BLKIO, "io_service_bytes_recursive_read"),
        prometheus=PrometheusPlace("container_fs_reads_bytes_total", part="device"),
    ),
    Metric(
        "io_write_bytes", "counter", "bytes", "io",
        influxdb=(_BLKIO, "io_service_bytes_recursive_write"),
        prometheus=PrometheusPlace("container_fs_writes_bytes_total", part="device"),
    ),
    Metric("image_size_bytes", "constant", "bytes", "image"),
)  # fmt: skip

#: Every metric column by name, in the order of the table.
CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in _METRICS}

#: The metrics a model may learn from. The image's size names the image, not what runs in it, so it is left out.
FEATURE_METRICS: tuple[str, ...] = tuple(m.name for m in _METRICS if m.kind != "constant")

#: Every column the samples table knows, in order.
ALL_COLUMNS: tuple[str, ...] = (*IDENTITY, *CATALOGUE, *LABELS)
