"""The metrics of one container as something that can be changed: more processor time, memory, traffic, waiting.

What goes together moves together, so that a synthetic fault looks like one cause and not like a change in one number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CPU = ("cpu_usage_core_nanoseconds", "cpu_usage_nanocores", "cpu_user_core_nanoseconds", "cpu_system_core_nanoseconds")
#: Memory that is in use, the widest first.
IN_USE = ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes")
#: Requests and answers.
TRAFFIC = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
#: What a page fault brings, and a cached page takes.
PAGE_BYTES = 4096.0


@dataclass
class Life:
    """The metrics of one container instance, to be changed in place: counters as growth, gauges as levels.

    Attributes
    ----------
    time_s : array of float64 (n,)
        Of its rows, rising.
    rng : Generator
        All draws come from it.
    growth : dict of str to array of float64 (n_valid,)
        Growth of each counter since its last valid row.
    level : dict of str to array of float64 (n_valid,)
        Of each gauge.
    rows : dict of str to array of int64 (n_valid,)
        Where each metric has a value.
    cpu_limit_cores, memory_limit_bytes : float
        What the container cannot exceed.
    """

    time_s: FloatArray
    rng: np.random.Generator
    growth: dict[str, FloatArray] = field(default_factory=dict)
    level: dict[str, FloatArray] = field(default_factory=dict)
    rows: dict[str, IntArray] = field(default_factory=dict)
    cpu_limit_cores: float = np.inf
    memory_limit_bytes: float = np.inf

    def draw(self, low: float, high: float) -> float:
        """Draw a size log-uniformly."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def chance(self, probability: float) -> bool:
        """Decide at random."""
        return bool(self.rng.random() < probability)

    def step_s(self, name: str) -> FloatArray:
        """Seconds since the metric's last valid row (n_valid,); 0 in the first."""
        own = self.time_s[self.rows[name]]
        return np.diff(own, prepend=own[:1])

    def usual_rate(self, name: str) -> float:
        """Mean growth of a counter per second; 0 where it is not there."""
        if name not in self.growth:
            return 0.0
        return float(np.nansum(self.growth[name].clip(0)) / max(self.step_s(name).sum(), 1.0))

    def usual_level(self, name: str) -> float:
        """Median of a gauge; 0 where it is not there."""
        return float(np.median(self.level[name])) if name in self.level and self.level[name].size else 0.0

    def add_rate(self, name: str, per_s: FloatArray) -> None:
        """Add to a counter's rate (n,)."""
        if name in self.growth:
            self.growth[name] += per_s[self.rows[name]] * self.step_s(name)

    def scale(self, name: str, factor: FloatArray) -> None:
        """Multiply a counter's rate, or a gauge (n,)."""
        for table in (self.growth, self.level):
            if name in table:
                table[name] *= factor[self.rows[name]]

    def add_level(self, name: str, amount: FloatArray) -> None:
        """Add to a gauge (n,)."""
        if name in self.level:
            self.level[name] += amount[self.rows[name]]

    def add_cpu(self, cores: FloatArray, *, system_share: float = 0.1) -> None:
        """Use more processor time (n,)."""
        self.add_level("cpu_usage_nanocores", cores * 1e9)
        self.add_rate("cpu_usage_core_nanoseconds", cores * 1e9)
        self.add_rate("cpu_user_core_nanoseconds", cores * 1e9 * (1 - system_share))
        self.add_rate("cpu_system_core_nanoseconds", cores * 1e9 * system_share)

    def scale_cpu(self, factor: FloatArray) -> None:
        """Multiply processor time (n,)."""
        for name in _CPU:
            self.scale(name, factor)

    def scale_traffic(self, factor: FloatArray, *, work_share: float = 1.0) -> None:
        """Multiply requests and answers, and the share of the work that they cause (n,)."""
        for name in TRAFFIC:
            self.scale(name, factor)
        work = 1.0 + work_share * (factor - 1.0)
        self.scale_cpu(work)
        for name in ("io_write_bytes", "io_write_operations", "memory_page_faults"):
            self.scale(name, work)

    def add_memory(self, size_bytes: FloatArray, *, resident: bool = True) -> None:
        """Use more memory (n,): the program's own, or cached files."""
        for name in IN_USE if resident else ("memory_usage_bytes", "memory_cache_bytes"):
            self.add_level(name, size_bytes)
        if resident:
            growth = np.maximum(np.diff(size_bytes, prepend=size_bytes[:1]), 0.0)
            step_s = np.diff(self.time_s, prepend=self.time_s[0] - 1.0)
            self.add_rate("memory_page_faults", growth / PAGE_BYTES / np.maximum(step_s, 1e-3))

    def add_io(self, direction: str, bytes_per_s: FloatArray, operation_bytes: float) -> None:
        """Read or write more (n,), waiting for it as long as a disk of 20 to 500 MB/s takes."""
        self.add_rate(f"io_{direction}_bytes", bytes_per_s)
        self.add_rate(f"io_{direction}_operations", bytes_per_s / operation_bytes)
        self.wait("io", np.minimum(bytes_per_s / self.draw(2e7, 5e8), 0.95))
        self.add_cpu(bytes_per_s * self.draw(1e-10, 2e-9), system_share=0.8)

    def wait(self, resource: str, share: FloatArray) -> None:
        """Let processes wait for a resource for a share of the time (n,)."""
        self.add_rate(f"{resource}_waiting_nanoseconds", share * 1e9)
        self.add_rate(f"{resource}_stalled_nanoseconds", share * 1e9 * self.rng.uniform(0.2, 0.95))
