"""The library: a detector for each service and a pooled one, trained on normal rows of many deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import MEASURED_METRICS
from podlab.data.samples import before_faults
from podlab.detect.detector import Detector, MakeEstimators, TrainingRows, default_estimators, fit_detector
from podlab.detect.discriminative import FaultDetector, fit_fault_detectors
from podlab.detect.signals import ORIGINAL_SIGNALS, observe_rows
from podlab.features.rows import read_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
AnyDetector = Detector | FaultDetector

#: Alarms allowed in held-out normal deployments: per container in its first minute, and per container-day later.
FALSE_ALARMS_PER_START = 0.1
FALSE_ALARMS_PER_DAY = 1.0
START_S = 60.0
#: Alarms closer than this count as one.
SAME_ALARM_S = 30.0
_MIN_ROWS = 50
#: Training rows of the pooled detector, at most.
_MAX_POOLED_ROWS = 20_000


@dataclass(frozen=True, repr=False)
class DetectorLibrary:
    """Detectors by service.

    Attributes
    ----------
    detectors : dict of str to Detector or FaultDetector
        By service; a service with too few recordings has none.
    pooled : Detector or FaultDetector
        Trained on all services, with reference distributions from services held out: for unknown containers.
    threshold, pooled_threshold : float
        Rarity, ``-log10`` of a share of normal rows, above which a row is anomalous. From normal rows only.
    """

    detectors: dict[str, AnyDetector]
    pooled: AnyDetector
    threshold: float
    pooled_threshold: float

    def __repr__(self) -> str:
        return f"DetectorLibrary({len(self.detectors)} services, and one pooled detector)"


def fit_library(
    samples: pd.DataFrame,
    *,
    group: str = "deployment",
    services: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    false_alarms_per_day: float = FALSE_ALARMS_PER_DAY,
    learn_from: Literal["normal", "synthetic-faults"] = "normal",
    make_estimators: MakeEstimators = default_estimators,
) -> DetectorLibrary | None:
    """Train a detector for each service.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table with the column ``service``. Rows of a container from its first fault on are not used.
    group : str
        Column of the groups that are held out together.
    services : sequence of str, optional
        Only these; by default all.
    columns : sequence of str, optional
        Metric columns to use; by default all.
    seed : int
        Same samples and seed, same library.
    false_alarms_per_day : float
        The alarm budget: false alarms per container-day that the thresholds are set for, in held-out normal rows.
    learn_from : {"normal", "synthetic-faults"}
        Whether detectors are ensembles of outlier detectors, which know normal rows only, or a classifier that also
        learned from synthetic faults: :mod:`podlab.detect.discriminative`.
    make_estimators : callable
        Makes the estimators of an ensemble from a seed: any outlier detectors of scikit-learn's or pyod's kind. To be
        stored they must be registered, see :func:`podlab.detect.register_detector`.

    Returns
    -------
    DetectorLibrary or None
        None if all services together have too few normal rows.
    """
    unused = [name for name in MEASURED_METRICS if columns is not None and name not in columns and name in samples]
    normal = samples[before_faults(samples) & samples["service"].notna().to_numpy()].drop(columns=unused)
    if services is not None:
        normal = normal[normal["service"].isin(services)]
    if len(normal) < _MIN_ROWS:
        return None
    rows = read_rows(normal.reset_index(drop=True))
    names = np.asarray(rows.containers["service"].astype(str))
    name_of, service = np.unique(names, return_inverse=True)
    deployment = pd.factorize(np.asarray(rows.containers[group].astype(str)))[0] if group in rows.containers else None
    if deployment is None or name_of.size < 2 or np.unique(deployment).size < 2:
        return None
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    if learn_from == "synthetic-faults":
        detectors, pooled, rarities, pooled_rare = fit_fault_detectors(normal, group=group, seed=seed)
        own = choose_threshold(rarities, false_alarms_per_day)
        unknown = choose_threshold([(pooled_rare, rarities[0][1])], false_alarms_per_day)
        return DetectorLibrary(dict(detectors), pooled, own, unknown)
    training = TrainingRows(
        observe_rows(rows, signals=len(ORIGINAL_SIGNALS)), rows.offset_s, rows.code, deployment[rows.code]
    )
    with threadpool_limits(limits=1):  # more threads only wait for each other: the matrices are small
        return _fit_all(
            training, tuple(name_of.tolist()), service[rows.code], seed, make_estimators, false_alarms_per_day
        )


def _fit_all(
    training: TrainingRows,
    names: Sequence[str],
    service: IntArray,
    seed: int,
    make_estimators: MakeEstimators,
    false_alarms_per_day: float,
) -> DetectorLibrary:
    """Fit a detector for each service, numbered by ``service`` (n,), and the pooled one."""
    detectors: dict[str, AnyDetector] = {}
    rarities = []
    for number, name in enumerate(names):
        own = training.take(service == number)
        groups = np.unique(own.group).size
        if groups >= 2 and len(own.age_s) >= _MIN_ROWS:
            detectors[name], rare = fit_detector(own, seed=seed, deployments=groups, make_estimators=make_estimators)
            rarities.append((rare, own))
    # Whole services are held out: the pooled detector is for containers of unknown services.
    every = TrainingRows(training.observed, training.age_s, training.container, service)
    some = every.take(every.container % max(1, -(-len(service) // _MAX_POOLED_ROWS)) == 0)
    if np.unique(some.group).size < 2:
        some = every
    deployments = np.unique(training.group).size
    pooled, pooled_rare = fit_detector(some, seed=seed, deployments=deployments, make_estimators=make_estimators)
    pooled_threshold = choose_threshold([(pooled_rare, some)], false_alarms_per_day)
    threshold = choose_threshold(rarities, false_alarms_per_day) if rarities else pooled_threshold
    return DetectorLibrary(detectors, pooled, threshold, pooled_threshold)


def choose_threshold(
    rarities: Sequence[tuple[FloatArray, TrainingRows]], false_alarms_per_day: float = FALSE_ALARMS_PER_DAY
) -> float:
    """Find the lowest threshold that keeps to the allowed number of false alarms.

    At least one late alarm is allowed, however little was recorded: the largest normal score is no threshold.
    """
    containers = sum(np.unique(rows.container).size for _, rows in rarities)
    days = sum(rows.watched_s for _, rows in rarities) / 86_400
    allowed = (FALSE_ALARMS_PER_START * containers, max(false_alarms_per_day * days, 1.0))
    for threshold in np.arange(1.0, 12.0, 0.05):
        alarms = np.zeros(2)
        for rare, rows in rarities:
            for when, early in enumerate((rows.age_s < START_S, rows.age_s >= START_S)):
                alarms[when] += count_alarms((rare > threshold) & early, rows.age_s, rows.container)
        if np.all(alarms <= allowed):
            return float(threshold)
    return 12.0


def count_alarms(anomalous: NDArray[np.bool_], time_s: FloatArray, container: IntArray) -> int:
    """Count alarms among rows in order of container and time; those within :data:`SAME_ALARM_S` are one."""
    where = np.flatnonzero(anomalous)
    if not where.size:
        return 0
    apart = (np.diff(container[where]) != 0) | (np.diff(time_s[where]) > SAME_ALARM_S)
    return 1 + int(apart.sum())
