"""The sets of metric columns that clusters commonly have, and which of them suits some samples best.

A model that learned from all metrics of a recording is a poor model where most of them are missing: with the original's
14 metrics alone its macro-F1 at 60 s was .42, and that of a model that learned from those .57 (new configurations,
three folds of 374 deployments). So an identifier has a model for each of these sets as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, ORIGINAL_METRICS
from podlab.features.windows import series_of

#: What kube-prometheus-stack drops before it is stored, and what cAdvisor does not give.
_NOT_IN_PROMETHEUS = frozenset(
    {
        "file_descriptors", "memory_mapped_file_bytes", "memory_swap_bytes", "memory_limit_hits", "memory_page_faults",
        "memory_major_page_faults", "cpu_user_core_nanoseconds", "cpu_system_core_nanoseconds",
        "cpu_throttled_nanoseconds", "logsfs_used_bytes", "rootfs_inodes_used",
    }
)  # fmt: skip
#: The sets by name, large ones first.
COLUMN_SETS: dict[str, frozenset[str]] = {
    "prometheus": frozenset(FEATURE_METRICS) - _NOT_IN_PROMETHEUS,
    "original": frozenset(ORIGINAL_METRICS),
    # Telegraf's kubernetes input without Docker, the kubelet's summary, OpenTelemetry's receiver: no I/O.
    "kubelet": frozenset(name for name in ORIGINAL_METRICS if CATALOGUE[name].family != "io"),
    "cpu-memory": frozenset(name for name in ORIGINAL_METRICS if CATALOGUE[name].family in ("cpu", "memory")),
}
#: Series that containers lack who have no such thing: a volume, swap, a CPU limit. They need not be there.
OPTIONAL_SERIES = frozenset(
    {"volume_used_bytes", "memory_swap_bytes", "cpu_periods", "cpu_throttled_periods", "cpu_throttled_nanoseconds"}
)


def smaller_sets(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Give the sets that are a real part of some columns, each once.

    Returns
    -------
    dict of str to tuple of str
        Name -> those of ``columns`` that are in the set.
    """
    found: dict[str, tuple[str, ...]] = {}
    known = {series_of(columns)}
    for name, chosen in COLUMN_SETS.items():
        part = tuple(column for column in columns if column in chosen)
        series = series_of(part)
        if series and series not in known:
            known.add(series)
            found[name] = part
    return found


def closest_set(available: Collection[str], importance: Mapping[str, Mapping[str, float]]) -> str:
    """Choose the model that suits the available columns best.

    A model is worth the share of its own importance that is available, times the root of the share of what is available
    that it uses, by the importance in the model of all columns. Trained on two sites and tested on a third with 23
    parts of the columns, that lost .01 of macro-F1 against the best model for each part, and counting columns .09.

    Parameters
    ----------
    available : collection of str
        Metric columns that have any value.
    importance : mapping of str to mapping of str to float
        By model, how important each series is for it; the first model, preferred among equals, has them all.

    Returns
    -------
    str
        A key of ``importance``.
    """
    whole = next(iter(importance.values()))
    there = set(series_of(tuple(available)))

    def share(part: Collection[str], of: Mapping[str, float], within: Collection[str]) -> float:
        counted = {name: value for name, value in of.items() if name in within and name not in OPTIONAL_SERIES}
        return sum(value for name, value in counted.items() if name in part) / (sum(counted.values()) or 1.0)

    def worth(model: str) -> float:
        own = importance[model]
        return float(share(there, own, within=own) * np.sqrt(share(own, whole, within=there)))

    return max(importance, key=worth)
