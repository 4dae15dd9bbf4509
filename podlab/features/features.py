"""Features of windows: level, rate, shape and ratios, without normalising a series by itself.

Scale carries identity (a database holds more memory than a proxy), so levels and rates enter as ``log(1 + x)`` of the
value in its unit; shapes are free of scale and of the window's length. No feature says who the container is, when it
ran, for how long, or how often it was sampled.

More features are registered with :func:`feature`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.features.windows import Windows

Matrix = NDArray[np.float32]

#: Statistics of each series, in order. With x the cells' values, T cells, and range = max - min; a share whose
#: denominator is 0 is 0. Deviation, peaks and steps were tried: they show the load and the sampling interval
#: rather than the service, and cost up to 3 points of macro-F1 on deployments held out.
STATISTICS: tuple[str, ...] = (
    "mean",  # log1p(mean)
    "min",  # log1p(min)
    "q25",  # log1p of the ordered value at index T // 4
    "median",  # log1p of the ordered value at index T // 2
    "q75",  # log1p of the ordered value at index (3 * T) // 4
    "max",  # log1p(max)
    "early",  # log1p(mean of the first quarter)
    "late",  # log1p(mean of the last quarter)
    "growth",  # late - early
    "early_share",  # mean of the first quarter / (that + mean of the last quarter)
    "centre",  # sum(t * x) / sum(x) / (T - 1): when it happened, 0.5 is evenly
    "settling",  # part of the window until x stays within 10 % of range around its last value
)


#: Pairs of series whose ratio is a feature, as log1p(mean of a) - log1p(mean of b). Ratios depend on the program more
#: than on its load and data: memory per process, bytes per packet, the kernel's share of CPU time.
RATIOS: tuple[tuple[str, str], ...] = (
    ("memory_rss_bytes", "memory_working_set_bytes"),
    ("memory_working_set_bytes", "memory_usage_bytes"),
    ("memory_rss_bytes", "memory_usage_bytes"),
    ("rx_bytes", "tx_bytes"),
    ("rx_bytes", "cpu_usage_nanocores"),
    ("tx_bytes", "cpu_usage_nanocores"),
    ("memory_page_faults", "cpu_usage_nanocores"),
    ("memory_page_faults", "memory_rss_bytes"),
    ("io_read_bytes", "cpu_usage_nanocores"),
    ("io_write_bytes", "cpu_usage_nanocores"),
    ("io_read_bytes", "io_write_bytes"),
    ("io_write_bytes", "rx_bytes"),
    ("rootfs_used_bytes", "logsfs_used_bytes"),
    ("cpu_usage_nanocores", "memory_rss_bytes"),
    ("threads", "processes"),
    ("file_descriptors", "processes"),
    ("file_descriptors", "threads"),
    ("sockets", "processes"),
    ("sockets", "file_descriptors"),
    ("memory_rss_bytes", "processes"),
    ("memory_rss_bytes", "threads"),
    ("memory_mapped_file_bytes", "processes"),
    ("memory_mapped_file_bytes", "memory_rss_bytes"),
    ("memory_mapped_file_bytes", "memory_working_set_bytes"),
    ("memory_kernel_bytes", "processes"),
    ("memory_kernel_bytes", "threads"),
    ("memory_kernel_bytes", "memory_usage_bytes"),
    ("memory_cache_bytes", "memory_usage_bytes"),
    ("cpu_user_core_nanoseconds", "cpu_system_core_nanoseconds"),
    ("cpu_usage_nanocores", "rx_packets"),
    ("cpu_user_core_nanoseconds", "rx_packets"),
    ("cpu_system_core_nanoseconds", "rx_packets"),
    ("rx_bytes", "rx_packets"),
    ("tx_bytes", "tx_packets"),
    ("rx_packets", "tx_packets"),
    ("io_read_bytes", "io_read_operations"),
    ("io_write_bytes", "io_write_operations"),
    ("io_write_operations", "rx_packets"),
    ("io_write_operations", "cpu_usage_nanocores"),
)

#: Series made of two others: their sum, or their difference where that is positive.
DERIVED: dict[str, tuple[str, Literal["+", "-"], str]] = {
    # The same wherever a container keeps its data. A pod without volumes has no volume_used_bytes.
    "disk_used_bytes": ("rootfs_used_bytes", "+", "volume_used_bytes"),
    # Files, pipes and libraries, which a program opens whatever its load is, unlike sockets.
    "open_files": ("file_descriptors", "-", "sockets"),
}

#: A block of this many values and its copies stay in the processor's second-level cache.
_BLOCK_VALUES = 100_000
_NEAR = np.float32(0.1)


Function = Callable[[Matrix], NDArray[np.floating[Any]]]

_registered: dict[str, Function] = {}


def feature(name: str) -> Callable[[Function], Function]:
    """Register a statistic of each series as a further feature, for models that are fitted from now on.

    Parameters
    ----------
    name : str
        The features are called ``<series>.<name>``. A later registration of the same name replaces it.

    Returns
    -------
    callable
        Decorates a function that takes the cells of one series in many windows (n, n_cells) and gives a value for
        each (n,). Windows in which the series is missing are NaN in all cells, and stay NaN.

    Raises
    ------
    InputError
        If the name is unusable or one of :data:`STATISTICS`.

    Examples
    --------
    >>> @feature("range")
    ... def value_range(cells):
    ...     return np.log1p(cells.max(axis=1) - cells.min(axis=1))
    >>> feature_names(["rx_bytes"])[-1]
    'rx_bytes.range'
    >>> remove_feature("range")
    """
    if not name.isidentifier() or name in STATISTICS:
        what = f"{name!r} is not a valid name for a feature"
        raise InputError(what, hint="use letters, digits and _; no name in use")

    def register(function: Function) -> Function:
        _registered[name] = function
        return function

    return register


def remove_feature(name: str) -> None:
    """Forget a registered feature, if there is one of that name."""
    _registered.pop(name, None)


def registered_features() -> dict[str, Function]:
    """Give the functions of the registered features by name."""
    return dict(_registered)


def _derived(series: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, (a, _, b) in DERIVED.items() if a in series and b in series)


def _own_names(series: Sequence[str]) -> tuple[str, ...]:
    single = [f"{name}.{statistic}" for name in (*series, *_derived(series)) for statistic in STATISTICS]
    return (*single, *(f"{a}/{b}" for a, b in RATIOS if a in series and b in series))


def feature_names(series: Sequence[str]) -> tuple[str, ...]:
    """Name the features of windows with these series, registered ones last, in the order of a feature matrix."""
    return (*_own_names(series), *(f"{name}.{statistic}" for statistic in _registered for name in series))


def series_in(feature: str) -> tuple[str, ...]:
    """Name the series that a feature is made from.

    Examples
    --------
    >>> series_in("rx_bytes.mean"), series_in("rx_bytes/tx_bytes"), series_in("open_files.max")
    (('rx_bytes',), ('rx_bytes', 'tx_bytes'), ('file_descriptors', 'sockets'))
    """
    if "/" in feature:
        return tuple(feature.split("/"))
    series = feature.partition(".")[0]
    return DERIVED[series][::2] if series in DERIVED else (series,)


def feature_matrix(windows: Windows, names: Sequence[str] | None = None) -> tuple[Matrix, tuple[str, ...]]:
    """Compute the feature matrix.

    Raises InputError if there is no feature of a name.

    Parameters
    ----------
    windows : Windows
        From :func:`podlab.features.windows.make_windows`.
    names : sequence of str, optional
        The features; by default all, as :func:`feature_names` names them.

    Returns
    -------
    matrix : array of float32 (n_containers, n_features)
        NaN where a series is missing.
    names : tuple of str
        One per column.
    """
    wanted = feature_names(windows.series) if names is None else tuple(names)
    matrix, own = _own_features(windows)
    if wanted == own:
        return matrix, own
    columns = {name: matrix[:, number] for number, name in enumerate(own)}
    for statistic, function in _registered.items():
        for number, series in enumerate(windows.series):
            cells = windows.cells[:, number]
            if f"{series}.{statistic}" in wanted:
                columns[f"{series}.{statistic}"] = np.where(np.isnan(cells[:, 0]), np.nan, function(cells))
    if missing := [name for name in wanted if name not in columns]:
        hint = "register it with podlab.feature before the model is used"
        raise InputError("there is no such feature", where=missing[0], hint=hint)
    return np.stack([columns[name] for name in wanted], axis=1).astype(np.float32), wanted


def extract_features(windows: Windows, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Compute the features as a table, with one row for each line of ``windows.containers``.

    Parameters
    ----------
    windows, names
        As for :func:`feature_matrix`.

    Returns
    -------
    DataFrame of float32 (n_containers, n_features)
        NaN where a series is missing.
    """
    matrix, columns = feature_matrix(windows, names)
    return pd.DataFrame(matrix, index=windows.containers.index, columns=list(columns))


def _own_features(windows: Windows) -> tuple[Matrix, tuple[str, ...]]:
    """Compute the features that podlab has, without registered ones."""
    count, n_series, cells = windows.cells.shape
    names = _own_names(windows.series)
    out = np.empty((count, len(names)), dtype=np.float32)
    derived = _derived(windows.series)
    single = (n_series + len(derived)) * len(STATISTICS)
    step = max(1, _BLOCK_VALUES // max(1, n_series * cells))
    with np.errstate(divide="ignore", invalid="ignore"):
        for begin, end in pairwise((*range(0, count, step), count)):
            block = windows.cells[begin:end]
            block = np.concatenate([block, *(_derive(block, windows.series, name) for name in derived)], axis=1)
            out[begin:end, :single] = _statistics(block.reshape(-1, cells)).reshape(end - begin, single)
    mean = {name: n * len(STATISTICS) + STATISTICS.index("mean") for n, name in enumerate(windows.series)}
    pairs = [(mean[a], mean[b]) for a, b in RATIOS if a in mean and b in mean]
    for column, (a, b) in enumerate(pairs, start=single):
        out[:, column] = out[:, a] - out[:, b]
    return out, names


def _derive(cells: Matrix, series: Sequence[str], name: str) -> Matrix:
    """Make one of :data:`DERIVED` from the cells of all series (n, n_series, n_cells) -> (n, 1, n_cells)."""
    first, sign, second = DERIVED[name]
    a, b = (cells[:, [series.index(each)]] for each in (first, second))
    return a + np.nan_to_num(b) if sign == "+" else np.maximum(a - b, np.float32(0))


def _statistics(rows: Matrix) -> Matrix:
    """All of :data:`STATISTICS` for many series (n, n_cells) -> (n, n_statistics)."""
    cells = rows.shape[1]
    ordered = np.sort(rows, axis=1)
    low, high = ordered[:, 0], ordered[:, -1]
    # Cells along the first axis: each step is then one sweep over contiguous values of many series.
    x = np.ascontiguousarray(rows.T)
    scratch = x - x[-1]
    far = np.abs(scratch, out=scratch) > _NEAR * (high - low)
    settling = (far * np.arange(1, cells + 1, dtype=np.uint8)[:, None]).max(axis=0)
    mean = x.mean(axis=0)
    quarter = max(1, cells // 4)
    early, late = x[:quarter].mean(axis=0), x[-quarter:].mean(axis=0)
    when = np.arange(cells, dtype=np.float32) - np.float32((cells - 1) / 2)
    # Not by matrix product: its rounding would depend on what else is in the block.
    centre = np.multiply(when[:, None], x, out=scratch).mean(axis=0)

    out = np.empty((rows.shape[0], len(STATISTICS)), dtype=np.float32)
    levels = (mean, low, ordered[:, cells // 4], ordered[:, cells // 2], ordered[:, 3 * cells // 4], high, early, late)
    for column, values in enumerate(levels):
        out[:, column] = np.log1p(values)
    out[:, 8] = out[:, 7] - out[:, 6]
    out[:, 9] = _share(early, early + late)
    out[:, 10] = 0.5 + _share(centre, mean) / (cells - 1)
    out[:, 11] = settling / np.float32(cells)
    out[np.isnan(mean)] = np.nan
    return out


def _share(part: Matrix, whole: Matrix) -> Matrix:
    return np.where(whole > 0, part / whole, np.float32(0))
