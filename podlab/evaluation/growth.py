"""How a cost grows with size: a fixed part and a part for each, and how sure they are where nothing was measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from podlab.evaluation.metrics import COVERAGE, Estimate

_ROUNDS = 20


@dataclass(frozen=True)
class Growth:
    """``cost = fixed + each * size``.

    Attributes
    ----------
    fixed : float
        What it costs whatever the size; never below 0.
    each : Estimate
        What one more costs, with its 95 % interval.
    exponent : float
        How the cost grew between the two largest sizes: ``cost ~ size ** exponent``. Clearly above 1 the law does not
        hold there, and :meth:`at` tells too little.
    smallest, largest : float
        The sizes between which it was measured.
    """

    fixed: float
    each: Estimate
    exponent: float
    smallest: float
    largest: float
    _quantile: float = field(repr=False)
    _covariance: NDArray[np.float64] = field(repr=False)

    def at(self, size: float) -> Estimate:
        """Give the cost at a size, with the 95 % interval of the fit there.

        The interval knows how far the measurements stray. It does not know whether the law goes on.
        """
        at = np.array([1.0, size])
        value = self.fixed + self.each.value * size
        half = self._quantile * float(np.sqrt(at @ self._covariance @ at))
        return Estimate(value, max(value - half, 0.0), value + half)


def fit_growth(size: ArrayLike, cost: ArrayLike) -> Growth:
    """Fit a fixed cost and a cost for each by least squares of relative errors.

    Large costs stray more than small ones, so each measurement counts by the inverse square of its fitted cost, which
    is found in rounds (McCullagh and Nelder 1989, "Generalized Linear Models", chapter 8: constant coefficient of
    variation).

    Parameters
    ----------
    size, cost : array-like of float (n,)
        Greater than 0; at least three, of two sizes. Repeated measurements stand one beside the other.

    Raises
    ------
    ValueError
        If they are too few, or one is not greater than 0.
    """
    sizes, costs = np.asarray(size, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    known = np.unique(sizes)
    if len(sizes) < 3 or len(known) < 2 or not (np.r_[sizes, costs] > 0).all():
        raise ValueError("growth needs three costs of two sizes, all greater than 0")
    from scipy.stats import t as student  # type: ignore[import-untyped]

    both = np.stack([np.ones_like(sizes), sizes], axis=1)
    found, covariance = _solve(both, costs)
    if found[0] < 0:
        # No work costs less than nothing: it is in proportion.
        each, spread = _solve(both[:, 1:], costs)
        found, covariance = np.array([0.0, each[0]]), np.diag([0.0, spread[0, 0]])
    freedom = len(sizes) - int(np.count_nonzero(np.diag(covariance)) or 1)
    quantile = float(student.ppf((1 + COVERAGE) / 2, freedom))
    half = quantile * float(np.sqrt(covariance[1, 1]))
    before, last = (float(np.log(costs[sizes == one]).mean()) for one in known[-2:])
    return Growth(
        fixed=float(found[0]),
        each=Estimate(float(found[1]), max(float(found[1]) - half, 0.0), float(found[1]) + half),
        exponent=(last - before) / float(np.log(known[-1] / known[-2])),
        smallest=float(known[0]),
        largest=float(known[-1]),
        _quantile=quantile,
        _covariance=covariance,
    )


def _solve(columns: NDArray[np.float64], costs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give coefficients (k,) and their covariance (k, k)."""
    scale = costs
    for _ in range(_ROUNDS):
        weighted = columns / scale[:, None]
        found = np.asarray(np.linalg.lstsq(weighted, costs / scale, rcond=None)[0], dtype=np.float64)
        scale = np.maximum(columns @ found, 1e-3 * costs)
    weighted = columns / scale[:, None]
    stray = (costs - columns @ found) / scale
    variance = float((stray**2).sum()) / (len(costs) - columns.shape[1])
    return found, np.asarray(variance * np.linalg.inv(weighted.T @ weighted), dtype=np.float64)
