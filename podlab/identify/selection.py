"""What a recording's models are made of: the sets of metric columns that there is one for, and the forest's members.

A model that learned from all metrics of a recording is a poor model where most of them are missing: with the original's
14 metrics alone its macro-F1 at 60 s was .42, and that of a model that learned from those .57 (new configurations,
three folds of 374 deployments). So an identifier has a model for each of the sets that clusters commonly have as well.
Trained at one site (545 deployments) and tested at another (97), after 60 s: the original's metrics with the counts of
processes, threads, descriptors and sockets .81 (.63 by the model without the counts), CPU and memory with them .65
(.39), CPU, memory and network .47 (.39 without the network).

Members are feature subspaces, one forest on all features, or both. Subspaces are ahead where configurations are new; on
some recordings one plain forest is. So each recording decides, by grouped inner folds on one observation window. A
smooth member beside the trees (linear discriminant analysis, a support vector machine) is no candidate: at sites left
out and within older recordings alike it cost .01 to .3 of macro-F1, at every weight and temperature tried.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import CATALOGUE, FEATURE_METRICS, ORIGINAL_METRICS
from podlab.features.windows import series_of
from podlab.identify.calibration import Condition
from podlab.identify.classifier import TrainingSet
from podlab.identify.forest import MEMBERS, Members, fit_subspace_forest
from podlab.identify.observation import ObservationWindow

#: What kube-prometheus-stack drops before it is stored, and what cAdvisor does not give.
_NOT_IN_PROMETHEUS = frozenset(
    {
        "file_descriptors", "memory_mapped_file_bytes", "memory_swap_bytes", "memory_limit_hits", "memory_page_faults",
        "memory_major_page_faults", "cpu_user_core_nanoseconds", "cpu_system_core_nanoseconds",
        "cpu_throttled_nanoseconds", "logsfs_used_bytes", "rootfs_inodes_used",
    }
)  # fmt: skip
_COUNTS = frozenset({"processes", "threads", "file_descriptors", "sockets"})


def _original(*families: str) -> frozenset[str]:
    return frozenset(name for name in ORIGINAL_METRICS if CATALOGUE[name].family in families)


#: The sets by name, large ones first.
COLUMN_SETS: dict[str, frozenset[str]] = {
    "prometheus": frozenset(FEATURE_METRICS) - _NOT_IN_PROMETHEUS,
    "original-counts": frozenset(ORIGINAL_METRICS) | _COUNTS,
    "original": frozenset(ORIGINAL_METRICS),
    # Telegraf's kubernetes input without Docker, the kubelet's summary, OpenTelemetry's receiver: no I/O.
    "kubelet": _original("cpu", "memory", "network", "filesystem", "volume"),
    "cpu-memory-counts": _original("cpu", "memory") | _COUNTS,
    # docker stats, and a kubelet whose runtime measures no file systems
    "cpu-memory-network": _original("cpu", "memory", "network"),
    "cpu-memory": _original("cpu", "memory"),
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
    for name, chosen in reversed(COLUMN_SETS.items()):  # of two alike, the smaller one gives its name
        part = tuple(column for column in columns if column in chosen)
        series = series_of(part)
        if series and series not in known:
            known.add(series)
            found[name] = part
    return dict(reversed(found.items()))


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


log = logging.getLogger(__name__)

#: The window that is looked at is the start-up window nearest to this length.
_LENGTH_S = 60.0
_TREES = 30
_ONE_SIDED_90 = 1.28
#: So many services must have two groups, and as large a part of all; others cannot be held out.
_FEWEST_SERVICES, _LEAST_SHARE = 2, 0.5


def window_to_compare(windows: Sequence[ObservationWindow]) -> ObservationWindow:
    """Choose the window on which members are compared."""
    return min(windows, key=lambda each: (each.kind != "startup", abs(np.log(each.length_s / _LENGTH_S))))


def choose_members(
    data: TrainingSet, truth: NDArray[np.intp], groups: NDArray[np.str_], folds: NDArray[np.intp], *, services: int,
    seed: int, jobs: int | None,
) -> tuple[Members, dict[str, float]]:  # fmt: skip
    """Compare the members on groups held out; those of before stay unless others are better by more than noise.

    Parameters
    ----------
    data : TrainingSet
        Of one observation window.
    truth, groups, folds : array (n_containers,)
        Service, group and fold of each container.
    services : int
        How many there are.
    seed : int
        Same input and seed, same choice.
    jobs : int, optional
        Threads.

    Returns
    -------
    tuple of (Members, dict of str to float)
        The choice, and the balanced accuracy of each; empty where too few services have two groups to compare.
    """
    pairs = np.unique(np.stack([truth.astype(str), groups]), axis=1)[0]
    repeated = int((np.unique(pairs, return_counts=True)[1] > 1).sum())
    if repeated < max(_FEWEST_SERVICES, _LEAST_SHARE * services):
        log.info(
            "members are not chosen: only %d of %d services have two groups to compare them on", repeated, services
        )
        return "subspaces", {}
    learned = data.only(data.weight > 0)
    y, fold_of, recorded = truth[learned.owner], folds[learned.owner], learned.copy == Condition.RECORDED
    right, tested = np.zeros((len(MEMBERS), y.size)), np.zeros(y.size, dtype=bool)
    for fold in np.unique(folds):
        inside = fold_of != fold
        test = recorded & ~inside & np.isin(y, y[inside])
        if not test.any() or np.unique(y[inside]).size < 2:
            continue
        tested |= test
        for number, members in enumerate(MEMBERS):
            forest = fit_subspace_forest(
                learned.X[inside], y[inside], learned.weight[inside], learned.names,
                services=services, trees=_TREES, members=members, seed=seed, jobs=jobs,
            )  # fmt: skip
            right[number, test] = forest.predict(learned.X[test]).argmax(axis=1) == y[test]
    if not tested.any():
        return "subspaces", {}
    return _decide(right[:, tested], y[tested], groups[learned.owner][tested])


def _decide(
    right: NDArray[np.float64], y: NDArray[np.intp], groups: NDArray[np.str_]
) -> tuple[Members, dict[str, float]]:
    """Choose by balanced accuracy (n_members, n), the first unless another is ahead with a confidence of 90 %."""
    weight = 1.0 / np.bincount(y)[y]
    weight /= weight.sum()
    group = np.unique(groups, return_inverse=True)[1].reshape(-1)
    accuracy = right @ weight
    best = int(accuracy.argmax())
    lead = np.bincount(group, weights=weight * (right[best] - right[0]))
    error = _ONE_SIDED_90 * float(np.sqrt(lead.size / max(lead.size - 1, 1) * np.square(lead - lead.mean()).sum()))
    chosen = MEMBERS[best if lead.sum() > error else 0]
    return chosen, {name: round(float(each), 4) for name, each in zip(MEMBERS, accuracy, strict=True)}
