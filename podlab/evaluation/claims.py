"""How well claims are checked: fleets whose containers claim rightly, but for some whose claims were swapped.

P-values are those of containers at sites that training never saw. A fleet is all of them; in each draw some get the
claim of another service, and the mismatches over the fleet are counted. Intervals are over deployments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.evaluation.metrics import Estimate, mean_interval, wilson
from podlab.identify import Identifier
from podlab.identify.claims import MISMATCH_RATE, adjust_p_values, combine_p_values

FloatArray = NDArray[np.float64]
#: Fleets drawn for each line.
DRAWS = 200


def claim_p_values(identifier: Identifier, samples: pd.DataFrame, *, horizon_s: float | None = None) -> pd.DataFrame:
    """Test every claim of every container.

    Parameters
    ----------
    identifier : Identifier
        That gives p-values.
    samples : DataFrame
        A checked samples table with ``service`` and ``deployment``.
    horizon_s : float, optional
        As for :meth:`podlab.Identifier.identify`.

    Returns
    -------
    DataFrame
        One row for each container of which something is seen: ``service, deployment``, and the p-value of each service
        by its name.
    """
    names = ["pod_uid", "container", "service", "deployment"]
    labels = {
        (uid, container): (service, deployment)
        for uid, container, service, deployment in samples[names].drop_duplicates().itertuples(index=False, name=None)
    }
    rows = []
    for each in identifier.identify(samples, horizon_s=horizon_s, p_values=True):
        if each.p_values:
            service, deployment = labels[each.pod_uid, each.container]
            rows.append({"service": service, "deployment": deployment, **each.p_values})
    return pd.DataFrame(rows, columns=["service", "deployment", *identifier.services])


def score_claims(
    p_values: pd.DataFrame, *, swapped: float | int = 1, replicas: int = 1, rate: float = MISMATCH_RATE,
    draws: int = DRAWS, seed: int = 0,
) -> dict[str, Estimate]:  # fmt: skip
    """Score fleets of rightly claimed containers, some of which get another's claim.

    Parameters
    ----------
    p_values : DataFrame
        From :func:`claim_p_values`, of known services.
    swapped : float or int
        How many claims are swapped: their number, or if below 1 their share.
    replicas : int
        Containers of one service that are taken for one workload; those of a service that are left over form a smaller
        one. They are of different deployments, so their errors correlate less than those of real replicas.
    rate : float
        The false discovery rate.
    draws : int
        Fleets.

    Returns
    -------
    dict of str to Estimate
        ``found``, the share of swapped claims that are a mismatch, and ``false``, the share of right ones.
    """
    rng = np.random.default_rng(seed)
    services = [str(name) for name in p_values.columns[2:]]
    matrix = p_values[services].to_numpy(np.float64)
    truth = np.array([services.index(name) for name in p_values["service"]], dtype=np.intp)
    found: list[tuple[int, bool]] = []
    false: list[tuple[int, bool]] = []
    for _ in range(draws):
        groups = _group(truth, replicas, rng)
        count = round(swapped * len(groups)) if swapped < 1 else int(swapped)
        wrong = set(rng.choice(len(groups), max(count, 1) if swapped else 0, replace=False).tolist())
        claims = [truth[group[0]] for group in groups]
        for number in wrong:
            claims[number] = rng.choice([n for n in range(len(services)) if n != claims[number]])
        together = [combine_p_values(matrix[g, c].tolist()) for g, c in zip(groups, claims, strict=True)]
        for number, is_mismatch in enumerate(adjust_p_values(together) <= rate):
            (found if number in wrong else false).append((int(groups[number][0]), bool(is_mismatch)))
    return {"found": _estimate(found, p_values, seed), "false": _estimate(false, p_values, seed)}


def _group(truth: NDArray[np.intp], replicas: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    groups: list[NDArray[np.intp]] = []
    for service in np.unique(truth):
        own = rng.permutation(np.flatnonzero(truth == service))
        groups += [own[begin : begin + replicas] for begin in range(0, own.size, replicas)]
    return groups


def _estimate(cases: Sequence[tuple[int, bool]], p_values: pd.DataFrame, seed: int) -> Estimate:
    if not cases:
        return Estimate(float("nan"), float("nan"), float("nan"))
    each = pd.DataFrame(cases, columns=["row", "yes"]).groupby("row")["yes"].mean()
    return _mean(each.to_numpy(np.float64), p_values["deployment"].iloc[each.index].tolist(), seed)


def _mean(values: FloatArray, units: Sequence[str], seed: int) -> Estimate:
    """Take the mean and its interval over deployments: of all services together, since some have one only."""
    if set(values) <= {0.0} or set(values) <= {1.0}:
        return wilson(float(values[0]), len(set(units)))
    return mean_interval(values, units, ["all"] * len(units), seed=seed)


def share_below(p_values: pd.DataFrame, claims: Mapping[str, Sequence[str]], level: float) -> Estimate:
    """Give the share of tests of single containers with a p-value of at most ``level``.

    Parameters
    ----------
    p_values : DataFrame
        From :func:`claim_p_values`.
    claims : mapping of str to sequence of str
        Which services the containers of a service claim to run.
    level : float
        0 to 1.
    """
    rows, units = [], []
    for _, row in p_values.iterrows():
        own = [float(row[claim]) for claim in claims.get(row["service"], ()) if claim in p_values]
        if own:
            rows.append(float(np.mean(np.array(own) <= level)))
            units.append(row["deployment"])
    if not rows:
        return Estimate(float("nan"), float("nan"), float("nan"))
    return _mean(np.array(rows), units, seed=0)
