"""Samples at the cadence of a kubelet, made from samples of each second: sparse, and each part at its own time.

Seen on Kubernetes 1.36: rows come 10 to 20 s apart; the network is measured on the pod's sandbox, up to 15 s before to
19 s after a container's row; file systems and volumes are measured about once a minute.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import AGES, CATALOGUE, CONTAINER_KEY, Family
from podlab.data.samples import INSTANCE_KEY, check_samples

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: From one measurement to the next: at least, and at most.
ROWS_S: Final = (10.0, 20.0)
#: Of what has its own times; a volume's first sizes take longest.
_STEPS_S: Final[dict[Family, tuple[float, float]]] = {
    "network": (10.0, 15.0),
    "filesystem": (60.0, 60.0),
    "volume": (60.0, 75.0),
}
#: A row is fetched no later than this after it was measured, and with it what else was measured until then.
_FETCHED_S: Final = 19.0
_POD: Final = tuple(name for name in CONTAINER_KEY if name != "container")


def at_kubelet_cadence(samples: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Thin samples out to those that a kubelet would have given, with ages of what is measured apart.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table, with a row each second or so.
    seed : int
        Same samples and seed, same rows. When a container is measured does not depend on what else is in the table.

    Returns
    -------
    DataFrame
        Some of the rows, with ``network_age_seconds``, ``filesystem_age_seconds`` and ``volume_age_seconds``; what was
        not measured yet is missing. All containers of a pod have the same network and volumes.
    """
    samples = samples.reset_index(drop=True)
    time_s: FloatArray = np.asarray(samples["time"].astype("int64"), dtype=np.float64) * 1e-9
    pod, instance = (
        np.asarray(samples.groupby(list(key), dropna=False, sort=False).ngroup(), dtype=np.int64)
        for key in (_POD, INSTANCE_KEY)
    )
    rows: list[IntArray] = []
    taken: dict[Family, list[IntArray]] = {family: [] for family in _STEPS_S}
    for of_pod in _split(pod):
        rng = _generator(seed, samples.loc[of_pod[0], list(_POD)])
        first_s, last_s = time_s[of_pod].min(), time_s[of_pod].max()
        schedule: dict[Family, FloatArray] = {
            "network": _moments(rng, first_s, last_s, *_STEPS_S["network"]),
            "volume": _moments(rng, first_s, last_s, *_STEPS_S["volume"]),
        }
        for places in _split(instance[of_pod]):
            own = of_pod[places]
            own = own[np.argsort(time_s[own], kind="stable")]
            rng = _generator(seed, samples.loc[own[0], list(INSTANCE_KEY)])
            measured_s = _moments(rng, time_s[own[0]], time_s[own[-1]], *ROWS_S)
            kept = own[np.unique(_last_until(time_s[own], measured_s))]
            fetched_s = time_s[kept] + rng.uniform(0, _FETCHED_S, kept.size)
            schedule["filesystem"] = _moments(rng, time_s[own[0]], time_s[own[-1]], *_STEPS_S["filesystem"])
            rows.append(kept)
            for family, moments_s in schedule.items():
                # The newest measurement when the row is fetched, and the sample that it saw.
                newest = np.searchsorted(moments_s, fetched_s, side="right") - 1
                seen = _last_until(time_s[own], moments_s[np.maximum(newest, 0)])
                taken[family].append(np.where((newest >= 0) & (seen >= 0), own[np.maximum(seen, 0)], -1))
    order = np.concatenate(rows)
    out = samples.take(order).reset_index(drop=True)
    for family, parts in taken.items():
        source = np.concatenate(parts)
        columns = [name for name, metric in CATALOGUE.items() if metric.family == family and name in samples]
        for name in columns:
            out[name] = samples[name].array.take(source, allow_fill=True)
        if columns:
            out[AGES[family]] = np.where(source < 0, np.nan, (time_s[order] - time_s[source]).round(3))
    return check_samples(out, where="samples at a kubelet's cadence")


def _split(group: IntArray) -> list[IntArray]:
    """Give the places of each group's members."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def _generator(seed: int, whose: pd.Series) -> np.random.Generator:
    return np.random.default_rng([seed, *"/".join(map(str, whose)).encode()])


def _moments(rng: np.random.Generator, first_s: float, last_s: float, least_s: float, most_s: float) -> FloatArray:
    """Draw when something is measured: first within the shortest step, or 10 s, then again and again."""
    count = int((last_s - first_s) / least_s) + 2
    steps = rng.uniform(least_s, most_s, count)
    steps[0] = rng.uniform(0, min(least_s, ROWS_S[0]))
    moments = first_s + np.cumsum(steps)
    return moments[moments <= last_s]


def _last_until(time_s: FloatArray, at_s: FloatArray) -> IntArray:
    """Give the place of the last of some rising times that is no later than each of some others; -1 for none."""
    return np.searchsorted(time_s, at_s, side="right") - 1
