"""Sets of services that hold the right one in 95 % of new deployments, whatever the forest is worth.

Split conformal prediction (Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World): a service is in
the set if its probability is not lower than what all but 5 % of held-out deployments gave to their own service. Counted
by service (Mondrian) this holds for each service; that takes 19 deployments of it. Services with fewer share one
bound, which holds on average only: over them, or over all services where they have fewer than 19 together. With fewer
than 19 in all nothing is promised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Promise = Literal["each service", "all services", "none"]

#: How often a set shall hold the right service.
COVERAGE = 0.95
#: With fewer deployments even the lowest probability among them is no bound: (n + 1) * 5 % must reach 1.
FEWEST_DEPLOYMENTS = 19
_PROMISES: tuple[Promise, ...] = ("none", "all services", "each service")


@dataclass(frozen=True)
class Bounds:
    """How low a probability may be for its service to stay in the set.

    Attributes
    ----------
    least : array of float64 (n_services,)
        Lowest probability in the set.
    basis : array of int8 (n_services,)
        2 where the service's own deployments gave the bound, 1 where those of several did, 0 where there were too few.
    """

    least: FloatArray
    basis: NDArray[np.int8]

    @property
    def promise(self) -> Promise:
        """For what the coverage is promised: the weakest of the services' promises."""
        return _PROMISES[int(self.basis.min(initial=2))]

    def shortlist(self, probability: FloatArray) -> NDArray[np.bool_]:
        """Tell which services are in the sets (n, n_services); the most probable one always is."""
        inside = probability >= self.least
        inside[np.arange(len(probability)), probability.argmax(axis=1)] = True
        return inside

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give the arrays by name, for a file."""
        return {"least": self.least, "basis": self.basis}


def learn_bounds(probability: FloatArray, truth: NDArray[np.intp], groups: NDArray[np.str_]) -> Bounds:
    """Find the bounds from held-out containers.

    Parameters
    ----------
    probability : array of float64 (n, n_services)
        Calibrated.
    truth : array of int (n,)
        Their services.
    groups : array of str (n,)
        Their deployments. Containers of one are no independent cases: its least sure one stands for it.
    """
    services = probability.shape[1]
    own = probability[np.arange(truth.size), truth]
    cases, number = np.unique(np.stack([truth.astype(str), groups.astype(str)]), axis=1, return_inverse=True)
    lowest = np.ones(cases.shape[1])
    np.minimum.at(lowest, number.reshape(-1), own)
    service = cases[0].astype(np.intp)
    few = np.bincount(service, minlength=services) < FEWEST_DEPLOYMENTS
    shared = lowest[few[service]]
    if shared.size < FEWEST_DEPLOYMENTS:
        shared = lowest
    least = np.full(services, _bound(shared))
    basis = np.full(services, 1 if shared.size >= FEWEST_DEPLOYMENTS else 0, dtype=np.int8)
    for one in np.flatnonzero(~few):
        least[one], basis[one] = _bound(lowest[service == one]), 2
    return Bounds(least, basis)


def _bound(lowest: FloatArray) -> float:
    """Take the largest bound that at most 5 % of (n + 1) deployments are below; their lowest where there are few."""
    if not lowest.size:
        return 0.0
    allowed = int((lowest.size + 1) * (1 - COVERAGE) + 1e-9)
    return float(np.sort(lowest)[max(allowed - 1, 0)])
