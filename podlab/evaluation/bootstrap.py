"""Intervals: what a score might have been with other deployments of the same services."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: How often deployments are drawn again, and the share of the draws inside an interval.
RESAMPLES = 2000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval.

    Attributes
    ----------
    value, low, high : float
        NaN where there was nothing to compute it from.
    """

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """Give ``{"value", "low", "high"}`` with null for what is undefined."""
        return {name: number_or_none(getattr(self, name)) for name in ("value", "low", "high")}

    def __str__(self) -> str:
        """Write it as ``0.93 [0.88, 0.97]``."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def number_or_none(value: float) -> float | None:
    """Turn NaN, which is no JSON, into None."""
    return float(value) if np.isfinite(value) else None


def draw_weights(strata: Sequence[object], *, seed: int, resamples: int = RESAMPLES) -> FloatArray:
    """Draw how much each deployment counts in each resample.

    Deployments are drawn with replacement within their stratum (their service), so that every service stays in. Of n
    deployments n - 1 are drawn and weigh n / (n - 1) each: drawing n of n would make intervals of services with few
    deployments too narrow, by the factor sqrt((n - 1) / n) (Rao and Wu 1988, "Resampling inference with complex survey
    data", JASA 83:231-241). A lone deployment counts once in each resample: nothing tells how far another would be.

    Parameters
    ----------
    strata : sequence (n_units,)
        Each deployment's stratum.
    seed : int
        The same arguments give the same weights.
    resamples : int
        How many draws.

    Returns
    -------
    array of float64 (resamples, n_units)
        Sums to the number of units in each row.
    """
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(np.asarray(strata, dtype=object))
    weights = np.ones((resamples, codes.size))
    for code in range(len(names)):
        own = np.flatnonzero(codes == code)
        if own.size > 1:
            drawn = rng.multinomial(own.size - 1, np.full(own.size, 1 / own.size), size=resamples)
            weights[:, own] = drawn * (own.size / (own.size - 1))
    return weights


def wilson(share: float, number: int) -> Estimate:
    """Interval of a share seen in some independent cases (Wilson 1927, JASA 22:209-212).

    Unlike the bootstrap's it has a width where all cases agree: 8 of 8 is compatible with a true share of 0.7.

    Parameters
    ----------
    share : float
        Part of the cases, 0 to 1; NaN without any.
    number : int
        How many cases.

    Examples
    --------
    >>> str(wilson(1.0, 8))
    '1.00 [0.68, 1.00]'
    """
    if not number or not np.isfinite(share):
        return Estimate(share, np.nan, np.nan)
    z = 1.959964  # of the normal distribution, for 95 %
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * float(np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2)))
    return Estimate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def interval(value: float, draws: FloatArray, number: int) -> Estimate:
    """Take the interval from the quantiles of resampled values (resamples,); NaN among them are left out.

    Where all of ``number`` deployments are right, or all wrong, resampling has nothing to vary, and the interval is
    Wilson's: a perfect score is no proof of perfection.
    """
    draws = draws[np.isfinite(draws)]
    if not draws.size or not np.isfinite(value):
        return Estimate(float(value), np.nan, np.nan)
    if value in (0.0, 1.0) and np.ptp(draws) == 0:
        return wilson(float(value), number)
    low, high = np.quantile(draws, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    # The quantiles of a biased score may both lie on one side of it.
    return Estimate(float(value), float(min(low, value)), float(max(high, value)))


def mean_interval(
    values: FloatArray, units: Sequence[object], strata: Sequence[object], *, seed: int, resamples: int = RESAMPLES
) -> Estimate:
    """Take the mean of values and its interval over deployments.

    Parameters
    ----------
    values : array of float64 (n,)
    units, strata : sequence (n,)
        Each value's deployment and its stratum.
    seed, resamples : int
        Of the bootstrap.
    """
    unit, names = pd.factorize(np.asarray(units, dtype=object))
    first = np.unique(unit, return_index=True)[1]
    weights = draw_weights(np.asarray(strata, dtype=object)[first].tolist(), seed=seed, resamples=resamples)
    total, number = np.bincount(unit, weights=values), np.bincount(unit).astype(np.float64)
    return interval(float(np.mean(values)), (weights @ total) / (weights @ number), len(names))
