"""The sets of metric columns that clusters commonly have, and which of them suits some samples best.

A model that learned from all metrics of a recording is a poor model where most of them are missing: with the original's
14 metrics alone its macro-F1 at 60 s was .42, and that of a model that learned from those .57 (new configurations,
three folds of 374 deployments). So an identifier has a model for each of these sets as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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
_OPTIONAL = frozenset(
    {"volume_used_bytes", "memory_swap_bytes", "cpu_periods", "cpu_throttled_periods", "cpu_throttled_nanoseconds"}
)
#: A series that a model learned from and that is missing misleads more than one that it does not use is lost.
_COST_OF_MISSING = 3


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


def closest_set(available: Collection[str], columns: Mapping[str, Sequence[str]]) -> str:
    """Choose the model whose columns suit the available ones best.

    Parameters
    ----------
    available : collection of str
        Metric columns that have any value.
    columns : mapping of str to sequence of str
        The columns of each model; the first is preferred among equals.

    Returns
    -------
    str
        A key of ``columns``: the one with the fewest series missing or left unused, a missing one counting threefold.
    """
    every = set().union(*(series_of(each) for each in columns.values()))
    there = every.intersection(series_of(tuple(available)))

    def cost(name: str) -> int:
        used = set(series_of(columns[name]))
        return _COST_OF_MISSING * len(used - there - _OPTIONAL) + len(there - used)

    return min(columns, key=cost)
