"""What is usual for a service: where each signal lies, how far it strays, by the container's age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podlab.detect.signals import CHANGES, Observed

FloatArray = NDArray[np.float64]

#: Ages in seconds at which something else is usual: a start-up is strange later in life, and idleness before.
AGES_S = (5.0, 15.0, 30.0, 60.0, 120.0)
#: Usual strays at least this far, on the signals' scale: what never varied in training may vary a little.
_LEAST_STRAY = 0.1
#: Farther than this many strays is just far.
FARTHEST = 20.0
#: Beside the container's own spread of changes the service's counts as if it had been seen for this long.
_SERVICE_COUNTS_S = 300.0
_LEAST_OWN_STRAY = 0.05
_FEWEST_ROWS = 20
#: So far strays what was never seen: nothing is far from it.
_ANYTHING = 1e9
#: From the 5 % to the 95 % quantile a normal distribution has so many standard deviations.
_NORMAL_RANGE = 3.29


@dataclass(frozen=True)
class Usual:
    """Where signals usually lie and how far they stray.

    Attributes
    ----------
    centre, stray : array of float64 (n_ages, 2 * n_signals)
        Medians, and robust standard deviations, of signals and then of changes, of the ages between :data:`AGES_S`.
    """

    centre: FloatArray
    stray: FloatArray

    def standardise(self, seen: Observed, age_s: FloatArray) -> FloatArray:
        """Give how many strays each signal, then each change, is from its usual (n, 2 * n_signals).

        Missing ones are 0, and so are changes that are not looked at. How far changes stray is the container's own as
        far as it is known, else the service's.
        """
        band = np.searchsorted(AGES_S, age_s, side="right")
        number = seen.now.shape[1]
        centre, stray = self.centre[band], self.stray[band]
        own = stray[:, number:]
        weight = seen.learned_s / (seen.learned_s + _SERVICE_COUNTS_S)
        spread = np.maximum(np.sqrt(own**2 + weight * (seen.square - own**2)), _LEAST_OWN_STRAY)
        far = np.concatenate(
            [
                (seen.now - centre[:, :number]) / stray[:, :number],
                np.where(CHANGES, (seen.change - centre[:, number:]) / spread, 0.0),
            ],
            axis=1,
        )
        return np.asarray(np.clip(np.nan_to_num(far), -FARTHEST, FARTHEST))


def learn_usual(seen: Observed, age_s: FloatArray, *, by_age: bool = True) -> Usual:
    """Learn from normal rows what is usual.

    Parameters
    ----------
    seen : Observed
        Normal rows (n).
    age_s : array of float64 (n,)
        The container's age at each row. An age that was hardly seen borrows from all, except one before all that
        were seen: a start-up is not like what comes after it, so nothing is unusual there. A model that learned from
        a sample each half minute knows nothing of the first seconds.
    by_age : bool
        Whether something else is usual at each age; a single life is no more than one example of any.
    """
    signals = np.concatenate([seen.now, seen.change], axis=1)
    everywhere, _ = _quantiles(signals)
    bands = np.searchsorted(AGES_S, age_s if by_age else np.full_like(age_s, np.inf), side="right")
    found = np.empty((len(AGES_S) + 1, *everywhere.shape))
    seen_well = np.empty((len(AGES_S) + 1, signals.shape[1]), dtype=bool)
    for band, own in enumerate(found):
        quantiles, number = _quantiles(signals[bands == band])
        seen_well[band] = number >= _FEWEST_ROWS
        own[:] = np.where(seen_well[band], quantiles, everywhere)
    low, centre, high = found[:, 0], found[:, 1], found[:, 2]
    stray = np.maximum((high - low) / _NORMAL_RANGE, _LEAST_STRAY)
    too_young = by_age & ~np.logical_or.accumulate(seen_well, axis=0) & seen_well.any(axis=0)
    return Usual(centre, np.where(too_young, _ANYTHING, stray))


def _quantiles(signals: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Give the 5, 50 and 95 % quantiles of each signal (3, n_signals), 0 without a value, and the values' number."""
    if not len(signals):
        return np.zeros((3, signals.shape[1])), np.zeros(signals.shape[1], dtype=np.int64)
    ordered = np.sort(signals, axis=0)  # NaN last
    number = (~np.isnan(ordered)).sum(axis=0)
    place = np.rint(np.array([[0.05], [0.5], [0.95]]) * np.maximum(number - 1, 0)).astype(np.int64)
    return np.nan_to_num(np.take_along_axis(ordered, place, axis=0)), number
