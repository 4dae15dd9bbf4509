"""Metrics in words, and their values with units: what explanations and alarms say to people."""

from __future__ import annotations

import numpy as np

from podlab.data.catalogue import CATALOGUE

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
    power = int(np.clip(np.log10(max(abs(amount), 1.0)) // 3, 0, 4))
    return f"{_three_digits(amount / 1000**power)} {('B', 'kB', 'MB', 'GB', 'TB')[power]}{rate}"


def _three_digits(value: float) -> str:
    """Round to three digits, written without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"
