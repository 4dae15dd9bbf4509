"""Samples at the cadence of a kubelet, derived from samples of each second: sparse, each family at its own time.

From the answers of a Kubernetes 1.36 kubelet (Summary API, containerd; two answers, six pods):

- a container's CPU, memory and I/O are measured every 10 to 20 s, each container at its own moments;
- the network is measured in the pod's sandbox, also every 10 to 20 s, 15 s after to 19 s before the container's row;
- file systems are measured by the container runtime, of all containers of a node at once, 2 to 4 s before the answer;
- volumes are measured every one to two minutes (the kubelet's period of a minute, and as much of jitter), and no pod of
  up to 131 s of age had any yet.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import FloatArray, IntArray
from podlab.data.catalogue import AGES, ALL_COLUMNS, CATALOGUE, CONTAINER_KEY, Family
from podlab.data.samples import INSTANCE_KEY

#: Shortest and longest time from one measurement to the next: of a container's row and of a pod's network, and of
#: volumes.
HOUSEKEEPING_S: Final = (10.0, 20.0)
VOLUMES_S: Final = (60.0, 120.0)
#: A pod's volumes are measured for the first time so long after its first sample.
FIRST_VOLUMES_S: Final = (60.0, 180.0)
#: The container runtime measures file systems so often.
FILESYSTEMS_S: Final = 10.0
#: A row is fetched no later than this after it was measured, and with it the newest of what is measured apart.
FETCHED_S: Final = 19.0
_POD: Final = tuple(name for name in CONTAINER_KEY if name != "container")
_NODE: Final = ("cluster", "node")
_CPU_GAUGE: Final = "cpu_usage_nanocores"
_CPU_COUNTER: Final = "cpu_usage_core_nanoseconds"


def at_kubelet_cadence(samples: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Thin samples out to those that a kubelet would have given, with the ages of what it measures apart.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table, with a row each second or so.
    seed : int
        Same samples and seed, same rows. When a container is measured does not depend on what else is in the table.

    Returns
    -------
    DataFrame
        Some of the rows, under their own index, in their own order, with ``network_age_seconds``,
        ``filesystem_age_seconds`` and ``volume_age_seconds``; what was not measured yet is missing. No value is from
        more than :data:`FETCHED_S` after its row. All containers of a pod have the same network and volumes. CPU usage
        is the mean since the row before, so that it is missing in the first.
    """
    time_s: FloatArray = np.asarray(samples["time"].astype("int64"), dtype=np.float64) * 1e-9
    keys = {name: samples[name].to_numpy(object) for name in dict.fromkeys((*INSTANCE_KEY, *_NODE)) if name in samples}
    pod, instance = (
        np.asarray(samples.groupby(list(key), dropna=False, sort=False).ngroup(), dtype=np.int64)
        for key in (_POD, INSTANCE_KEY)
    )
    rows: list[IntArray] = []
    taken: dict[Family, list[IntArray]] = {family: [] for family in AGES}
    for of_pod in _split(pod):
        rng = _generator(seed, keys, of_pod[0], _POD)
        first_s, last_s = time_s[of_pod].min(), time_s[of_pod].max()
        node_phase_s = _generator(seed, keys, of_pod[0], _NODE).uniform(0, FILESYSTEMS_S)
        schedule: dict[Family, FloatArray] = {
            "network": _moments(rng, first_s, last_s, HOUSEKEEPING_S, first=(0.0, HOUSEKEEPING_S[0])),
            "volume": _moments(rng, first_s, last_s, VOLUMES_S, first=FIRST_VOLUMES_S),
            "filesystem": _regular(node_phase_s, first_s, last_s, FILESYSTEMS_S),
        }
        for places in _split(instance[of_pod]):
            own = of_pod[places]
            own = own[np.argsort(time_s[own], kind="stable")]
            rng = _generator(seed, keys, own[0], INSTANCE_KEY)
            measured_s = _moments(rng, time_s[own[0]], time_s[own[-1]], HOUSEKEEPING_S, first=(0.0, HOUSEKEEPING_S[0]))
            kept = own[np.unique(_last_until(time_s[own], measured_s))]
            # No row is fetched before the one before it.
            fetched_s = np.maximum.accumulate(time_s[kept] + rng.uniform(0, FETCHED_S, kept.size))
            rows.append(kept)
            for family, moments_s in schedule.items():
                # The newest measurement when the row is fetched, and the sample that it saw.
                newest = np.searchsorted(moments_s, fetched_s, side="right") - 1
                if moments_s.size:
                    seen = _last_until(time_s[own], moments_s[np.maximum(newest, 0)])
                    taken[family].append(np.where((newest >= 0) & (seen >= 0), own[np.maximum(seen, 0)], -1))
                else:
                    taken[family].append(np.full(kept.size, -1))
    order = np.concatenate(rows)
    place = np.argsort(order, kind="stable")
    order = order[place]
    out = samples.take(order)
    for family, parts in taken.items():
        source = np.concatenate(parts)[place]
        columns = [name for name, metric in CATALOGUE.items() if metric.family == family and name in samples]
        for name in columns:
            out[name] = samples[name].array.take(source, allow_fill=True)
        if columns:
            out[AGES[family]] = np.where(source < 0, np.nan, (time_s[order] - time_s[source]).round(3))
    if {_CPU_GAUGE, _CPU_COUNTER} <= set(out):
        out[_CPU_GAUGE] = _mean_since_row_before(out[_CPU_COUNTER], time_s[order], instance[order])
    return out[[name for name in ALL_COLUMNS if name in out]]


def _mean_since_row_before(counter: pd.Series, time_s: FloatArray, instance: IntArray) -> FloatArray:
    """Growth per second since the row before; missing in an instance's first row and where the counter fell (n,)."""
    order = np.lexsort((time_s, instance))
    grown = np.diff(counter.to_numpy(np.float64, na_value=np.nan)[order], prepend=np.nan)
    step_s = np.diff(time_s[order], prepend=np.nan)
    valid = (np.diff(instance[order], prepend=-1) == 0) & (grown >= 0)
    mean = np.full(len(order), np.nan)
    mean[order[valid]] = grown[valid] / step_s[valid]
    return mean


def _split(group: IntArray) -> list[IntArray]:
    """Give the places of each group's members."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _generator(seed: int, keys: dict[str, NDArray[np.object_]], row: int, key: tuple[str, ...]) -> np.random.Generator:
    """Seed by what names something, whatever its place in the table."""
    return np.random.default_rng([seed, *"/".join(str(keys[name][row]) for name in key if name in keys).encode()])


def _moments(
    rng: np.random.Generator, begin_s: float, end_s: float, step_s: tuple[float, float], *, first: tuple[float, float]
) -> FloatArray:
    """Draw when something is measured: first within ``first`` after the begin, then again and again until the end."""
    count = int((end_s - begin_s) / step_s[0]) + 2
    steps = rng.uniform(*step_s, count)
    steps[0] = rng.uniform(*first)
    moments = begin_s + np.cumsum(steps)
    return moments[moments <= end_s]


def _regular(phase_s: float, begin_s: float, end_s: float, step_s: float) -> FloatArray:
    """Give the multiples of a step, with a phase, from the begin to the end."""
    first, last = np.ceil((begin_s - phase_s) / step_s), np.floor((end_s - phase_s) / step_s)
    return phase_s + step_s * np.arange(first, last + 1)


def _last_until(time_s: FloatArray, at_s: FloatArray) -> IntArray:
    """Give the place of the last of some rising times that is no later than each of some others; -1 for none."""
    return np.searchsorted(time_s, at_s, side="right") - 1
