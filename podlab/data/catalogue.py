"""The catalogue: every column of the samples table, its unit, kind and words, and where each source finds it.

The samples table has one row per container and instant. A value that a source cannot give is missing, never 0;
a column that a source cannot give may be absent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["gauge", "counter", "constant"]
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
    """Where cAdvisor, or the kubelet, exposes a metric for Prometheus."""

    name: str  # the metric's name there
    only: tuple[tuple[str, str], ...] = ()  # labels that a series must have
    #: A container, or a pod, has one series for each value of this label; their sum is the metric.
    part: str | None = None
    #: The value of ``part`` that stands for all where it is there: nothing is summed then.
    whole: str | None = None
    scale: float = 1.0  # what its values are multiplied by


@dataclass(frozen=True)
class OpenTelemetryPlace(PrometheusPlace):
    """Where OpenTelemetry's kubeletstats receiver puts one, such as ``container.cpu.time``; labels are attributes."""

    unit: str = "1"  # its unit there, of which Prometheus makes a suffix
    monotonic: bool = False  # whether it is a monotonic sum there, not a gauge


@dataclass(frozen=True)
class Metric:
    """One metric column."""

    name: str  # column name, its unit included
    #: A gauge is a level. A counter only grows until the container restarts, and is used as a rate. A constant belongs
    #: to the image.
    kind: MetricKind
    unit: str  # unit of the stored value
    #: What the metric is about; the metric filters choose by it.
    family: Family
    #: What the source counts; all containers of a pod share a value counted per pod.
    per: Literal["container", "pod"] = "container"
    influxdb: tuple[str, str] | None = None  # measurement and field as Telegraf writes them
    kubelet: str | None = None  # path in the kubelet's ``/stats/summary``
    prometheus: PrometheusPlace | None = None  # cAdvisor's or the kubelet's series
    opentelemetry: OpenTelemetryPlace | None = None  # the kubeletstats receiver's metric


def _container(
    name: str, kind: MetricKind, unit: str, family: Family, kubelet: str,
    prometheus: PrometheusPlace | None = None, opentelemetry: OpenTelemetryPlace | None = None,
) -> Metric:  # fmt: skip
    """Describe what a kubelet's summary says of a container, and Telegraf passes on under our name."""
    influxdb = ("kubernetes_pod_container", name)
    return Metric(name, kind, unit, family, "container", influxdb, kubelet, prometheus, opentelemetry)


def _network(name: str, unit: str, cadvisor: str, kubelet: str = "", opentelemetry: str = "") -> Metric:
    """Describe what a pod's network counts; what the summary has, Telegraf and OpenTelemetry have as well."""
    prometheus = PrometheusPlace(f"container_network_{cadvisor}_total", part="interface", whole="eth0")
    if not kubelet:
        return Metric(name, "counter", unit, "network", "pod", prometheus=prometheus)
    only = (("direction", "receive" if name.startswith("rx") else "transmit"),)
    place = OpenTelemetryPlace(
        f"k8s.pod.network.{opentelemetry}", only, "interface", "eth0", unit="By" if unit == "bytes" else "1",
        monotonic=True,
    )  # fmt: skip
    influxdb = ("kubernetes_pod_network", name)
    return Metric(name, "counter", unit, "network", "pod", influxdb, f"network.{kubelet}", prometheus, place)


def _block_io(name: str, unit: str, docker: str, cadvisor: str) -> Metric:
    """Describe what cAdvisor counts by device, and Docker for Telegraf in total."""
    prometheus = PrometheusPlace(f"container_fs_{cadvisor}_total", part="device")
    return Metric(name, "counter", unit, "io", influxdb=("docker_container_blkio", docker), prometheus=prometheus)


def _cadvisor(
    name: str,
    kind: MetricKind,
    unit: str,
    family: Family,
    series: str,
    *,
    scale: float = 1.0,
    kubelet: str | None = None,
) -> Metric:
    """Describe what of a container only cAdvisor tells, and the kubelet's summary at most."""
    return Metric(name, kind, unit, family, kubelet=kubelet, prometheus=PrometheusPlace(series, scale=scale))


def _page_faults(kind: str) -> PrometheusPlace:
    return PrometheusPlace("container_memory_failures_total", only=(("scope", "container"), ("failure_type", kind)))


#: What podlab has read from the beginning.
_ORIGINAL = (
    _container(
        "cpu_usage_nanocores", "gauge", "1e-9 cores", "cpu", "cpu.usageNanoCores",
        None, OpenTelemetryPlace("container.cpu.usage", unit="{cpu}", scale=1e9),
    ),
    _container(
        "cpu_usage_core_nanoseconds", "counter", "ns", "cpu", "cpu.usageCoreNanoSeconds",
        PrometheusPlace("container_cpu_usage_seconds_total", part="cpu", whole="total", scale=1e9),
        OpenTelemetryPlace("container.cpu.time", unit="s", scale=1e9, monotonic=True),
    ),
    _container(
        "memory_usage_bytes", "gauge", "bytes", "memory", "memory.usageBytes",
        PrometheusPlace("container_memory_usage_bytes"), OpenTelemetryPlace("container.memory.usage", unit="By"),
    ),
    _container(
        "memory_working_set_bytes", "gauge", "bytes", "memory", "memory.workingSetBytes",
        PrometheusPlace("container_memory_working_set_bytes"),
        OpenTelemetryPlace("container.memory.working_set", unit="By"),
    ),
    _container(
        "memory_rss_bytes", "gauge", "bytes", "memory", "memory.rssBytes",
        PrometheusPlace("container_memory_rss"), OpenTelemetryPlace("container.memory.rss", unit="By"),
    ),
    _container(
        "memory_page_faults", "counter", "1", "memory", "memory.pageFaults",
        _page_faults("pgfault"), OpenTelemetryPlace("container.memory.page_faults", unit="1"),
    ),
    _container(
        "memory_major_page_faults", "counter", "1", "memory", "memory.majorPageFaults",
        _page_faults("pgmajfault"), OpenTelemetryPlace("container.memory.major_page_faults", unit="1"),
    ),
    _container(
        "rootfs_used_bytes", "gauge", "bytes", "filesystem", "rootfs.usedBytes",
        PrometheusPlace("container_fs_usage_bytes", part="device"),
        OpenTelemetryPlace("container.filesystem.usage", unit="By"),
    ),
    _container("logsfs_used_bytes", "gauge", "bytes", "filesystem", "logs.usedBytes"),
    Metric(
        "volume_used_bytes", "gauge", "bytes", "volume", "pod",
        ("kubernetes_pod_volume", "used_bytes"), "volume[].usedBytes",
        PrometheusPlace("kubelet_volume_stats_used_bytes", part="persistentvolumeclaim"),
        OpenTelemetryPlace("k8s.pod.volume.usage", unit="By", part="k8s.volume.name"),
    ),
    _network("rx_bytes", "bytes", "receive_bytes", "rxBytes", "io"),
    _network("tx_bytes", "bytes", "transmit_bytes", "txBytes", "io"),
    _block_io("io_read_bytes", "bytes", "io_service_bytes_recursive_read", "reads_bytes"),
    _block_io("io_write_bytes", "bytes", "io_service_bytes_recursive_write", "writes_bytes"),
    Metric("image_size_bytes", "constant", "bytes", "image"),
)  # fmt: skip

#: What every kubelet tells as well, most of it by cAdvisor only.
_FURTHER = (
    _cadvisor("processes", "gauge", "1", "processes", "container_processes"),
    _cadvisor("threads", "gauge", "1", "processes", "container_threads"),
    _cadvisor("file_descriptors", "gauge", "1", "processes", "container_file_descriptors"),
    _cadvisor("sockets", "gauge", "1", "processes", "container_sockets"),
    _cadvisor("cpu_user_core_nanoseconds", "counter", "ns", "cpu", "container_cpu_user_seconds_total", scale=1e9),
    _cadvisor("cpu_system_core_nanoseconds", "counter", "ns", "cpu", "container_cpu_system_seconds_total", scale=1e9),
    # These three only with a CPU limit.
    _cadvisor("cpu_periods", "counter", "1", "cpu", "container_cpu_cfs_periods_total"),
    _cadvisor("cpu_throttled_periods", "counter", "1", "cpu", "container_cpu_cfs_throttled_periods_total"),
    _cadvisor(
        "cpu_throttled_nanoseconds", "counter", "ns", "cpu", "container_cpu_cfs_throttled_seconds_total", scale=1e9
    ),
    _cadvisor("memory_cache_bytes", "gauge", "bytes", "memory", "container_memory_cache"),
    _cadvisor("memory_mapped_file_bytes", "gauge", "bytes", "memory", "container_memory_mapped_file"),
    _cadvisor("memory_kernel_bytes", "gauge", "bytes", "memory", "container_memory_kernel_usage"),
    _cadvisor("memory_swap_bytes", "gauge", "bytes", "memory", "container_memory_swap", kubelet="swap.swapUsageBytes"),
    _cadvisor("memory_limit_hits", "counter", "1", "memory", "container_memory_failcnt"),
    _cadvisor("oom_events", "counter", "1", "memory", "container_oom_events_total"),
    _block_io("io_read_operations", "1", "io_serviced_recursive_read", "reads"),
    _block_io("io_write_operations", "1", "io_serviced_recursive_write", "writes"),
    Metric("rootfs_inodes_used", "gauge", "1", "filesystem", kubelet="rootfs.inodesUsed"),
    _network("rx_packets", "1", "receive_packets"),
    _network("tx_packets", "1", "transmit_packets"),
    _network("rx_dropped", "1", "receive_packets_dropped"),
    _network("tx_dropped", "1", "transmit_packets_dropped"),
    _network("rx_errors", "1", "receive_errors", "rxErrors", "errors"),
    _network("tx_errors", "1", "transmit_errors", "txErrors", "errors"),
    # Time that some processes (waiting) or all of them (stalled) waited for a resource; cgroup v2 only.
    *(
        _cadvisor(
            f"{resource}_{degree}_nanoseconds", "counter", "ns", "pressure",
            f"container_pressure_{resource}_{degree}_seconds_total", scale=1e9, kubelet=f"{resource}.psi.{psi}.total",
        )
        for resource in ("cpu", "memory", "io")
        for degree, psi in (("waiting", "some"), ("stalled", "full"))
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

_WORDS = {
    "cpu_usage_nanocores": "CPU use",
    "cpu_system_core_nanoseconds": "CPU use in the kernel",
    "cpu_throttled_nanoseconds": "time throttled",
    "memory_usage_bytes": "memory including all caches",
    "memory_working_set_bytes": "memory in use",
    "memory_rss_bytes": "the processes' own memory",
    "memory_cache_bytes": "cached files",
    "memory_kernel_bytes": "memory of the kernel",
    "memory_limit_hits": "hits of the memory limit",
    "memory_page_faults": "page faults",
    "memory_major_page_faults": "page faults that read from disk",
    "rootfs_used_bytes": "data written to the container's file system",
    "rootfs_inodes_used": "files in the container's file system",
    "logsfs_used_bytes": "the size of the log",
    "volume_used_bytes": "data on its volumes",
    "file_descriptors": "open files",
    "rx_bytes": "network traffic received",
    "tx_bytes": "network traffic sent",
    "rx_packets": "packets received",
    "tx_packets": "packets sent",
    "rx_dropped": "packets dropped",
    "io_read_bytes": "data read from disk",
    "io_write_bytes": "data written to disk",
    "io_read_operations": "reads from disk",
    "io_write_operations": "writes to disk",
}


def describe_metric(metric: str) -> str:
    """Describe a metric in words.

    Examples
    --------
    >>> describe_metric("rx_bytes"), describe_metric("sockets")
    ('network traffic received', 'sockets')
    """
    return _WORDS.get(metric, metric.replace("_", " "))


def format_amount(metric: str, amount: float, *, growth: bool = False) -> str:
    """Write a series' value with its unit; or its growth, which is per second as a counter's value is.

    Examples
    --------
    >>> format_amount("memory_rss_bytes", 12_345_678)
    '12.3 MB'
    >>> format_amount("cpu_usage_nanocores", 2_500_000)
    '2.5 millicores'
    >>> format_amount("sockets", 12), format_amount("sockets", 0.5, growth=True), format_amount("rx_packets", 12)
    ('12', '0.5 a second', '12 a second')
    """
    if metric == "cpu_usage_nanocores" or CATALOGUE[metric].unit == "ns":
        return f"{_three_digits(amount / 1e6)} millicores" if amount < 1e9 else f"{_three_digits(amount / 1e9)} cores"
    rate = " a second" if growth or CATALOGUE[metric].kind == "counter" else ""
    if CATALOGUE[metric].unit != "bytes":
        return f"{_three_digits(amount)}{rate}"
    power = min(int(math.log10(max(abs(amount), 1.0)) // 3), 4)
    return f"{_three_digits(amount / 1000**power)} {('B', 'kB', 'MB', 'GB', 'TB')[power]}{rate}"


def _three_digits(value: float) -> str:
    """Round to three digits, written without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"
