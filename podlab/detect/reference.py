"""Reference distributions of normal data: a robust scaler by container age, and an ECDF with a Pareto tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podlab.detect.signals import CHANGES, ObservedSignals, metrics_of

FloatArray = NDArray[np.float64]

#: Container ages in seconds that separate the scaler's age bands: a start-up would be anomalous later, and vice versa.
AGES_S = (5.0, 15.0, 30.0, 60.0, 120.0)
#: Standardised values are clipped here.
MAX_DEVIATION = 20.0
#: Smallest scale: a signal that never varied in training may vary a little.
_MIN_SCALE = 0.1
#: The service's spread of changes counts as if it had been observed on the container itself for this long.
_SERVICE_COUNTS_S = 300.0
_MIN_OWN_SCALE = 0.05
_MIN_ROWS = 20
#: Scale of a signal without training data: nothing deviates from it.
_INFINITE_SCALE = 1e9
#: Standard deviations between the 5 % and the 95 % quantile of a normal distribution.
_NORMAL_RANGE = 3.29

#: Quantiles that an ECDF keeps of the data below its tail.
LEVELS = 101
_TAIL_SHARE = 0.01
_MIN_IN_TAIL = 10
#: Limits of the tail's shape: thinner is no tail, thicker would never call anything anomalous.
_SHAPES = (0.05, 5.0)
_MIN_PROBABILITY = 1e-12


@dataclass(frozen=True)
class RobustScaler:
    """Location and scale of signals and of their changes, by container age.

    Attributes
    ----------
    location, scale : array of float64 (n_ages, 2 * n_signals)
        Medians, and robust standard deviations, of signals and then of changes, in the age bands of :data:`AGES_S`.
    """

    location: FloatArray
    scale: FloatArray

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the signals that it was fitted to values of, in the catalogue's order."""
        number = self.scale.shape[1] // 2
        return metrics_of(np.flatnonzero(self.scale[:, :number].min(axis=0) < _INFINITE_SCALE).tolist())

    def standardise(self, observed: ObservedSignals, age_s: FloatArray) -> FloatArray:
        """Give the deviation of each signal, then of each change, in units of its scale (n, 2 * n_signals).

        Of the signals observed, the first ones that it was fitted to count.

        Missing signals, and changes that are not used, are 0. The scale of changes moves from the service's to the
        container's own as more is known of the container.
        """
        band = np.searchsorted(AGES_S, age_s, side="right")
        return standardise(observed, self.location[band], self.scale[band])


def standardise(observed: ObservedSignals, location: FloatArray, scale: FloatArray) -> FloatArray:
    """Give deviations as :meth:`RobustScaler.standardise`, each row by its own scaler (n, 2 * n_signals).

    Parameters
    ----------
    observed : ObservedSignals
        Of at least ``n_signals`` signals (n).
    location, scale : array of float64 (n, 2 * n_signals)
        Those of the row's scaler at its age.
    """
    number = location.shape[1] // 2
    observed = observed.first(number)
    own = scale[:, number:]
    weight = observed.learned_s / (observed.learned_s + _SERVICE_COUNTS_S)
    change_scale = np.maximum(np.sqrt(own**2 + weight * (observed.mean_square - own**2)), _MIN_OWN_SCALE)
    deviations = np.concatenate(
        [
            (observed.value - location[:, :number]) / scale[:, :number],
            np.where(CHANGES[:number], (observed.change - location[:, number:]) / change_scale, 0.0),
        ],
        axis=1,
    )
    return np.asarray(np.clip(np.nan_to_num(deviations), -MAX_DEVIATION, MAX_DEVIATION))


def fit_scaler(observed: ObservedSignals, age_s: FloatArray, *, by_age: bool = True) -> RobustScaler:
    """Fit a scaler to normal rows.

    Parameters
    ----------
    observed : ObservedSignals
        Normal rows (n).
    age_s : array of float64 (n,)
        Container age at each row. An age band with few rows uses the quantiles of all rows. Bands before the first
        one with enough rows get an infinite scale: a start-up differs from what follows, so without data on it
        nothing is anomalous there. So does a signal without any value.
    by_age : bool
        Fit each age band on its own; a single container is only one example of each age.
    """
    signals = np.concatenate([observed.value, observed.change], axis=1)
    everywhere, known = _quantiles(signals)
    bands = np.searchsorted(AGES_S, age_s if by_age else np.full_like(age_s, np.inf), side="right")
    found = np.empty((len(AGES_S) + 1, *everywhere.shape))
    enough = np.empty((len(AGES_S) + 1, signals.shape[1]), dtype=bool)
    for band, own in enumerate(found):
        quantiles, number = _quantiles(signals[bands == band])
        enough[band] = number >= _MIN_ROWS
        own[:] = np.where(enough[band], quantiles, everywhere)
    low, location, high = found[:, 0], found[:, 1], found[:, 2]
    scale = np.maximum((high - low) / _NORMAL_RANGE, _MIN_SCALE)
    too_young = by_age & ~np.logical_or.accumulate(enough, axis=0) & enough.any(axis=0)
    return RobustScaler(location, np.where(too_young | (known == 0), _INFINITE_SCALE, scale))


def _quantiles(signals: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Give the 5, 50 and 95 % quantiles of each signal (3, n_signals), 0 without a value, and the values' number."""
    if not len(signals):
        return np.zeros((3, signals.shape[1])), np.zeros(signals.shape[1], dtype=np.int64)
    ordered = np.sort(signals, axis=0)  # NaN last
    number = (~np.isnan(ordered)).sum(axis=0)
    place = np.rint(np.array([[0.05], [0.5], [0.95]]) * np.maximum(number - 1, 0)).astype(np.int64)
    return np.nan_to_num(np.take_along_axis(ordered, place, axis=0)), number


@dataclass(frozen=True)
class ParetoTailEcdf:
    """Empirical distribution of normal values, extended beyond the largest by a Pareto tail.

    Attributes
    ----------
    levels : array of float64 (101,)
        Quantiles below the tail, at even steps of probability; they do not fall.
    share : float
        Share of normal data in the tail, which begins at the last level.
    shape : float
        Mean logarithm of the tail's values relative to its beginning: Hill's estimate (Hill 1975, Annals of
        Statistics 3:1163).
    """

    levels: FloatArray
    share: float
    shape: float

    def rarity(self, values: FloatArray) -> FloatArray:
        """Give -log10 of the share of normal data that is at least as extreme (n,)."""
        begin = self.levels[-1]
        ranks = np.linspace(0.0, 1.0 - self.share, self.levels.size)
        rare = -np.log10(1.0 - np.interp(values, self.levels, ranks))
        beyond = values > begin
        rare[beyond] = -np.log10(self.share) + np.log10(values[beyond] / begin) / self.shape
        return np.asarray(np.minimum(rare, -np.log10(_MIN_PROBABILITY)))


def fit_ecdf(values: FloatArray) -> ParetoTailEcdf:
    """Fit the distribution to held-out normal values (n,), none of them negative."""
    ordered = np.sort(np.round(values, 9))  # steps between levels that divide without overflow
    inside = min(max(round(_TAIL_SHARE * ordered.size), _MIN_IN_TAIL), ordered.size - 1)
    begin = max(float(ordered[-inside - 1]), 1e-6)
    levels = np.maximum.accumulate(np.quantile(ordered[: ordered.size - inside], np.linspace(0.0, 1.0, LEVELS)))
    levels[-1] = begin
    shape = float(np.mean(np.log(np.maximum(ordered[-inside:] / begin, 1.0))))
    return ParetoTailEcdf(np.minimum(levels, begin), inside / (ordered.size + 1), float(np.clip(shape, *_SHAPES)))
