"""The library: a detector for each service, and a pooled one, learned from normal rows of many deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import CONTAINER_KEY, FEATURE_METRICS
from podlab.detect.detector import Detector, MakeParts, TrainingRows, default_parts, fit_detector
from podlab.detect.signals import SIGNALS, Observed, SignalState
from podlab.detect.ticks import sample, ticks
from podlab.features.rows import Rows, read_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Alarms in normal deployments that were held out: so many per container in its first minute, and per day later.
FALSE_ALARMS_PER_START = 0.1
FALSE_ALARMS_PER_DAY = 1.0
START_S = 60.0
#: Alarms nearer to each other than this are one.
SAME_ALARM_S = 30.0
_FEWEST_ROWS = 50
#: Rows that the pooled detector learns from, at most.
_MOST_POOLED_ROWS = 20_000


@dataclass(frozen=True)
class Library:
    """Detectors by service.

    Attributes
    ----------
    detectors : dict of str to Detector
        By service; one of which too little was recorded has none.
    pooled : Detector
        Of all services together, ranked on services left out: for containers of which nothing is known.
    threshold, pooled_threshold : float
        Rarity, ``-log10`` of a part of normal rows, above which a row is anomalous. From normal rows only.
    """

    detectors: dict[str, Detector]
    pooled: Detector
    threshold: float
    pooled_threshold: float


def fit_library(
    samples: pd.DataFrame,
    *,
    group: str = "deployment",
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    make_parts: MakeParts = default_parts,
) -> Library | None:
    """Learn a detector for each service.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the column ``service``. Of a container with a fault, only what was before the
        first fault is learned from.
    group : str
        Column whose values are held out as a whole.
    services : sequence of str, optional
        Learn only these; by default all that are there.
    columns : sequence of str, optional
        Metric columns to learn from; by default all that are there.
    seed : int
        Same samples and seed, same library.
    make_parts : callable
        Makes the estimators of a detector from a seed: any that can be fitted on rows of finite numbers and that
        :func:`podlab.detect.measures.strangeness` understands.

    Returns
    -------
    Library or None
        None where not even all services together show enough normal rows.
    """
    left_out = [name for name in FEATURE_METRICS if columns is not None and name not in columns and name in samples]
    normal = samples[_before_faults(samples) & samples["service"].notna().to_numpy()].drop(columns=left_out)
    if services is not None:
        normal = normal[normal["service"].isin(services)]
    if len(normal) < _FEWEST_ROWS:
        return None
    rows = read_rows(normal.reset_index(drop=True))
    seen = replay_signals(rows)
    names = np.asarray(rows.containers["service"].astype(str))
    name_of, service = np.unique(names, return_inverse=True)
    deployment = pd.factorize(np.asarray(rows.containers[group].astype(str)))[0] if group in rows.containers else None
    if deployment is None or name_of.size < 2:
        return None
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    training = TrainingRows(seen, rows.offset_s, rows.code, deployment[rows.code])
    with threadpool_limits(limits=1):  # the matrices are small: more threads only wait for each other
        return _fit_all(training, tuple(name_of.tolist()), service[rows.code], seed, make_parts)


def _fit_all(
    training: TrainingRows,
    names: Sequence[str],
    service: IntArray,
    seed: int,
    make_parts: MakeParts,
) -> Library:
    """Fit a detector for each service, numbered by ``service`` (n,), and the pooled one."""
    detectors, rarities = {}, []
    for number, name in enumerate(names):
        own = training.only(service == number)
        groups = np.unique(own.group).size
        if groups >= 2 and len(own.age_s) >= _FEWEST_ROWS:
            detectors[name], rare = fit_detector(own, seed=seed, deployments=groups, make_parts=make_parts)
            rarities.append((rare, own))
    # Held out are whole services: the pooled detector is for containers of which nothing is known.
    every = TrainingRows(training.seen, training.age_s, training.container, service)
    some = every.only(every.container % max(1, -(-len(service) // _MOST_POOLED_ROWS)) == 0)
    if np.unique(some.group).size < 2:
        some = every
    deployments = np.unique(training.group).size
    pooled, pooled_rare = fit_detector(some, seed=seed, deployments=deployments, make_parts=make_parts)
    pooled_threshold = choose_threshold([(pooled_rare, some)])
    threshold = choose_threshold(rarities) if rarities else pooled_threshold
    return Library(detectors, pooled, threshold, pooled_threshold)


def choose_threshold(rarities: Sequence[tuple[FloatArray, TrainingRows]]) -> float:
    """Find the least rarity that few enough normal containers' alarms are above.

    Where less than a day was recorded one late alarm is allowed: the strangest of all normal rows is no threshold.
    """
    containers = sum(np.unique(rows.container).size for _, rows in rarities)
    days = sum(rows.watched_s for _, rows in rarities) / 86_400
    allowed = (FALSE_ALARMS_PER_START * containers, max(FALSE_ALARMS_PER_DAY * days, 1.0))
    for threshold in np.arange(1.0, 12.0, 0.05):
        alarms = np.zeros(2)
        for rare, rows in rarities:
            for when, early in enumerate((rows.age_s < START_S, rows.age_s >= START_S)):
                alarms[when] += count_alarms((rare > threshold) & early, rows.age_s, rows.container)
        if np.all(alarms <= allowed):
            return float(threshold)
    return 12.0


def count_alarms(strange: NDArray[np.bool_], time_s: FloatArray, container: IntArray) -> int:
    """Count alarms among rows in order of container and time; those near each other in one container are one."""
    where = np.flatnonzero(strange)
    if not where.size:
        return 0
    apart = (np.diff(container[where]) != 0) | (np.diff(time_s[where]) > SAME_ALARM_S)
    return 1 + int(apart.sum())


def replay_signals(rows: Rows) -> Observed:
    """Give what all rows show, every container learning from each of its rows."""
    shape = (len(rows.code), len(SIGNALS))
    out = Observed(np.empty(shape), np.empty(shape), np.empty(shape, np.float32), np.empty(shape, np.float32))
    state = SignalState(len(rows.containers))
    for which in ticks(rows):
        whose, time_s = rows.code[which], rows.offset_s[which]
        seen = state.observe(whose, time_s, *sample(rows, which))
        state.learn(whose, time_s, seen.now)
        for name, array in vars(out).items():
            array[which] = getattr(seen, name)
    return out


def _before_faults(samples: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows lie before the first anomalous one of their container (n_rows,)."""
    if "anomaly" not in samples:
        return np.ones(len(samples), dtype=bool)
    strange = samples["anomaly"].fillna(False).astype(bool)
    first = (
        samples["time"].where(strange).groupby([samples[name] for name in CONTAINER_KEY], dropna=False).transform("min")
    )
    return np.asarray(first.isna() | (samples["time"] < first))
