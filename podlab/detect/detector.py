"""A service's detector: what is usual for it, the estimators that judge rows, and how rare their judgement is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.detect.measures import strangeness
from podlab.detect.tail import Tail, learn_tail
from podlab.detect.usual import Usual, learn_usual

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Strangeness is a mean over about this long: one odd second is no fault.
SMOOTHING_S = 6.0
_FOLDS = 4


@dataclass(frozen=True)
class Detector:
    """Tells how strange rows are for one service, or for all together.

    Attributes
    ----------
    usual : Usual
        Where signals and changes lie.
    parts : tuple of detectors
        Fitted on standardised rows; any that :func:`podlab.detect.measures.strangeness` understands.
    tails : tuple of Tail
        How rare each part's strangeness is in normal deployments that it did not learn from.
    evidence : Tail
        How rare the smoothed sum over the parts is there.
    deployments, rows : int
        What it learned from.
    """

    usual: Usual
    parts: tuple[Any, ...]
    tails: tuple[Tail, ...]
    evidence: Tail
    deployments: int
    rows: int

    def judge(self, signals: FloatArray, age_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give rows' evidence of being strange (n,), before smoothing, and how far each signal is (n, n_signals)."""
        far = self.usual.standardise(signals, age_s)
        found = [tail.rarity(strangeness(part, far)) for part, tail in zip(self.parts, self.tails, strict=True)]
        return np.sum(found, axis=0), far


@dataclass(frozen=True)
class TrainingRows:
    """Normal rows, in order of container and time.

    Attributes
    ----------
    signals : array of float64 (n, n_signals)
        Signals and changes side by side.
    age_s : array of float64 (n,)
        The container's age.
    container, group : array of int64 (n,)
        Which container a row is of, and which rows are held out together.
    """

    signals: FloatArray
    age_s: FloatArray
    container: IntArray
    group: IntArray

    def only(self, chosen: NDArray[Any]) -> TrainingRows:
        """Keep some rows."""
        return TrainingRows(self.signals[chosen], self.age_s[chosen], self.container[chosen], self.group[chosen])


def default_parts(seed: int) -> tuple[Any, ...]:
    """Make the estimators that a detector is made of, not yet fitted."""
    from podlab.detect.estimators import KMeansDistance, RobustZ  # scoring does without scikit-learn

    return RobustZ(), KMeansDistance(random_state=seed)


def fit_detector(
    rows: TrainingRows, *, seed: int, deployments: int, make_parts: Callable[[int], Sequence[Any]] = default_parts
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

    Returns
    -------
    tuple of (Detector, array of float64 (n,))
        And how rare each row would have been held to be, held out.
    """
    names, number = np.unique(rows.group, return_inverse=True)
    fold = number % min(_FOLDS, names.size)
    found: list[FloatArray] = [np.zeros(len(fold)) for _ in make_parts(seed)]
    for held_out in np.unique(fold):
        rest, own = rows.only(fold != held_out), rows.only(fold == held_out)
        usual, parts = _fit_parts(rest, make_parts(seed))
        far = usual.standardise(own.signals, own.age_s)
        for part, values in zip(parts, found, strict=True):
            values[fold == held_out] = strangeness(part, far)
    tails = tuple(learn_tail(values) for values in found)
    summed = np.sum([tail.rarity(values) for tail, values in zip(tails, found, strict=True)], axis=0)
    smoothed = smooth(summed, rows.age_s, rows.container)
    evidence = learn_tail(smoothed)
    usual, parts = _fit_parts(rows, make_parts(seed))
    return Detector(usual, parts, tails, evidence, deployments, len(rows.age_s)), evidence.rarity(smoothed)


def _fit_parts(rows: TrainingRows, parts: Sequence[Any]) -> tuple[Usual, tuple[Any, ...]]:
    usual = learn_usual(rows.signals, rows.age_s)
    far = usual.standardise(rows.signals, rows.age_s)
    fitted = [part.fit(far) for part in parts]
    return usual, tuple(part.freeze() if hasattr(part, "freeze") else part for part in fitted)


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
