"""The library: a detector for each service and a pooled one, trained on normal rows of many deployments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.data.catalogue import MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY, before_faults
from podlab.detect.detector import Detector, MakeEstimators, TrainingRows, default_estimators, fit_detector
from podlab.detect.discriminative import FaultDetector, fit_fault_detectors
from podlab.detect.signals import ORIGINAL_SIGNALS, observe_rows
from podlab.detect.synthetic import LEAST_SECONDS
from podlab.features.rows import Rows, read_rows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
AnyDetector = Detector | FaultDetector

#: Alarms allowed in held-out normal deployments: per container in its first minute, and per container-day later.
FALSE_ALARMS_PER_START = 0.02
FALSE_ALARMS_PER_DAY = 1.0
START_S = 60.0
#: Alarms closer than this count as one.
SAME_ALARM_S = 30.0
_MIN_ROWS = 50
#: Rows that detectors learn from synthetic faults in, at most.
_MOST_ROWS = 200_000
#: Peaks that a tail is fitted to, if there are as many; limits of its shape, and of a threshold. Rarity is a logarithm
#: of a share, whose tail is exponential (0) or ends: a few peaks that look thicker put the threshold beyond any fault.
_PEAKS = 40
_TAIL_SHAPES = (-0.3, 0.0)
_THRESHOLDS = (1.0, 12.0)
#: With fewer container-days of normal samples (half an hour), ensembles are trained. Above it detectors that learn from
#: synthetic faults rank better: of real recordings of .6, 1.2, 2.4 h VUS-PR at another site is .67 each; .64, .58, .54.
_LEAST_DAYS = 0.02
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

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the detectors look at, in the catalogue's order."""
        return self.pooled.scaler.metrics

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
    make_estimators: MakeEstimators | None = None,
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
    make_estimators : callable, optional
        Makes the estimators of an ensemble from a seed: any outlier detectors of scikit-learn's or pyod's kind, which
        know normal rows only. To be stored they must be registered, see :func:`podlab.detect.register_detector`. By
        default detectors also learn from synthetic faults (:mod:`podlab.detect.discriminative`), unless all containers
        were recorded too briefly for one; then they are ensembles of :func:`podlab.detect.default_estimators`.

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

    if make_estimators is None and _longest_s(rows) >= LEAST_SECONDS and _watched_days(rows) >= _LEAST_DAYS:
        normal = _draw_containers(normal, seed)
        detectors, pooled, held_out = fit_fault_detectors(normal, group=group, seed=seed)
        # Sites differ in how much of their normal life looks like a fault: the budget holds at each that was held out.
        own = max(choose_threshold([(rare, where)], false_alarms_per_day) for rare, _, where in held_out)
        unknown = max(choose_threshold([(rare, where)], false_alarms_per_day) for _, rare, where in held_out)
        return DetectorLibrary(dict(detectors), pooled, own, unknown)
    training = TrainingRows(
        observe_rows(rows, signals=len(ORIGINAL_SIGNALS)), rows.offset_s, rows.code, deployment[rows.code]
    )
    with threadpool_limits(limits=1):  # more threads only wait for each other: the matrices are small
        make = make_estimators or default_estimators
        return _fit_all(training, tuple(name_of.tolist()), service[rows.code], seed, make, false_alarms_per_day)


def _watched_days(rows: Rows) -> float:
    """Give how long all containers were recorded together."""
    step_s = np.diff(rows.offset_s)[np.diff(rows.code) == 0]
    return float(step_s.clip(0).sum()) / 86_400


def _longest_s(rows: Rows) -> float:
    """Give how long the container was recorded that was recorded longest."""
    first = np.searchsorted(rows.code, np.arange(len(rows.containers)))
    last = np.append(first[1:], rows.code.size) - 1
    return float((rows.offset_s[last] - rows.offset_s[first]).max())


def _draw_containers(normal: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw containers at random if all of them have too many rows."""
    if len(normal) <= _MOST_ROWS:
        return normal
    number = normal.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup().to_numpy()
    order = np.random.default_rng(seed).permutation(number.max() + 1)
    rows = np.bincount(number)[order].cumsum()
    return normal[np.isin(number, order[rows <= max(_MOST_ROWS, rows[0])])]


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
    """Find the threshold that keeps to the allowed number of false alarms, in the first minute and later.

    Where less was recorded than it takes to see that few alarms, it lies beyond what was seen: peaks over a lower
    threshold are extrapolated by a generalised Pareto distribution.
    """
    containers = sum(np.unique(rows.container).size for _, rows in rarities)
    days = sum(rows.watched_s for _, rows in rarities) / 86_400
    found = []
    for early, allowed in ((True, FALSE_ALARMS_PER_START * containers), (False, false_alarms_per_day * days)):
        parts = []
        for rare, rows in rarities:
            chosen = (rows.age_s < START_S) == early
            parts.append((rare[chosen], rows.age_s[chosen], rows.container[chosen]))
        found.append(_extrapolate(parts, allowed))
    return float(np.clip(max(found), *_THRESHOLDS))


def _extrapolate(parts: Sequence[tuple[FloatArray, FloatArray, IntArray]], allowed: float) -> float:
    """Find the level that so many alarms exceed, of scores with times and containers; at most 0 without any.

    Notes
    -----
    Peaks over threshold (Pickands 1975, Annals of Statistics 3:119), fitted by L-moments (Hosking and Wallis 1987,
    Technometrics 29:339). Peaks within :data:`SAME_ALARM_S` are one.
    """
    scores = np.concatenate([score for score, _, _ in parts])
    peaks, level = np.zeros(0), 0.0
    for share in np.geomspace(1.0 / max(scores.size, 2), 0.5, 40):
        if peaks.size >= max(_PEAKS, allowed):
            break
        level = float(np.quantile(scores, 1.0 - share)) if scores.size else 0.0
        peaks = np.concatenate([alarm_peaks(*part, level) for part in parts])
    if peaks.size < 2:
        return float(peaks.max(initial=0.0))
    excess = np.sort(peaks - level)
    mean = excess.mean()
    moment = float(np.mean(excess * (1.0 - (np.arange(excess.size) + 0.65) / excess.size)))
    shape = float(np.clip(2.0 - mean / max(mean - 2.0 * moment, 1e-9), *_TAIL_SHAPES))
    times = max(peaks.size / max(allowed, 1e-9), 1.0)
    further = np.log(times) if abs(shape) < 1e-3 else (times**shape - 1.0) / shape
    return float(level + mean * (1.0 - shape) * further)


def alarm_peaks(score: FloatArray, time_s: FloatArray, container: IntArray, level: float) -> FloatArray:
    """Give the highest score of each alarm above a level (n_alarms,); rows are in order of container and time."""
    where = np.flatnonzero(score > level)
    if not where.size:
        return np.zeros(0)
    return np.maximum.reduceat(score[where], np.flatnonzero(_begins(where, time_s, container)))


def _begins(where: IntArray, time_s: FloatArray, container: IntArray) -> NDArray[np.bool_]:
    """Tell which of some rows (n,) begin an alarm."""
    apart = (np.diff(container[where]) != 0) | (np.diff(time_s[where]) > SAME_ALARM_S)
    return np.concatenate([[True], apart])


def count_alarms(anomalous: NDArray[np.bool_], time_s: FloatArray, container: IntArray) -> int:
    """Count alarms among rows in order of container and time; those within :data:`SAME_ALARM_S` are one."""
    where = np.flatnonzero(anomalous)
    if not where.size:
        return 0
    return int(_begins(where, time_s, container).sum())
