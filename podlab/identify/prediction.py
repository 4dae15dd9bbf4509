"""Predictions: the result of identification for one container, and many of them as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from podlab.arrays import BoolArray
from podlab.data.catalogue import CONTAINER_KEY
from podlab.identify.calibration import Coverage
from podlab.identify.novelty import NOVELTY_THRESHOLD

if TYPE_CHECKING:
    from podlab.identify.behaviour import Behaviour
    from podlab.identify.identifier import EnsemblePrediction

_MOST_SIMILAR = 5
#: What the JSON line calls them.
_STORED_COVERAGE: dict[Coverage, str] = {
    "class-conditional": "each service",
    "marginal": "all services",
    "none": "none",
}


@dataclass(frozen=True)
class Prediction:
    """One container's identification; the fields are those of the JSON line.

    Attributes
    ----------
    cluster, namespace, pod, pod_uid, container : str or None
        The container; None where the samples do not say.
    seconds_observed : float
        How long the container was observed: from its start to the last row used, or from the first row where the start
        was not observed.
    service : str or None
        The most probable service; None when the container is like none of the known ones, or shows no value.
    confidence : float
        Calibrated probability of the most probable service, 0 to 1.
    candidates : dict of str to float
        Probability of each service, the most probable first; empty when the container shows no value.
    similar : tuple of (str, float)
        The services with the nearest training containers, with the proximity from 0 to 1.
    known : bool
        Whether it is like the known services at all.
    novelty : float
        Share of the training's held-out containers that look more like known ones, 0 to 1.
    model : str
        ``name@digest`` of the model.
    prediction_set : tuple of str
        Services that cannot be ruled out with a coverage of 95 %, if the service is known; the most probable first.
    coverage : {"class-conditional", "marginal", "none"}
        What the 95 % hold for in new deployments: each service; the average over services; or no guarantee, because too
        few deployments were held out.
    columns : tuple of str
        The model's metric columns of which the container showed a value: what the answer rests on.
    p_values : dict of str to float
        Of the claim that it runs a service, by service: :class:`podlab.identify.calibration.ClaimScore`. Empty where
        they were not asked for, or the model cannot give them.
    behaviour : Behaviour or None
        What it does; None where that was not asked for and the service is known, and where too little was seen.
    """

    cluster: str | None
    namespace: str | None
    pod: str | None
    pod_uid: str | None
    container: str | None
    seconds_observed: float
    service: str | None
    confidence: float
    candidates: dict[str, float]
    similar: tuple[tuple[str, float], ...]
    known: bool
    novelty: float
    model: str
    prediction_set: tuple[str, ...] = ()
    coverage: Coverage = "none"
    columns: tuple[str, ...] = ()
    p_values: dict[str, float] = field(default_factory=dict)
    behaviour: Behaviour | None = None

    def to_json(self) -> dict[str, object]:
        """Give the JSON object, numbers rounded to what they are worth."""
        line: dict[str, object] = {
            "cluster": self.cluster,
            "namespace": self.namespace,
            "pod": self.pod,
            "pod_uid": self.pod_uid,
            "container": self.container,
            "seconds_observed": round(self.seconds_observed, 3),
            "service": self.service,
            "confidence": round(self.confidence, 6),
            "candidates": {service: round(value, 6) for service, value in self.candidates.items()},
            "similar": [[service, round(value, 6)] for service, value in self.similar],
            "known": self.known,
            "novelty": round(self.novelty, 6),
            "model": self.model,
            "shortlist": list(self.prediction_set),
            "promise": _STORED_COVERAGE[self.coverage],
            "columns": list(self.columns),
        }
        if self.behaviour is not None and self.service is None:
            line |= self.behaviour.to_json()
        return line


def make_predictions(
    containers: pd.DataFrame, found: EnsemblePrediction, services: Sequence[str], *, usable: BoolArray,
    columns: Sequence[tuple[str, ...]], model: str, p_values: bool,
) -> list[Prediction]:  # fmt: skip
    """Make the predictions of many containers, whose identities are lines of a table, from what was found of each.

    ``services`` are in the order of the arrays' columns. One that shows no value (``usable`` (n_containers,)) gets no
    service; ``columns`` are those that show one, and ``model`` is ``name@digest``.
    """
    names = np.array(services, dtype=object)
    order = np.argsort(-found.probability, axis=1, kind="stable")
    # A proximity of 0 is common; the probability then decides which service is more similar.
    nearest = np.lexsort((-found.probability, -found.proximity), axis=1)[:, :_MOST_SIMILAR]
    inside = np.take_along_axis(found.prediction_set, order, axis=1).tolist()
    likely, shares = names[order].tolist(), np.take_along_axis(found.probability, order, axis=1).tolist()
    similar, near = names[nearest].tolist(), np.take_along_axis(found.proximity, nearest, axis=1).tolist()
    who = zip(*(pa.array(containers[name]).to_pylist() for name in CONTAINER_KEY), strict=True)
    numbers = zip(found.spans.observed_s.tolist(), found.novelty.tolist(), usable.tolist(), strict=True)
    predictions = []
    for row, (identity, (seconds, novel, shown)) in enumerate(zip(who, numbers, strict=True)):
        known = shown and novel <= NOVELTY_THRESHOLD
        prediction = Prediction(
            **dict(zip(CONTAINER_KEY, identity, strict=True)),
            seconds_observed=seconds,
            service=likely[row][0] if known else None,
            confidence=shares[row][0] if shown else 0.0,
            candidates=dict(zip(likely[row], shares[row], strict=True)) if shown else {},
            similar=tuple(zip(similar[row], near[row], strict=True)) if shown else (),
            known=known,
            novelty=novel if shown else 1.0,
            model=model,
            prediction_set=tuple(compress(likely[row], inside[row])) if shown else (),
            coverage=found.coverage[row] if shown else "none",
            columns=columns[row],
            p_values=_p_values(services, found.p_value[row]) if p_values and shown else {},
        )
        predictions.append(prediction)
    return predictions


def _p_values(services: Sequence[str], p_value: NDArray[np.float64]) -> dict[str, float]:
    return {} if np.isnan(p_value[0]) else dict(zip(services, p_value.tolist(), strict=True))


def predictions_table(predictions: Sequence[Prediction], services: Sequence[str]) -> pd.DataFrame:
    """Make a table of predictions.

    Returns
    -------
    DataFrame (n_predictions,)
        ``p_SERVICE``, the probability of each service, missing where a container shows nothing; ``known, predicted``
        (missing where not known), ``novelty, prediction_set, coverage, similar, seconds_observed``.
    """
    found = pd.DataFrame([each.candidates for each in predictions], columns=list(services), dtype=float)
    return found.add_prefix("p_").assign(
        known=[each.known for each in predictions],
        predicted=pd.array([each.service for each in predictions], dtype="str"),
        novelty=np.array([each.novelty for each in predictions], dtype=np.float64),
        prediction_set=pd.Series([each.prediction_set for each in predictions], dtype=object),
        coverage=[each.coverage for each in predictions],
        similar=pd.Series([each.similar for each in predictions], dtype=object),
        seconds_observed=[each.seconds_observed for each in predictions],
    )
