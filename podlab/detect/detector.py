"""A service's detector: what is usual for it, the estimators that judge rows, and how rare their judgement is.

Rows are judged twice: what they are, against the service, and how they changed, against the container itself. The
first counts only while the container's own usual is hardly known. A container that is unlike others of its service
from its first second on, and stays as it is, is another configuration and no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.detect.measures import strangeness
from podlab.detect.signals import LONGEST_STEP_S, SIGNALS, Observed
from podlab.detect.tail import Tail, learn_tail
from podlab.detect.usual import Usual, learn_usual

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
MakeParts = Callable[[int], Sequence[Any]]

#: Strangeness is a mean over about this long: one odd second is no fault.
SMOOTHING_S = 6.0
#: After so long of learning its own usual a container is judged half as much against its service.
_SERVICE_COUNTS_S = 30.0
_FOLDS = 4


@dataclass(frozen=True)
class Jury:
    """Estimators that judge the same rows.

    Attributes
    ----------
    parts : tuple of detectors
        Fitted on standardised rows; any that :func:`podlab.detect.measures.strangeness` understands.
    tails : tuple of Tail
        How rare each part's strangeness is in normal deployments that it did not learn from.
    """

    parts: tuple[Any, ...]
    tails: tuple[Tail, ...]

    def rarity(self, far: FloatArray) -> FloatArray:
        """Give the parts' mean rarity of each row (n,)."""
        found = [tail.rarity(strangeness(part, far)) for part, tail in zip(self.parts, self.tails, strict=True)]
        return np.asarray(np.mean(found, axis=0))


@dataclass(frozen=True)
class Judged:
    """What a detector says of rows before smoothing.

    Attributes
    ----------
    evidence : array of float64 (n,)
        Of being strange.
    changed : array of float64 (n,)
        The part of it that is about changes only.
    far : array of float64 (n, 2 * n_signals)
        How many strays each signal, then each change, is from its usual.
    """

    evidence: FloatArray
    changed: FloatArray
    far: FloatArray


@dataclass(frozen=True)
class Detector:
    """Tells how strange rows are for one service, or for all together.

    Attributes
    ----------
    usual : Usual
        Where signals and changes lie.
    of_service, of_change : Jury
        Judge what rows are, and how they changed.
    evidence, changed : Tail
        How rare the smoothed evidence is in normal deployments that it did not learn from, and its part about changes.
    deployments, rows : int
        What it learned from.
    """

    usual: Usual
    of_service: Jury
    of_change: Jury
    evidence: Tail
    changed: Tail
    deployments: int
    rows: int

    def judge(self, seen: Observed, age_s: FloatArray) -> Judged:
        """Judge rows (n,)."""
        far = self.usual.standardise(seen, age_s)
        service, change = (jury.rarity(far[:, part]) for jury, part in self._juries)
        return Judged(weigh(service, change, seen), change, far)

    @property
    def _juries(self) -> tuple[tuple[Jury, slice], ...]:
        return ((self.of_service, _SERVICE), (self.of_change, _CHANGE))


_SERVICE, _CHANGE = slice(0, len(SIGNALS)), slice(len(SIGNALS), 2 * len(SIGNALS))


def weigh(service: FloatArray, change: FloatArray, seen: Observed) -> FloatArray:
    """Put both judgements together by how well the container's own usual is known (n,)."""
    learned_s = seen.learned_s.max(axis=1).astype(np.float64)
    weight = 0.5 / (1.0 + (learned_s / _SERVICE_COUNTS_S) ** 2)
    return np.asarray(weight * service + (1.0 - weight) * change)


@dataclass(frozen=True)
class TrainingRows:
    """Normal rows, in order of container and time.

    Attributes
    ----------
    seen : Observed
        What they show, every container having learned from each of its rows.
    age_s : array of float64 (n,)
        The container's age.
    container, group : array of int64 (n,)
        Which container a row is of, and which rows are held out together.
    """

    seen: Observed
    age_s: FloatArray
    container: IntArray
    group: IntArray

    @property
    def watched_s(self) -> float:
        """Container-seconds that the rows stand for."""
        step_s = np.diff(self.age_s)[np.diff(self.container) == 0]
        return float(np.minimum(step_s, LONGEST_STEP_S).sum())

    def only(self, chosen: NDArray[Any]) -> TrainingRows:
        """Keep some rows."""
        return TrainingRows(self.seen.only(chosen), self.age_s[chosen], self.container[chosen], self.group[chosen])


def default_parts(seed: int) -> tuple[Any, ...]:
    """Make the estimators that a detector is made of, not yet fitted."""
    from podlab.detect.estimators import (  # scoring does without scikit-learn
        KMeansDistance,
        RobustZ,
        ShrunkMahalanobis,
    )

    return RobustZ(), KMeansDistance(random_state=seed), ShrunkMahalanobis()


def fit_detector(
    rows: TrainingRows, *, seed: int, deployments: int, make_parts: MakeParts = default_parts, by_age: bool = True
) -> tuple[Detector, FloatArray]:
    """Learn from normal rows of several groups.

    Ranks come from rows held out by group: in a deployment never seen, more is strange than in those learned from.

    Parameters
    ----------
    rows : TrainingRows
        Of two groups at least.
    seed : int
        Of all chance.
    deployments : int
        How many there are, to be kept.
    make_parts : callable
        Makes the estimators from a seed.
    by_age : bool
        Whether something else is usual at each age.

    Returns
    -------
    tuple of (Detector, array of float64 (n,))
        And how rare each row would have been held to be, held out.
    """
    names, number = np.unique(rows.group, return_inverse=True)
    fold = number % min(_FOLDS, names.size)
    found = np.zeros((2, len(make_parts(seed)), len(fold)))
    for held_out in np.unique(fold):
        own = rows.only(fold == held_out)
        usual, juries = _fit_parts(rows.only(fold != held_out), make_parts, seed, by_age)
        far = usual.standardise(own.seen, own.age_s)
        for strange, parts, part in zip(found, juries, (_SERVICE, _CHANGE), strict=True):
            strange[:, fold == held_out] = [strangeness(each, far[:, part]) for each in parts]
    tails = [tuple(learn_tail(values) for values in strange) for strange in found]
    service, change = (
        np.mean([tail.rarity(values) for tail, values in zip(own, strange, strict=True)], axis=0)
        for own, strange in zip(tails, found, strict=True)
    )
    smoothed = smooth(weigh(service, change, rows.seen), rows.age_s, rows.container)
    evidence, changed = learn_tail(smoothed), learn_tail(smooth(change, rows.age_s, rows.container))
    usual, juries = _fit_parts(rows, make_parts, seed, by_age)
    of_service, of_change = (Jury(parts, own) for parts, own in zip(juries, tails, strict=True))
    detector = Detector(usual, of_service, of_change, evidence, changed, deployments, len(rows.age_s))
    return detector, evidence.rarity(smoothed)


def _fit_parts(
    rows: TrainingRows, make_parts: MakeParts, seed: int, by_age: bool
) -> tuple[Usual, list[tuple[Any, ...]]]:
    """Learn what is usual, and fit the parts that judge values and those that judge changes."""
    usual = learn_usual(rows.seen, rows.age_s, by_age=by_age)
    far = usual.standardise(rows.seen, rows.age_s)
    juries = []
    for part in (_SERVICE, _CHANGE):
        fitted = [each.fit(far[:, part]) for each in make_parts(seed)]
        juries.append(tuple(each.freeze() if hasattr(each, "freeze") else each for each in fitted))
    return usual, juries


def smoothing_share(step_s: FloatArray) -> FloatArray:
    """Give the weight of a new value after so much time (n,)."""
    return np.asarray(-np.expm1(-np.maximum(step_s, 0.0) / SMOOTHING_S))


def smooth(values: FloatArray, time_s: FloatArray, container: IntArray) -> FloatArray:
    """Smooth values in time within each container (n,); rows are in order of container and time."""
    out = values.copy()
    share = smoothing_share(np.diff(time_s, prepend=0.0))
    for row in np.flatnonzero(np.diff(container, prepend=-1) == 0):
        out[row] = out[row - 1] + share[row] * (values[row] - out[row - 1])
    return out
