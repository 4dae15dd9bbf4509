"""Augmentation: copies of training windows as another cluster would have seen them.

They are sampled more sparsely, lack columns, or come from other hardware: faster or slower, with other caches,
allocators and file systems.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE
from podlab.features.features import series_in
from podlab.features.rows import Rows
from podlab.features.windows import ALL_SERIES, SERIES

#: Families of metrics that other clusters lack: containerd without a Docker socket has no I/O; a bare kubelet no
#: volumes; cAdvisor without a file system collector neither; metrics-server gives CPU and working set only.
_LACKS: tuple[frozenset[str], ...] = (
    frozenset({"io"}),
    frozenset({"io", "volume"}),
    frozenset({"filesystem", "volume"}),
    frozenset({"filesystem", "volume", "io"}),
    frozenset({"filesystem", "volume", "io", "network"}),
    frozenset({"filesystem", "volume", "io", "network", "detail"}),
)
#: Where a recording has metrics beyond the original's: most clusters lack these as well, some only these.
_LACKS_FURTHER: tuple[frozenset[str], ...] = (
    *_LACKS,
    frozenset({"further"}),
    *(lack | {"further"} for lack in _LACKS),
)
#: Series of memory that are missing where only CPU and working set are collected.
_DETAIL = ("memory_usage_bytes", "memory_rss_bytes", "memory_page_faults", "memory_major_page_faults")

#: How much hardware differs: the standard deviation of the logarithm of a series' factor. CPU: generations of
#: processors. Resident memory: allocators, threads per core. Faults and reads: caches, read-ahead.
_SPREAD = {
    "cpu_usage_nanocores": 0.35,
    "memory_rss_bytes": 0.12,
    "memory_page_faults": 0.25,
    "memory_major_page_faults": 0.8,
    "rootfs_used_bytes": 0.05,
    "logsfs_used_bytes": 0.05,
    "volume_used_bytes": 0.05,
    "rx_bytes": 0.05,
    "tx_bytes": 0.05,
    "io_read_bytes": 0.8,
    "io_write_bytes": 0.25,
}
#: Series that are a part of another one, and differ as it does.
_PARTS = {"cpu_usage_nanocores": ("cpu_user_core_nanoseconds", "cpu_system_core_nanoseconds")}
#: Memory beyond what is resident is caches and the kernel's part.
_BEYOND, _BEYOND_SPREAD = ("memory_working_set_bytes", "memory_usage_bytes"), 0.4
#: What a machine adds to every container: the median of a log-normal offset with a sigma of 1.
_OFFSET_BYTES = {"rootfs_used_bytes": 10_000.0, "logsfs_used_bytes": 2_500.0}
_BEYOND_OFFSET_BYTES = 600_000.0


def downsample(rows: Rows, interval_s: NDArray[np.float64], rng: np.random.Generator) -> Rows:
    """Keep of each container the first row of each interval, the intervals beginning at a random phase.

    ``rows`` are all samples, and ``interval_s`` (n_containers,) is the new sampling interval of each container, where 0
    keeps all of its rows; ``rng`` draws the phases.
    """
    step_s = interval_s[rows.code]
    phase_s = rng.uniform(0.0, np.maximum(interval_s, 1e-9))[rows.code]
    cell = np.floor((rows.offset_s - phase_s) / np.where(step_s > 0, step_s, 1.0))
    keep = step_s <= 0
    keep[:1] = True
    keep[1:] |= (np.diff(cell) != 0) | (np.diff(rows.code) != 0)
    return rows.take(keep)


def draw_intervals_s(own_s: NDArray[np.float64], longest_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a longer sampling interval for each container, evenly on a log scale (n_containers,).

    Between twice its own and ``longest_s``; 0 (leave as it is) where there is no room between them.
    """
    low = np.maximum(2.0 * own_s, 2.0)
    drawn = low * (longest_s / low) ** rng.uniform(size=own_s.size)
    return np.where(low < longest_s, drawn, 0.0)


def drop_columns(matrix: NDArray[np.float32], names: Sequence[str], rng: np.random.Generator) -> NDArray[np.float32]:
    """Remove from each row the features of columns that some cluster lacks (n, n_features)."""
    out = matrix.copy()
    lacks = _LACKS_FURTHER if any(_is_further(series) for name in names for series in series_in(name)) else _LACKS
    drawn = rng.integers(len(lacks), size=matrix.shape[0])
    for number, lack in enumerate(lacks):
        lost = [any(_is_lost(series, lack) for series in series_in(name)) for name in names]
        out[np.ix_(drawn == number, lost)] = np.nan
    return out


def _is_lost(series: str, lack: frozenset[str]) -> bool:
    family = CATALOGUE[ALL_SERIES[series][0]].family
    return family in lack or ("detail" in lack and series in _DETAIL) or ("further" in lack and _is_further(series))


def _is_further(series: str) -> bool:
    return series not in SERIES


def draw_hardware(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the hardware of each container: standard normal numbers (n_containers, n_traits)."""
    return rng.standard_normal((count, len(_SPREAD) + len(_OFFSET_BYTES) + 2))


def shift_hardware(
    cells: NDArray[np.float32], series: Sequence[str], hardware: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Compute windows as they would have been on other hardware.

    Each series gets a factor, some levels an offset as well. Memory beyond what is resident has its own, so that
    resident memory stays below the working set, and that below all memory. A start takes as long as it took.

    Parameters
    ----------
    cells : array of float32 (n, n_series, n_cells)
        Levels and rates, as in :class:`podlab.features.windows.Windows`.
    series : sequence of str
        Names along the second axis.
    hardware : array of float64 (n, n_traits)
        From :func:`draw_hardware`.

    Returns
    -------
    array of float32 (n, n_series, n_cells)
        Missing values stay missing.
    """
    traits = hardware[:, :, None]
    out = cells.astype(np.float64)
    at = {name: number for number, name in enumerate(series)}
    for number, (name, spread) in enumerate(_SPREAD.items()):
        for each in (name, *_PARTS.get(name, ())):
            if each in at:
                out[:, at[each]] *= np.exp(spread * traits[:, number])
    for number, (name, median) in enumerate(_OFFSET_BYTES.items(), start=len(_SPREAD)):
        if name in at:
            out[:, at[name]] += median * np.exp(traits[:, number])
    factor, offset = np.exp(_BEYOND_SPREAD * traits[:, -2]), _BEYOND_OFFSET_BYTES * np.exp(traits[:, -1])
    resident = list(_SPREAD).index("memory_rss_bytes")
    for name in (name for name in _BEYOND if name in at):
        level = cells[:, at[name]].astype(np.float64)
        # Where resident memory is not measured, it is unknown how much lies beyond it.
        own = np.fmin(level, cells[:, at["memory_rss_bytes"]]) if "memory_rss_bytes" in at else level
        own = np.where(np.isnan(level), level, own)
        beyond = level - own
        out[:, at[name]] = own * np.exp(_SPREAD["memory_rss_bytes"] * traits[:, resident]) + beyond * factor + offset
    return out.astype(np.float32)
