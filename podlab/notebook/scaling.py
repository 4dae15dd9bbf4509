"""What the notebook about scale measures with: more containers than were recorded, and how costs grow with size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats  # type: ignore[import-untyped]

from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.data.samples import INSTANCE_KEY, check_samples
from podlab.evaluation.metrics import COVERAGE, Estimate

#: When the first day of copies begins.
START: Final = pd.Timestamp("2026-01-01T00:00:00Z")
#: Standard deviation of the logarithm of the factor by which all values of a copied container differ.
_SPREAD: Final = 0.05
_ROUNDS: Final = 20


def copy_containers(recording: pd.DataFrame, number: int, day: int) -> pd.DataFrame:
    """Copy all of a recording's containers: other pods, other starts within one day, other values.

    Parameters
    ----------
    recording : DataFrame
        A checked samples table.
    number : int
        Of the copy; part of the pods' names, and the seed.
    day : int
        Counted from :data:`START`.

    Returns
    -------
    DataFrame
        With as many rows as the recording.
    """
    rng = np.random.default_rng([7, number])
    by_pod = recording.groupby("pod", sort=False)
    code = by_pod.ngroup().to_numpy()
    start = START + pd.to_timedelta(day * 86_400 + rng.uniform(0, 86_400, code.max() + 1).round(3), unit="s")
    age = recording["time"] - recording["started_at"].fillna(by_pod["time"].transform("min"))
    factor = rng.lognormal(0, _SPREAD, (code.max() + 1, len(ORIGINAL_METRICS)))
    values = {}
    for column, name in enumerate(ORIGINAL_METRICS):
        if name not in recording:
            continue
        scaled = recording[name].to_numpy(np.float64, na_value=np.nan) * factor[code, column]
        counter = CATALOGUE[name].kind == "counter"
        values[name] = pd.array(np.floor(scaled), dtype="Int64") if counter else scaled
    began = pd.Series(start[code], index=recording.index)
    names = recording["pod"] + f"-{number}"
    return recording.assign(time=began + age, started_at=began, pod=names, pod_uid=names, **values)


def many_containers(recording: pd.DataFrame, number: int) -> pd.DataFrame:
    """Make a samples table of so many containers out of a recording, one copy of it a day."""
    each = recording.groupby(list(INSTANCE_KEY), dropna=False).ngroups
    copies = [copy_containers(recording, copy, copy) for copy in range(-(-number // each))]
    return check_samples(first_containers(pd.concat(copies, ignore_index=True), number), where="copies")


def first_containers(samples: pd.DataFrame, number: int) -> pd.DataFrame:
    """Keep so many containers of a table."""
    code = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False).ngroup()
    return samples[code < number].reset_index(drop=True)


@dataclass(frozen=True)
class Growth:
    """``cost = fixed + each * size``."""

    #: What it costs whatever the size; never below 0.
    fixed: float
    each: Estimate  # what one more costs, with its 95 % interval
    #: How the cost grew between the two largest sizes: ``cost ~ size ** exponent``. Clearly above 1 the law does not
    #: hold there, and :meth:`at` tells too little.
    exponent: float
    #: The sizes between which it was measured.
    smallest: float
    largest: float
    _quantile: float = field(repr=False)
    _covariance: NDArray[np.float64] = field(repr=False)

    def at(self, size: float) -> Estimate:
        """Give the cost at a size, with the 95 % interval of the fit there.

        The interval knows how far the measurements deviate. It does not know whether the law goes on.
        """
        at = np.array([size, 1.0])
        value = self.fixed + self.each.value * size
        half = self._quantile * float(np.sqrt(at @ self._covariance @ at))
        return Estimate(value, max(value - half, 0.0), value + half)


def fit_growth(size: ArrayLike, cost: ArrayLike) -> Growth:
    """Fit a fixed cost and a cost for each by least squares of relative errors.

    Large costs vary more than small ones, so each measurement counts by the inverse square of its fitted cost, which is
    found in rounds (McCullagh and Nelder 1989, "Generalized Linear Models", chapter 8: constant coefficient of
    variation). Raises ValueError if they are too few, or one is not greater than 0.

    Parameters
    ----------
    size, cost : array-like of float (n,)
        Greater than 0; at least three, of two sizes. Repeated measurements stand one beside the other.
    """
    sizes, costs = np.asarray(size, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    known = np.unique(sizes)
    if len(sizes) < 3 or len(known) < 2 or not (np.r_[sizes, costs] > 0).all():
        raise ValueError("growth needs three costs of two sizes, all greater than 0")
    fitted = costs
    for _ in range(_ROUNDS):
        (each, fixed), covariance = np.polyfit(sizes, costs, 1, w=1 / fitted, cov=True)
        fitted = np.maximum(fixed + each * sizes, 1e-3 * costs)
    freedom = len(sizes) - 2
    if fixed < 0:
        # No work costs less than nothing: it is in proportion.
        fixed, each, freedom = 0.0, np.mean(costs / sizes), len(sizes) - 1
        covariance = np.diag([stats.sem(costs / sizes) ** 2, 0.0])
    quantile = float(stats.t.ppf((1 + COVERAGE) / 2, freedom))
    half = quantile * np.sqrt(covariance[0, 0])
    before, last = (np.log(costs[sizes == one]).mean() for one in known[-2:])
    return Growth(
        fixed=float(fixed),
        each=Estimate(float(each), float(max(each - half, 0.0)), float(each + half)),
        exponent=float((last - before) / np.log(known[-1] / known[-2])),
        smallest=float(known[0]),
        largest=float(known[-1]),
        _quantile=quantile,
        _covariance=covariance,
    )
