"""Checks whether containers behave like what they claim to be.

Testing one claim is easier than naming a service among thirty, and it says how sure it is by a p-value: the share of
held-out containers of the claimed service that look less like it than this one does (conformal prediction: Vovk,
Gammerman and Shafer 2005, Algorithmic Learning in a Random World). P-values of a workload's replicas are combined, and
over a fleet as many mismatches are reported as keep the share of false ones below a rate (Benjamini and Hochberg 1995,
Controlling the False Discovery Rate, JRSS B 57:289-300).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
import pandas as pd

from podlab.arrays import FloatArray
from podlab.data.catalogue import CONTAINER_KEY
from podlab.data.labels import claims_of
from podlab.identify.behaviour import LEAST_OBSERVED_S, Behaviour, most_miner_like
from podlab.identify.identifier import Identifier
from podlab.identify.prediction import Prediction
from podlab.identify.workload import (
    ERROR_CORRELATION,
    Workload,
    WorkloadPrediction,
    group_by_workload,
    judge_workloads,
)

Verdict = Literal["consistent", "mismatch", "cannot tell"]

#: Share of the reported mismatches that may be false.
MISMATCH_RATE: Final = 0.05
_NORMAL: Final = NormalDist()
_LEAST_P: Final = 1e-12


def can_test_claims(identifier: Identifier) -> bool:
    """Whether a model gives p-values of claims; earlier models and those of few deployments do not."""
    return any(each.claim_score is not None for own in identifier.calibrations.values() for each in own)


def combine_p_values(p_values: Sequence[float], correlation: float = ERROR_CORRELATION) -> float:
    """Combine the p-values of replicas, which are not independent.

    Their normal scores are added (Stouffer et al. 1949), and their sum is compared with the spread that it has where
    they correlate: R + R (R - 1) r.

    Examples
    --------
    >>> round(combine_p_values([0.01]), 4), round(combine_p_values([0.01, 0.01], 1.0), 4)
    (0.01, 0.01)
    >>> combine_p_values([0.01, 0.01], 0.0) < 0.001
    True
    """
    if len(p_values) == 1:
        return p_values[0]
    count = len(p_values)
    score = sum(_NORMAL.inv_cdf(min(max(p, _LEAST_P), 1 - _LEAST_P)) for p in p_values)
    return _NORMAL.cdf(score / sqrt(count + count * (count - 1) * correlation))


def adjust_p_values(p_values: Sequence[float]) -> FloatArray:
    """Give the lowest false discovery rate at which each would be reported (n,); NaN stays.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, float("nan"), 0.5]).round(3).tolist()
    [0.03, 0.06, nan, 0.5]
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given)  # NaN last
    count = int((~np.isnan(given)).sum())
    order = order[:count]
    adjusted = np.minimum.accumulate((given[order] * count / np.arange(1, count + 1))[::-1])[::-1]
    out = np.full(given.size, np.nan)
    out[order] = np.minimum(adjusted, 1.0)
    return out


@dataclass(frozen=True)
class ClaimCheck:
    """What a workload claims to be, and whether it behaves like that.

    Attributes
    ----------
    found : WorkloadPrediction
        What it is identified as.
    claim, claimed_by : str or None
        The service, and the rule that says so; None: nothing, or several things.
    verdict : {"consistent", "mismatch", "cannot tell"}
    why : str
        The reason, where nothing can be told.
    p_value : float
        Of the replicas together; NaN where nothing can be told.
    adjusted : float
        Lowest false discovery rate at which this would be a mismatch.
    replicas : tuple of (str, float)
        Pods and their own p-values.
    behaviour : Behaviour or None
        What its replica does that is most like mining; None where too little was seen.
    """

    found: WorkloadPrediction
    claim: str | None
    claimed_by: str | None
    verdict: Verdict
    why: str
    p_value: float
    adjusted: float
    replicas: tuple[tuple[str, float], ...]
    behaviour: Behaviour | None = None

    @property
    def behaves_like(self) -> str | None:
        """The service that it behaves like; None: none of the known ones, or it is what it claims to be."""
        return self.found.service if self.verdict == "mismatch" else None

    def to_json(self) -> dict[str, object]:
        """Give the JSON object."""
        checked = not np.isnan(self.p_value)
        nothing: dict[str, object] = {"behaviour": None, "miner_score": None}
        names = ("cluster", "namespace", "workload", "container")
        return {
            **{name: getattr(self.found, name) for name in names},
            "claim": self.claim, "claimed_by": self.claimed_by, "verdict": self.verdict, "why": self.why,
            "p_value": _rounded(self.p_value) if checked else None,
            "adjusted": _rounded(self.adjusted) if checked else None,
            "behaves_like": self.behaves_like, "service": self.found.service,
            "confidence": round(self.found.confidence, 6),
            "replicas": [{"pod": pod, "p_value": _rounded(p)} for pod, p in self.replicas],
            **(self.behaviour.to_json() if self.behaviour else nothing), "model": self.found.model,
        }  # fmt: skip


def _rounded(p_value: float) -> float:
    return float(f"{p_value:.4g}")


def check_predictions(
    predictions: Sequence[Prediction],
    claims: Mapping[tuple[str | None, ...], tuple[str, str]],
    services: Sequence[str],
    *,
    owners: pd.DataFrame | None = None,
    rate: float = MISMATCH_RATE,
) -> list[ClaimCheck]:
    """Check the claims of containers that were identified, workload by workload.

    Parameters
    ----------
    predictions : sequence of Prediction
        With p-values.
    claims : mapping of tuple to (str, str)
        Claim and rule by the values of :data:`podlab.data.catalogue.CONTAINER_KEY`; containers that claim nothing are
        missing. Replicas of one workload with different claims are checked apart.
    services : sequence of str
        The model's.
    owners : DataFrame, optional
        As for :func:`podlab.identify.workload.group_by_workload`.
    rate : float
        Share of the mismatches that may be false, 0 to 1.
    """
    groups: dict[tuple[Workload, tuple[str, str] | None], list[Prediction]] = {}
    for key, replicas in group_by_workload(predictions, owners).items():
        for each in replicas:
            claim = claims.get(tuple(getattr(each, name) for name in CONTAINER_KEY))
            groups.setdefault((key, claim), []).append(each)
    found = [_judge(key, claim, replicas, services) for (key, claim), replicas in groups.items()]
    adjusted = adjust_p_values([each.p_value for each in found]).tolist()
    return [_with_rate(each, value, rate) for each, value in zip(found, adjusted, strict=True)]


def _judge(
    key: Workload, claim: tuple[str, str] | None, replicas: list[Prediction], services: Sequence[str]
) -> ClaimCheck:
    [found] = judge_workloads({key: replicas}, services)
    service, claimed_by = claim or (None, None)
    seen = [each for each in replicas if each.candidates]
    old_enough = [each for each in seen if each.seconds_observed >= LEAST_OBSERVED_S]
    own = tuple((each.pod or "", each.p_values[service]) for each in old_enough if service in each.p_values)
    why = ""
    if service is None:
        why = "claims nothing, or several services"
    elif service not in services:
        why = f"the model does not know {service}"
    elif not seen:
        why = "no metrics"
    elif not old_enough:
        why = f"seen for less than {LEAST_OBSERVED_S:g} s"
    elif not own:
        why = "the model cannot check claims; fit it again"
    p_value = float("nan") if why else combine_p_values([p for _, p in own])
    return ClaimCheck(
        found, service, claimed_by, "cannot tell", why, p_value, float("nan"), own,
        most_miner_like([each.behaviour for each in replicas]),
    )  # fmt: skip


def _with_rate(check: ClaimCheck, adjusted: float, rate: float) -> ClaimCheck:
    if check.why:
        return check
    verdict: Verdict = "mismatch" if adjusted <= rate else "consistent"
    return replace(check, verdict=verdict, adjusted=adjusted)


def check_claims(
    samples: pd.DataFrame,
    identifier: Identifier,
    *,
    containers: pd.DataFrame | None = None,
    aliases: Mapping[str, str] | None = None,
    table: pd.DataFrame | None = None,
    rate: float = MISMATCH_RATE,
    horizon_s: float | None = None,
) -> list[ClaimCheck]:
    """Check for each workload of a samples table whether it behaves like what it claims to be.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    identifier : Identifier
        The model.
    containers : DataFrame, optional
        What runs, as :func:`podlab.live.cluster_inventory` lists it: labels, images and owners; by default what the
        samples say of images and names.
    aliases, table : optional
        As for :func:`podlab.data.labels.claims_of`.
    rate : float
        As for :func:`check_predictions`.
    horizon_s : float, optional
        As for :meth:`podlab.Identifier.identify`.
    """
    who = samples.reindex(columns=[*CONTAINER_KEY, "image"]).drop_duplicates(list(CONTAINER_KEY), ignore_index=True)
    if containers is not None:
        known = containers[[*CONTAINER_KEY, "image", "pod_labels"]].drop_duplicates(list(CONTAINER_KEY))
        who = who.drop(columns="image").merge(known, how="left", on=list(CONTAINER_KEY))
    said = claims_of(who, identifier.services, aliases=aliases, table=table)
    keys = who[list(CONTAINER_KEY)].astype(object)
    claims = {
        key: (claim, rule)
        for key, claim, rule in zip(
            keys.where(keys.notna(), None).itertuples(index=False, name=None),
            said["claim"].tolist(), said["claimed_by"].tolist(), strict=True,
        )
        if isinstance(claim, str)
    }  # fmt: skip
    predictions = identifier.identify(samples, horizon_s=horizon_s, p_values=True)
    return check_predictions(predictions, claims, identifier.services, owners=containers, rate=rate)
