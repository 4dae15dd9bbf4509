"""Scores as samples come: every container watched by the detectors of its donors from its first sample on.

A step costs the same however long a container lives, and works on any number of containers at once. Scoring a
recording is the same steps, so both give the same scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from podlab.data.catalogue import Family
from podlab.detect.detector import Detector, smoothing_share
from podlab.detect.library import Library
from podlab.detect.signals import Observed, SignalState

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Donors that a container has at most.
MOST_DONORS = 3
#: A container learns its own usual only from rows whose change's rarity is below this part of the threshold.
_CALM = 0.7
#: Until it has learned for so long it learns from all: where its own usual is not known nothing is a change from it,
#: and a start unlike the service's would be strange for ever.
KNOWN_AFTER_S = 60.0


@dataclass(frozen=True)
class Scored:
    """What one step says about each container in it.

    Attributes
    ----------
    score : array of float64 (n,)
        0 to 1, rises with strangeness: the part of normal rows of the donors that is less strange.
    rarity : array of float64 (n,)
        ``-log10(1 - score)``, by the threshold: anomalous above 1.
    anomaly : array of bool (n,)
        Whether it is anomalous.
    far : array of float64 (n, 2 * n_signals)
        How far each signal, then each signal's change, is from what is usual for the donors, in strays.
    seen : Observed
        What the samples showed.
    """

    score: FloatArray
    rarity: FloatArray
    anomaly: BoolArray
    far: FloatArray
    seen: Observed


class Scorer:
    """Watches containers by their numbers.

    Parameters
    ----------
    library : Library
        The detectors.
    size : int
        How many containers there are.
    """

    def __init__(self, library: Library, size: int) -> None:
        self._detectors: tuple[Detector, ...] = (*library.detectors.values(), library.pooled)
        self._number = {name: number for number, name in enumerate(library.detectors)}
        self._threshold = np.full(len(self._detectors), library.threshold)
        self._threshold[-1] = library.pooled_threshold
        self._state = SignalState(size)
        self._smoothed = np.zeros((size, 2))  # evidence, and its part about changes
        self._smoothed_s = np.full(size, np.nan)
        self._donor = np.full((size, MOST_DONORS), -1, dtype=np.int64)
        self._weight = np.zeros((size, MOST_DONORS))
        self.set_donors(np.arange(size), [()] * size)

    @property
    def size(self) -> int:
        """How many containers there is room for."""
        return len(self._smoothed)

    def resize(self, size: int) -> None:
        """Make room for more containers; new ones have the pooled detector."""
        before = self.size
        self._state.resize(size)
        self._smoothed = np.concatenate([self._smoothed, np.zeros((size - before, 2))])
        self._smoothed_s = np.append(self._smoothed_s, np.full(size - before, np.nan))
        self._donor = np.concatenate([self._donor, np.full((size - before, MOST_DONORS), -1)])
        self._weight = np.concatenate([self._weight, np.zeros((size - before, MOST_DONORS))])
        self.set_donors(np.arange(before, size), [()] * (size - before))

    def forget(self, which: IntArray) -> None:
        """Begin anew with some containers, whose places others take."""
        self._state.forget(which)
        self._smoothed[which], self._smoothed_s[which] = 0.0, np.nan
        self.set_donors(which, [()] * which.size)

    def set_donors(self, which: IntArray, donors: Sequence[Sequence[tuple[str, float]]]) -> None:
        """Choose whose detectors watch some containers from their next sample on.

        Parameters
        ----------
        which : array of int64 (n,)
            The containers.
        donors : sequence of sequence of (str, float) (n,)
            Services and weights, the heaviest first. Services without a detector do not count; the pooled detector
            watches where none is left.
        """
        for container, named in zip(which.tolist(), donors, strict=True):
            known = [(self._number[name], weight) for name, weight in named if name in self._number and weight > 0]
            known = known[:MOST_DONORS] or [(len(self._detectors) - 1, 1.0)]
            total = sum(weight for _, weight in known)
            self._donor[container], self._weight[container] = -1, 0.0
            for place, (number, weight) in enumerate(known):
                self._donor[container, place], self._weight[container, place] = number, weight / total

    def score(
        self,
        which: IntArray,
        time_s: FloatArray,
        age_s: FloatArray,
        values: Mapping[str, NDArray[Any]],
        valid: Mapping[str, BoolArray],
        ages: Mapping[Family, FloatArray] | None = None,
    ) -> Scored:
        """Take one sample of each of some containers and score them.

        Parameters
        ----------
        which : array of int64 (n,)
            Their numbers, none twice.
        time_s, age_s : array of float64 (n,)
            When the sample was taken, on a clock that each container keeps to, and the container's age then.
        values, valid : mapping of str to array (n,)
            By metric column, as in :class:`podlab.features.rows.Rows`; counters are int64.
        ages : mapping of str to array (n,), optional
            By family of metrics, as there.

        Returns
        -------
        Scored
            A sample without any value keeps the container's last score.
        """
        seen = self._state.observe(which, time_s, values, valid, ages)
        donor, weight = self._donor[which], self._weight[which]
        row, place = np.nonzero(donor >= 0)
        pair_donor, pair_weight = donor[row, place], weight[row, place]
        order = np.argsort(pair_donor, kind="stable")
        ends = np.searchsorted(pair_donor[order], np.arange(len(self._detectors) + 1))
        parts = [(number, order[ends[number] : ends[number + 1]]) for number in range(len(self._detectors))]

        def mix(pairs: FloatArray) -> FloatArray:
            return np.asarray(np.bincount(row, weights=pair_weight * pairs, minlength=which.size))

        pair_found, far = np.zeros((2, row.size)), np.zeros((which.size, 2 * seen.now.shape[1]))
        for number, pairs in parts:
            if pairs.size:
                judged = self._detectors[number].judge(seen.only(row[pairs]), age_s[row[pairs]])
                pair_found[:, pairs] = judged.evidence, judged.changed
                far[row[pairs]] += pair_weight[pairs, None] * judged.far
        evidence = np.stack([mix(found) for found in pair_found], axis=1)

        shown = ~np.isnan(seen.now).all(axis=1)
        smoothed, smoothed_s = self._smoothed[which], self._smoothed_s[which]
        with np.errstate(invalid="ignore"):
            share = np.where(np.isnan(smoothed_s), 1.0, smoothing_share(time_s - smoothed_s))
        smoothed = np.where(shown[:, None], smoothed + share[:, None] * (evidence - smoothed), smoothed)
        self._smoothed[which] = smoothed
        self._smoothed_s[which] = np.where(shown, time_s, smoothed_s)

        pair_rarity = np.zeros((2, row.size))
        for number, pairs in parts:
            if pairs.size:
                detector, own = self._detectors[number], smoothed[row[pairs]]
                pair_rarity[:, pairs] = detector.evidence.rarity(own[:, 0]), detector.changed.rarity(own[:, 1])
        rarity, changed = (mix(each) for each in pair_rarity)
        threshold = mix(self._threshold[pair_donor])
        known = seen.learned_s.max(axis=1) >= KNOWN_AFTER_S
        self._learn(which, time_s, seen.now, ~known | (changed < _CALM * threshold))
        return Scored(-np.expm1(-rarity * np.log(10.0)), rarity / threshold, rarity > threshold, far, seen)

    def _learn(self, which: IntArray, time_s: FloatArray, signals: FloatArray, calm: BoolArray) -> None:
        """Learn the own usual from some rows only."""
        self._state.learn(which[calm], time_s[calm], signals[calm])
        self._state.pause(which[~calm], time_s[~calm])
