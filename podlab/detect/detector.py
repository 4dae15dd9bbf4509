"""A service's detector: a scaler, two ensembles of outlier detectors, and reference distributions of their scores.

Rows are judged twice: their values against the service, and their changes against the container's own baseline. The
first counts only while the baseline is hardly known: a container that differs from others of its service from its
first second on, and stays so, has another configuration and no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.detect.components import outlier_scores
from podlab.detect.reference import ParetoTailEcdf, RobustScaler, fit_ecdf, fit_scaler
from podlab.detect.signals import LONGEST_STEP_S, ORIGINAL_SIGNALS, ObservedSignals

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MakeEstimators = Callable[[int], Sequence[Any]]

#: Time constant of the exponential smoothing of evidence: one outlying second is no fault.
SMOOTHING_S = 6.0
#: After so long of learning its baseline a container is judged half as much against its service.
_SERVICE_COUNTS_S = 30.0
_FOLDS = 4
_WIDTH = len(ORIGINAL_SIGNALS)
_VALUES, _CHANGES = slice(0, _WIDTH), slice(_WIDTH, 2 * _WIDTH)


@dataclass(frozen=True)
class DetectorEnsemble:
    """Outlier detectors that judge the same rows.

    Attributes
    ----------
    components : tuple
        Fitted on standardised rows; any that :func:`podlab.detect.components.outlier_scores` accepts.
    ecdfs : tuple of ParetoTailEcdf
        Distribution of each component's scores in normal deployments that were held out.
    """

    components: tuple[Any, ...]
    ecdfs: tuple[ParetoTailEcdf, ...]

    def rarity(self, deviations: FloatArray) -> FloatArray:
        """Give the components' mean rarity of each row (n,)."""
        each = zip(self.components, self.ecdfs, strict=True)
        found = [ecdf.rarity(outlier_scores(component, deviations)) for component, ecdf in each]
        return np.asarray(np.mean(found, axis=0))


@dataclass(frozen=True)
class Evidence:
    """What a detector gives for rows before smoothing.

    Attributes
    ----------
    total : array of float64 (n, 2)
        What is smoothed in time: rarity of values and changes, weighted, and of the changes alone.
    deviations : array of float64 (n, 2 * n_signals)
        Standardised deviation of each signal that the detector was fitted to, then of each change.
    """

    total: FloatArray
    deviations: FloatArray


@dataclass(frozen=True, repr=False)
class Detector:
    """An anomaly detector for one service, or for all together.

    Attributes
    ----------
    scaler : RobustScaler
    value_ensemble, change_ensemble : DetectorEnsemble
        Judge values against the service, and changes against the container's own baseline.
    evidence_ecdf, change_ecdf : ParetoTailEcdf
        Distribution of the smoothed evidence, and of its part from changes, in normal deployments held out.
    deployments, rows : int
        What it was trained on.
    """

    scaler: RobustScaler
    value_ensemble: DetectorEnsemble
    change_ensemble: DetectorEnsemble
    evidence_ecdf: ParetoTailEcdf
    change_ecdf: ParetoTailEcdf
    deployments: int
    rows: int

    def __repr__(self) -> str:
        return f"Detector(trained on {self.rows:,} rows of {self.deployments} deployments)"

    @property
    def smoothing_s(self) -> float:
        """Time constant of the smoothing of evidence."""
        return SMOOTHING_S

    @property
    def calm(self) -> float:
        """A container's baseline learns from what is below this share of the threshold."""
        return 0.7

    @property
    def kept(self) -> float:
        """Share of the threshold above which what is anomalous stays so."""
        return 1.0

    @property
    def raised_after_s(self) -> float:
        """How long a container must be anomalous until that is an alarm."""
        return 20.0

    def evidence(self, observed: ObservedSignals, age_s: FloatArray) -> Evidence:
        """Judge rows (n,), each by itself."""
        observed = observed.first(_WIDTH)
        deviations = self.scaler.standardise(observed, age_s)
        values = self.value_ensemble.rarity(deviations[:, _VALUES])
        changes = self.change_ensemble.rarity(deviations[:, _CHANGES])
        return Evidence(np.stack([weigh(values, changes, observed), changes], axis=1), deviations)

    def judge(self, smoothed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the rarity of smoothed evidence (n, 2), and that by which baselines learn or rest (n,): of changes."""
        return self.evidence_ecdf.rarity(smoothed[:, 0]), self.change_ecdf.rarity(smoothed[:, 1])

    def rarity(self, observed: ObservedSignals, age_s: FloatArray, container: IntArray) -> FloatArray:
        """Give the rarity of rows (n,) in order of container and age, smoothed in time."""
        return self.judge(smooth(self.evidence(observed, age_s).total, age_s, container))[0]


def weigh(values: FloatArray, changes: FloatArray, observed: ObservedSignals) -> FloatArray:
    """Combine both rarities by how well the container's own baseline is known (n,)."""
    learned_s = observed.learned_s.max(axis=1).astype(np.float64)
    weight = 0.5 / (1.0 + (learned_s / _SERVICE_COUNTS_S) ** 2)
    return np.asarray(weight * values + (1.0 - weight) * changes)


@dataclass(frozen=True)
class TrainingRows:
    """Normal rows, in order of container and time.

    Attributes
    ----------
    observed : ObservedSignals
        Their signals, with baselines that learned from each row.
    age_s : array of float64 (n,)
        Container age.
    container, group : array of int64 (n,)
        Number of the container, and of the group that is held out together.
    """

    observed: ObservedSignals
    age_s: FloatArray
    container: IntArray
    group: IntArray

    @property
    def watched_s(self) -> float:
        """Container-seconds that the rows stand for."""
        step_s = np.diff(self.age_s)[np.diff(self.container) == 0]
        return float(np.minimum(step_s, LONGEST_STEP_S).sum())

    def take(self, chosen: NDArray[Any]) -> TrainingRows:
        """Keep some rows."""
        return TrainingRows(self.observed.take(chosen), self.age_s[chosen], self.container[chosen], self.group[chosen])


def default_estimators(seed: int) -> tuple[Any, ...]:
    """Make podlab's own estimators, not yet fitted."""
    from podlab.detect.estimators import KMeansDistance, RobustZ, ShrunkMahalanobis  # scoring needs no scikit-learn

    return RobustZ(), KMeansDistance(random_state=seed), ShrunkMahalanobis()


def fit_detector(
    rows: TrainingRows,
    *,
    seed: int,
    deployments: int,
    make_estimators: MakeEstimators = default_estimators,
    by_age: bool = True,
) -> tuple[Detector, FloatArray]:
    """Fit a detector to normal rows of several groups.

    The reference distributions come from cross-validation by group: scores are higher in unseen deployments than in
    those of the training.

    Parameters
    ----------
    rows : TrainingRows
        Of at least two groups.
    seed : int
    deployments : int
        Their number, for the record.
    make_estimators : callable
        Makes the estimators from a seed.
    by_age : bool
        Fit the scaler for each age band.

    Returns
    -------
    tuple of (Detector, array of float64 (n,))
        The detector, and the rarity of each row when it was held out.
    """
    names, number = np.unique(rows.group, return_inverse=True)
    fold = number % min(_FOLDS, names.size)
    scores = np.zeros((2, len(make_estimators(seed)), len(fold)))
    for held_out in np.unique(fold):
        own = rows.take(fold == held_out)
        scaler, fitted = _fit_components(rows.take(fold != held_out), make_estimators, seed, by_age)
        deviations = scaler.standardise(own.observed, own.age_s)
        for found, components, part in zip(scores, fitted, (_VALUES, _CHANGES), strict=True):
            found[:, fold == held_out] = [outlier_scores(each, deviations[:, part]) for each in components]
    ecdfs = [tuple(fit_ecdf(each) for each in found) for found in scores]
    values, changes = (
        np.mean([ecdf.rarity(each) for ecdf, each in zip(own_ecdfs, found, strict=True)], axis=0)
        for own_ecdfs, found in zip(ecdfs, scores, strict=True)
    )
    smoothed = smooth(weigh(values, changes, rows.observed.first(_WIDTH)), rows.age_s, rows.container)
    evidence_ecdf, change_ecdf = fit_ecdf(smoothed), fit_ecdf(smooth(changes, rows.age_s, rows.container))
    scaler, fitted = _fit_components(rows, make_estimators, seed, by_age)
    of_values, of_changes = (DetectorEnsemble(components, own) for components, own in zip(fitted, ecdfs, strict=True))
    detector = Detector(scaler, of_values, of_changes, evidence_ecdf, change_ecdf, deployments, len(rows.age_s))
    return detector, evidence_ecdf.rarity(smoothed)


def _fit_components(
    rows: TrainingRows, make_estimators: MakeEstimators, seed: int, by_age: bool
) -> tuple[RobustScaler, list[tuple[Any, ...]]]:
    """Fit the scaler, the components that judge values, and those that judge changes."""
    scaler = fit_scaler(rows.observed.first(_WIDTH), rows.age_s, by_age=by_age)
    deviations = scaler.standardise(rows.observed, rows.age_s)
    components = []
    for part in (_VALUES, _CHANGES):
        fitted = [each.fit(deviations[:, part]) for each in make_estimators(seed)]
        components.append(tuple(each.freeze() if hasattr(each, "freeze") else each for each in fitted))
    return scaler, components


def smoothing_share(step_s: FloatArray, smoothing_s: float = SMOOTHING_S) -> FloatArray:
    """Give the weight of a new value after so much time (n,)."""
    return np.asarray(-np.expm1(-np.maximum(step_s, 0.0) / smoothing_s))


def smooth(values: FloatArray, time_s: FloatArray, container: IntArray, smoothing_s: float = SMOOTHING_S) -> FloatArray:
    """Smooth values exponentially in time within each container (n, ...); rows are in order of container and time."""
    out = values.copy()
    share = smoothing_share(np.diff(time_s, prepend=0.0), smoothing_s)
    for row in np.flatnonzero(np.diff(container, prepend=-1) == 0):
        out[row] = out[row - 1] + share[row] * (values[row] - out[row - 1])
    return out
