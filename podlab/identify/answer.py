"""What is said about one container."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One container's identification; the fields are those of the JSON line.

    Attributes
    ----------
    cluster, namespace, pod, pod_uid, container : str or None
        Who it is about; None where the samples do not say.
    seconds_observed : float
        How long the rows used looked at it: from its start to the last of them, or from the first of them where the
        start was not seen.
    service : str or None
        The most probable service; None when the container is like none of the known ones, or shows no value.
    confidence : float
        Calibrated probability of the most probable service, 0 to 1.
    candidates : dict of str to float
        Probability of each service, the most probable first; empty when the container shows no value.
    similar : tuple of (str, float)
        The services whose training containers it resembles most, with the resemblance from 0 to 1.
    known : bool
        Whether it is like the known services at all.
    novelty : float
        Part of the training's own held-out containers that looked more familiar, 0 to 1.
    model : str
        ``name@digest`` of the model that answered.
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

    def to_json(self) -> dict[str, object]:
        """Give the JSON object, numbers rounded to what they are worth."""
        return {
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
        }
