"""Predictions of workloads: the replicas of one controller judged together, with the evidence of all of them.

Replicas run the same image with the same configuration, so they have one service. Their probabilities are combined as
a product of experts (Hinton 2002, Training Products of Experts by Minimizing Contrastive Divergence): logarithms are
added. Replicas err together, because what misleads the model about one (its configuration, its version, its node) is
shared by all. R replicas whose errors correlate by r are therefore worth R / (1 + (R - 1) r) independent ones, the
design effect of Kish (1965, Survey Sampling): with r = 0 logarithms add up, with r = 1 they are averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from podlab.arrays import FloatArray
from podlab.data.workloads import workload_of
from podlab.identify.calibration import to_logits
from podlab.identify.identifier import Identifier
from podlab.identify.novelty import NOVELTY_THRESHOLD
from podlab.identify.prediction import Prediction

#: How much the errors of replicas correlate. Measured: .34, between the normal scores of p-values of the own service of
#: 55 pairs and triples of equal configuration (alpha-1, alpha-2, bravo-1), which training had not seen. Log loss of
#: these is lowest at 0 (.39; about .55 here; .85 and more of one alone), but replicas share more than a configuration.
ERROR_CORRELATION: Final = 0.35


def effective_replicas(count: NDArray[np.integer] | int, correlation: float = ERROR_CORRELATION) -> FloatArray:
    """Return how many independent containers so many replicas are worth."""
    return np.asarray(count / (1 + (np.asarray(count) - 1) * correlation), dtype=np.float64)


def pool_replicas(probability: FloatArray, correlation: float = ERROR_CORRELATION) -> FloatArray:
    """Combine the probabilities of one workload's replicas.

    Parameters
    ----------
    probability : array of float64 (n_replicas, n_services)
        Calibrated.
    correlation : float
        Of their errors, 0 to 1.

    Returns
    -------
    array of float64 (n_services,)
        Those of a single replica are returned as they are.

    Examples
    --------
    >>> pool_replicas(np.array([[0.7, 0.3], [0.7, 0.3]]), correlation=1.0).round(2).tolist()
    [0.7, 0.3]
    """
    if len(probability) == 1:
        return np.asarray(probability[0])
    logits = to_logits(probability).mean(axis=0) * effective_replicas(len(probability), correlation)
    pooled = np.exp(logits - logits.max())
    return np.asarray(pooled / pooled.sum())


class Workload(NamedTuple):
    """What replicas are grouped by; the name is ``Kind/name`` of the controller."""

    cluster: str | None
    namespace: str | None
    workload: str
    container: str | None


@dataclass(frozen=True)
class WorkloadPrediction:
    """The identification of one workload's container; the fields are those of the JSON line.

    Attributes
    ----------
    cluster, namespace, workload, container : str or None
        The workload, as ``Kind/name``, and the name of the container in its pods.
    service : str or None
        The most probable service; None where the replicas are like none of the known ones, or show no value.
    confidence : float
        Its probability by the evidence of all replicas, 0 to 1.
    candidates : dict of str to float
        Probability of each service, the most probable first.
    known : bool
        Whether the median replica is like the known services.
    novelty : float
        Of the median replica.
    replicas : int
        Container instances that showed a value.
    unseen : int
        Those that showed none.
    disagreeing : tuple of Prediction
        Replicas that by themselves are identified as something else, or are unknown where the workload is not.
    model : str
        ``name@digest``.
    """

    cluster: str | None
    namespace: str | None
    workload: str
    container: str | None
    service: str | None
    confidence: float
    candidates: dict[str, float]
    known: bool
    novelty: float
    replicas: int
    unseen: int
    disagreeing: tuple[Prediction, ...]
    model: str

    def to_json(self) -> dict[str, object]:
        """Give the JSON object."""
        return {
            "cluster": self.cluster, "namespace": self.namespace, "workload": self.workload,
            "container": self.container, "service": self.service, "confidence": round(self.confidence, 6),
            "candidates": {service: round(value, 6) for service, value in self.candidates.items()},
            "known": self.known, "novelty": round(self.novelty, 6), "replicas": self.replicas, "unseen": self.unseen,
            "disagreeing": [
                {"pod": each.pod, "pod_uid": each.pod_uid, "service": each.service,
                 "confidence": round(each.confidence, 6)}
                for each in self.disagreeing
            ],
            "model": self.model,
        }  # fmt: skip


def group_by_workload(
    predictions: Iterable[Prediction], owners: pd.DataFrame | None = None
) -> dict[Workload, list[Prediction]]:
    """Group predictions by workload and container name, in order of appearance.

    Parameters
    ----------
    predictions : iterable of Prediction
    owners : DataFrame, optional
        ``namespace, pod, owner_kind, owner_name`` of pods, as :func:`podlab.live.cluster_inventory` lists them; the
        workload of other pods is guessed from their names.
    """
    known: dict[tuple[object, object], str] = {}
    if owners is not None:
        cells = owners[["namespace", "pod", "owner_kind", "owner_name"]].astype(object)
        for namespace, pod, kind, name in cells.where(cells.notna(), None).itertuples(index=False):
            known[namespace, pod] = workload_of(pod, kind, name) if kind else f"Pod/{pod}"
    groups: dict[Workload, list[Prediction]] = {}
    for each in predictions:
        name = known.get((each.namespace, each.pod)) or workload_of(each.pod or "")
        groups.setdefault(Workload(each.cluster, each.namespace, name, each.container), []).append(each)
    return groups


def judge_workloads(
    groups: dict[Workload, list[Prediction]], services: Sequence[str], *, correlation: float = ERROR_CORRELATION
) -> list[WorkloadPrediction]:
    """Judge the replicas of each workload together.

    ``groups`` are from :func:`group_by_workload`, ``services`` the model's, ``correlation`` is as for
    :func:`pool_replicas`.
    """
    return [_judge(key, replicas, services, correlation) for key, replicas in groups.items()]


def _judge(
    key: Workload, replicas: Sequence[Prediction], services: Sequence[str], correlation: float
) -> WorkloadPrediction:
    seen = [each for each in replicas if each.candidates]
    model, unseen = replicas[0].model, len(replicas) - len(seen)
    if not seen:
        return WorkloadPrediction(*key, None, 0.0, {}, False, 1.0, 0, unseen, (), model)
    pooled = pool_replicas(
        np.array([[each.candidates.get(name, 0.0) for name in services] for each in seen]), correlation
    )
    order = np.argsort(-pooled, kind="stable")
    candidates = {services[number]: float(pooled[number]) for number in order}
    novelty = float(median(each.novelty for each in seen))
    known = novelty <= NOVELTY_THRESHOLD
    service = services[order[0]] if known else None
    disagreeing = tuple(each for each in seen if each.service != service)
    confidence = float(pooled[order[0]])
    return WorkloadPrediction(
        *key, service, confidence, candidates, known, novelty, len(seen), unseen, disagreeing, model
    )


def identify_workloads(
    samples: pd.DataFrame, identifier: Identifier, *, owners: pd.DataFrame | None = None, horizon_s: float | None = None
) -> pd.DataFrame:
    """Identify the service of each workload of a samples table.

    Parameters
    ----------
    samples : DataFrame
        A checked samples table.
    identifier : Identifier
        The model.
    owners : DataFrame, optional
        As for :func:`group_by_workload`.
    horizon_s : float, optional
        As for :meth:`podlab.Identifier.identify`.

    Returns
    -------
    DataFrame
        One row for each workload and container name: ``cluster, namespace, workload, container, service`` (missing
        where unknown), ``confidence, known, novelty, replicas, unseen, disagreeing`` (names of pods), and a probability
        ``p_SERVICE`` for each service.
    """
    groups = group_by_workload(identifier.identify(samples, horizon_s=horizon_s), owners)
    found = judge_workloads(groups, identifier.services)
    columns = ("cluster", "namespace", "workload", "container", "service", "confidence", "known", "novelty",
               "replicas", "unseen")  # fmt: skip
    table = pd.DataFrame({name: [getattr(each, name) for each in found] for name in columns})
    names = ("cluster", "namespace", "workload", "container", "service")
    table = table.astype(dict.fromkeys(names, "str"))
    table["disagreeing"] = pd.Series([tuple(own.pod for own in each.disagreeing) for each in found], dtype=object)
    chances = pd.DataFrame([each.candidates for each in found], columns=list(identifier.services), dtype=float)
    return pd.concat([table, chances.add_prefix("p_")], axis=1)
