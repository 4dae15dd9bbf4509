"""The catalogue: every column of the samples table, its unit and kind, and where each source finds it.

The samples table has one row per container and instant. A value that a source cannot give is missing, never 0;
a column that a source cannot give may be absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "constant"]
Family = Literal["cpu", "memory", "filesystem", "volume", "network", "io", "processes", "pressure", "image"]

#: What tells one container from every other; two pods of one name differ in ``pod_uid``.
CONTAINER_KEY = ("cluster", "namespace", "pod", "pod_uid", "container")
#: Who a row is about, beside :data:`CONTAINER_KEY`; never a feature.
IDENTITY = ("time", "cluster", "node", "namespace", "pod", "pod_uid", "container", "image", "started_at")
#: The truth about a row, only in recordings meant for training; never a feature.
LABELS = ("service", "deployment", "variant", "version", "site", "profile", "anomaly", "anomaly_kind", "role")
#: The columns that hold instants.
TIMES = ("time", "started_at")
#: How much older than its row's ``time`` the values of a family are, in seconds; negative where they are younger.
#: Missing where the source does not say, and never a feature. The kubelet measures these apart from CPU and memory.
AGES: dict[Family, str] = {
    "network": "network_age_seconds",
    "filesystem": "filesystem_age_seconds",
    "volume": "volume_age_seconds",
}


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
class OpenTelemetryPlace:
    """Where OpenTelemetry's kubeletstats receiver puts a metric.

    Attributes
    ----------
    name : str
        Its name there, such as ``container.cpu.time``.
    unit : str
        Its unit there, of which Prometheus makes a suffix.
    only : tuple of (str, str)
        Attributes that a series must have.
    part : str, optional
        A container, or a pod, has one series for each value of this attribute; their sum is the metric.
    whole : str, optional
        The value of ``part`` that stands for all where it is there.
    scale : float
        What its values are multiplied by.
    monotonic : bool
        Whether it is a monotonic sum there, not a gauge.
    """

    name: str
    unit: str
    only: tuple[tuple[str, str], ...] = ()
    part: str | None = None
    whole: str | None = None
    scale: float = 1.0
    monotonic: bool = False


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
    opentelemetry : OpenTelemetryPlace, optional
        The kubeletstats receiver's metric.
    """

    name: str
    kind: Kind
    unit: str
    family: Family
    per: Literal["container", "pod"] = "container"
    influxdb: tuple[str, str] | None = None
    kubelet: str | None = None
    prometheus: PrometheusPlace | None = None
    opentelemetry: OpenTelemetryPlace | None = None


_CONTAINER = "kubernetes_pod_container"
_NETWORK = "kubernetes_pod_network"
_VOLUME = "kubernetes_pod_volume"
_BLKIO = "docker_container_blkio"
_FAILURES = "container_memory_failures_total"


def _pod_network(what: str, unit: str, direction: str) -> OpenTelemetryPlace:
    only = (("direction", direction),)
    return OpenTelemetryPlace(f"k8s.pod.network.{what}", unit, only, part="interface", whole="eth0", monotonic=True)


def _cadvisor_network(what: str) -> PrometheusPlace:
    return PrometheusPlace(f"container_network_{what}_total", part="interface", whole="eth0")


def _pressure(resource: str, degree: str, kubelet: str) -> Metric:
    """Time that some processes (waiting) or all of them (stalled) waited for a resource; cgroup v2 only."""
    return Metric(
        f"{resource}_{degree}_nanoseconds", "counter", "ns", "pressure",
        kubelet=f"{resource}.psi.{kubelet}.total",
        prometheus=PrometheusPlace(f"container_pressure_{resource}_{degree}_seconds_total", scale=1e9),
    )  # fmt: skip


#: What podlab has read from the beginning.
_ORIGINAL = (
    Metric(
        "cpu_usage_nanocores", "gauge", "1e-9 cores", "cpu",
        influxdb=(_CONTAINER, "cpu_usage_nanocores"), kubelet="cpu.usageNanoCores",
        opentelemetry=OpenTelemetryPlace("container.cpu.usage", "{cpu}", scale=1e9),
    ),
    Metric(
        "cpu_usage_core_nanoseconds", "counter", "ns", "cpu",
        influxdb=(_CONTAINER, "cpu_usage_core_nanoseconds"), kubelet="cpu.usageCoreNanoSeconds",
        prometheus=PrometheusPlace("container_cpu_usage_seconds_total", part="cpu", whole="total", scale=1e9),
        opentelemetry=OpenTelemetryPlace("container.cpu.time", "s", scale=1e9, monotonic=True),
    ),
    Metric(
        "memory_usage_bytes", "gauge", "bytes", "memory",
        influxdb=(_CONTAINER, "memory_usage_bytes"), kubelet="memory.usageBytes",
        prometheus=PrometheusPlace("container_memory_usage_bytes"),
        opentelemetry=OpenTelemetryPlace("container.memory.usage", "By"),
    ),
    Metric(
        "memory_working_set_bytes", "gauge", "bytes", "memory",
        influxdb=(_CONTAINER, "memory_working_set_bytes"), kubelet="memory.workingSetBytes",
        prometheus=PrometheusPlace("container_memory_working_set_bytes"),
        opentelemetry=OpenTelemetryPlace("container.memory.working_set", "By"),
    ),
    Metric(
        "memory_rss_bytes", "gauge", "bytes", "memory",
        influxdb=(_CONTAINER, "memory_rss_bytes"), kubelet="memory.rssBytes",
        prometheus=PrometheusPlace("container_memory_rss"),
        opentelemetry=OpenTelemetryPlace("container.memory.rss", "By"),
    ),
    Metric(
        "memory_page_faults", "counter", "1", "memory",
        influxdb=(_CONTAINER, "memory_page_faults"), kubelet="memory.pageFaults",
        prometheus=PrometheusPlace(_FAILURES, only=(("scope", "container"), ("failure_type", "pgfault"))),
        opentelemetry=OpenTelemetryPlace("container.memory.page_faults", "1"),
    ),
    Metric(
        "memory_major_page_faults", "counter", "1", "memory",
        influxdb=(_CONTAINER, "memory_major_page_faults"), kubelet="memory.majorPageFaults",
        prometheus=PrometheusPlace(_FAILURES, only=(("scope", "container"), ("failure_type", "pgmajfault"))),
        opentelemetry=OpenTelemetryPlace("container.memory.major_page_faults", "1"),
    ),
    Metric(
        "rootfs_used_bytes", "gauge", "bytes", "filesystem",
        influxdb=(_CONTAINER, "rootfs_used_bytes"), kubelet="rootfs.usedBytes",
        prometheus=PrometheusPlace("container_fs_usage_bytes", part="device"),
        opentelemetry=OpenTelemetryPlace("container.filesystem.usage", "By"),
    ),
    Metric(
        "logsfs_used_bytes", "gauge", "bytes", "filesystem",
        influxdb=(_CONTAINER, "logsfs_used_bytes"), kubelet="logs.usedBytes",
    ),
    Metric(
        "volume_used_bytes", "gauge", "bytes", "volume", per="pod",
        influxdb=(_VOLUME, "used_bytes"), kubelet="volume[].usedBytes",
        prometheus=PrometheusPlace("kubelet_volume_stats_used_bytes", part="persistentvolumeclaim"),
        opentelemetry=OpenTelemetryPlace("k8s.pod.volume.usage", "By", part="k8s.volume.name"),
    ),
    Metric(
        "rx_bytes", "counter", "bytes", "network", per="pod",
        influxdb=(_NETWORK, "rx_bytes"), kubelet="network.rxBytes",
        prometheus=PrometheusPlace("container_network_receive_bytes_total", part="interface", whole="eth0"),
        opentelemetry=_pod_network("io", "By", "receive"),
    ),
    Metric(
        "tx_bytes", "counter", "bytes", "network", per="pod",
        influxdb=(_NETWORK, "tx_bytes"), kubelet="network.txBytes",
        prometheus=PrometheusPlace("container_network_transmit_bytes_total", part="interface", whole="eth0"),
        opentelemetry=_pod_network("io", "By", "transmit"),
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

#: What every kubelet tells as well, most of it by cAdvisor only.
_FURTHER = (
    Metric("processes", "gauge", "1", "processes", prometheus=PrometheusPlace("container_processes")),
    Metric("threads", "gauge", "1", "processes", prometheus=PrometheusPlace("container_threads")),
    Metric("file_descriptors", "gauge", "1", "processes", prometheus=PrometheusPlace("container_file_descriptors")),
    Metric("sockets", "gauge", "1", "processes", prometheus=PrometheusPlace("container_sockets")),
    Metric(
        "cpu_user_core_nanoseconds", "counter", "ns", "cpu",
        prometheus=PrometheusPlace("container_cpu_user_seconds_total", scale=1e9),
    ),
    Metric(
        "cpu_system_core_nanoseconds", "counter", "ns", "cpu",
        prometheus=PrometheusPlace("container_cpu_system_seconds_total", scale=1e9),
    ),
    # These three only with a CPU limit.
    Metric("cpu_periods", "counter", "1", "cpu", prometheus=PrometheusPlace("container_cpu_cfs_periods_total")),
    Metric(
        "cpu_throttled_periods", "counter", "1", "cpu",
        prometheus=PrometheusPlace("container_cpu_cfs_throttled_periods_total"),
    ),
    Metric(
        "cpu_throttled_nanoseconds", "counter", "ns", "cpu",
        prometheus=PrometheusPlace("container_cpu_cfs_throttled_seconds_total", scale=1e9),
    ),
    Metric("memory_cache_bytes", "gauge", "bytes", "memory", prometheus=PrometheusPlace("container_memory_cache")),
    Metric(
        "memory_mapped_file_bytes", "gauge", "bytes", "memory",
        prometheus=PrometheusPlace("container_memory_mapped_file"),
    ),
    Metric(
        "memory_kernel_bytes", "gauge", "bytes", "memory",
        prometheus=PrometheusPlace("container_memory_kernel_usage"),
    ),
    Metric(
        "memory_swap_bytes", "gauge", "bytes", "memory",
        kubelet="swap.swapUsageBytes", prometheus=PrometheusPlace("container_memory_swap"),
    ),
    Metric("memory_limit_hits", "counter", "1", "memory", prometheus=PrometheusPlace("container_memory_failcnt")),
    Metric("oom_events", "counter", "1", "memory", prometheus=PrometheusPlace("container_oom_events_total")),
    Metric(
        "io_read_operations", "counter", "1", "io",
        influxdb=(_BLKIO, "io_serviced_recursive_read"),
        prometheus=PrometheusPlace("container_fs_reads_total", part="device"),
    ),
    Metric(
        "io_write_operations", "counter", "1", "io",
        influxdb=(_BLKIO, "io_serviced_recursive_write"),
        prometheus=PrometheusPlace("container_fs_writes_total", part="device"),
    ),
    Metric("rootfs_inodes_used", "gauge", "1", "filesystem", kubelet="rootfs.inodesUsed"),
    Metric("rx_packets", "counter", "1", "network", "pod", prometheus=_cadvisor_network("receive_packets")),
    Metric("tx_packets", "counter", "1", "network", "pod", prometheus=_cadvisor_network("transmit_packets")),
    Metric("rx_dropped", "counter", "1", "network", "pod", prometheus=_cadvisor_network("receive_packets_dropped")),
    Metric("tx_dropped", "counter", "1", "network", "pod", prometheus=_cadvisor_network("transmit_packets_dropped")),
    Metric(
        "rx_errors", "counter", "1", "network", "pod",
        influxdb=(_NETWORK, "rx_errors"), kubelet="network.rxErrors", prometheus=_cadvisor_network("receive_errors"),
        opentelemetry=_pod_network("errors", "1", "receive"),
    ),
    Metric(
        "tx_errors", "counter", "1", "network", "pod",
        influxdb=(_NETWORK, "tx_errors"), kubelet="network.txErrors", prometheus=_cadvisor_network("transmit_errors"),
        opentelemetry=_pod_network("errors", "1", "transmit"),
    ),
    *(
        _pressure(resource, degree, kubelet)
        for resource in ("cpu", "memory", "io")
        for degree, kubelet in (("waiting", "some"), ("stalled", "full"))
    ),
)  # fmt: skip

#: Every metric column by name, in the order of the table.
CATALOGUE: dict[str, Metric] = {metric.name: metric for metric in (*_ORIGINAL, *_FURTHER)}

#: The metrics that are measured again and again: what sources give and recordings hold.
MEASURED_METRICS: tuple[str, ...] = tuple(name for name, metric in CATALOGUE.items() if metric.kind != "constant")

#: Those of them that podlab has read from the beginning.
ORIGINAL_METRICS: tuple[str, ...] = tuple(metric.name for metric in _ORIGINAL if metric.kind != "constant")

#: The metrics a model of services learns from, as far as a recording has them. The image's size names the image, not
#: what runs in it, so it is left out. Pressure tells how busy the node is.
FEATURE_METRICS: tuple[str, ...] = tuple(name for name in MEASURED_METRICS if CATALOGUE[name].family != "pressure")

#: Every column the samples table knows, in order.
ALL_COLUMNS: tuple[str, ...] = (*IDENTITY, *CATALOGUE, *AGES.values(), *LABELS)
