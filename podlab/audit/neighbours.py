"""Who looks like whom: distances between deployments in the space of features, and pairs that are too alike."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.audit.look import Look
from podlab.features.rows import FloatArray

#: Nearer to each other than this part of what is usual, two deployments may be one, recorded twice.
SUSPICIOUS: Final = 0.1


def distances(look: Look) -> FloatArray:
    """Measure how unlike the deployments of a look are.

    Returns
    -------
    array of float64 (n_deployments, n_deployments)
        Euclidean distance of standardised features, divided by the square root of their number, so that 1 is one
        standard deviation in each of them. A missing value stands at the mean, and a constant feature counts for
        nothing. A deployment is infinitely far from itself.
    """
    seen = ~np.isnan(look.X)
    X = np.where(seen, look.X, 0.0).astype(np.float64)
    count = np.maximum(seen.sum(axis=0), 1)
    centred = np.where(seen, X - X.sum(axis=0) / count, 0.0)
    spread = np.sqrt(np.square(centred).sum(axis=0) / count)
    # Levels are logarithms kept as float32: less spread than this is rounding.
    varied = spread > 1e-6
    Z = centred[:, varied] / spread[varied]
    squares = np.square(Z).sum(axis=1)
    found = squares[:, None] + squares[None, :] - 2 * Z @ Z.T
    np.fill_diagonal(found, np.inf)
    return np.asarray(np.sqrt(found.clip(0) / max(1, Z.shape[1])))


def nearest(found: FloatArray, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find each one's nearest among those allowed (n, n) -> (n,), -1 where there is none."""
    reach = np.where(allowed, found, np.inf)
    best = reach.argmin(axis=1)
    return np.where(np.isfinite(reach[np.arange(len(reach)), best]), best, -1)


def nearest_pairs(look: Look) -> pd.DataFrame:
    """Tell each deployment's nearest neighbour, the most alike pairs first.

    Returns
    -------
    DataFrame (n_deployments,)
        ``deployment``, ``service``, ``neighbour``, ``neighbour's service``, ``distance``, ``times the usual``
        (of the median of all these distances), ``same service``, and ``suspicious``: nearer than :data:`SUSPICIOUS`
        times the usual.
    """
    found = distances(look)
    best = nearest(found, np.isfinite(found))
    names = look.deployments["deployment"].to_numpy(object)
    distance = found[np.arange(len(best)), best]
    usual = float(np.median(distance))
    relative = distance / usual if usual > 0 else np.zeros(distance.size)
    table = pd.DataFrame(
        {
            "deployment": names,
            "service": look.services,
            "neighbour": names[best],
            "neighbour's service": look.services[best],
            "distance": distance,
            "times the usual": relative,
            "same service": look.services == look.services[best],
            "suspicious": relative < SUSPICIOUS,
        }
    )
    return table.sort_values("distance", kind="stable", ignore_index=True)


def nearest_known(known: Look, unknown: Look) -> pd.DataFrame:
    """Tell which known service each unknown one is most like.

    Parameters
    ----------
    known, unknown : Look
        Of the same window.

    Returns
    -------
    DataFrame
        One line per unknown service: ``service``, ``deployments``, ``most like`` (the known service that most of its
        deployments have for their nearest), ``of them %`` (how many have), and ``times the usual``: the median
        distance to the nearest known deployment, by the median among known ones.
    """
    names = [name for name in known.names if name in unknown.names]
    columns = [[look.names.index(name) for name in names] for look in (known, unknown)]
    X = np.vstack([known.X[:, columns[0]], unknown.X[:, columns[1]]])
    both = Look(known.name, X, tuple(names), pd.concat([known.deployments, unknown.deployments], ignore_index=True))
    found = distances(both)
    is_known = np.arange(len(X)) < len(known.X)
    allowed = np.isfinite(found) & is_known[None, :]
    best = nearest(found, allowed)
    distance = found[np.arange(best.size), best]
    table = pd.DataFrame({"service": both.services, "like": both.services[best], "distance": distance})[~is_known]
    usual = float(np.median(distance[is_known]))
    by_service = table.groupby("service")
    told = pd.DataFrame(
        {
            "deployments": by_service.size(),
            "most like": by_service["like"].agg(lambda like: like.value_counts().index[0]),
            "of them %": by_service["like"].agg(lambda like: 100 * float(like.value_counts(normalize=True).iloc[0])),
            "times the usual": by_service["distance"].median() / usual if usual > 0 else float("nan"),
        }
    )
    return told.reset_index()
