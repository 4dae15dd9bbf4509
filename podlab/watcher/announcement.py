"""What the watcher announces: of which container, in words and in numbers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

from podlab.kubernetes.objects import WatchedContainer
from podlab.watcher.cases import Verdict
from podlab.watcher.journal import Entry

Kind = Literal["identified", "revised", "unknown", "no-metrics", "anomalous", "anomaly-over"]
Topic = Literal["decision", "anomaly"]


@dataclass(frozen=True, slots=True)
class Announcement(ABC):
    """Something to tell of a container.

    Attributes
    ----------
    topic : str
        What it is about; a newer one of the same container and topic takes its place.
    measurement : str
        Where it is kept in InfluxDB.
    key : str
        The container's.
    container : WatchedContainer
    started_at : datetime
    cluster : str
    decided_s : float
        When it was decided, on the steady clock.
    """

    topic: ClassVar[Topic]
    measurement: ClassVar[str]

    key: str
    container: WatchedContainer
    started_at: datetime
    cluster: str
    decided_s: float

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What it says."""

    @property
    @abstractmethod
    def said(self) -> str:
        """What it says, the same for the same, whoever says it."""

    @property
    @abstractmethod
    def words(self) -> str:
        """One sentence for people."""

    @property
    @abstractmethod
    def service(self) -> str | None:
        """The service decided on; None: unknown."""

    @property
    @abstractmethod
    def at_s(self) -> float:
        """When what it tells of happened, in seconds since 1970."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Give what the JSON object of the log line holds beside what all have."""

    @abstractmethod
    def values(self) -> dict[str, float | int | str]:
        """Give the fields of its point in InfluxDB."""

    @abstractmethod
    def entry(self, before: Entry | None) -> Entry | None:
        """Give what is kept of the container over a restart from now on; ``before`` is what was until now."""

    @property
    def name(self) -> str:
        """The same for the same announcement, whoever makes it; 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.key} {self.said}".encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, object]:
        """Give the JSON object of the log line."""
        return {"event": self.kind, "id": self.name, "message": self.words, **self.describe()}


@dataclass(frozen=True, slots=True)
class DecisionAnnouncement(Announcement):
    """One decision, as it is told.

    Attributes
    ----------
    verdict : Verdict
    """

    topic = "decision"
    measurement = "podlab_decision"

    verdict: Verdict

    @property
    def kind(self) -> Kind:
        """What it says."""
        if self.verdict.revisions:
            return "revised"
        if self.verdict.service is not None:
            return "identified"
        return "no-metrics" if self.verdict.reason == "unseen" else "unknown"

    @property
    def said(self) -> str:
        """What it says, the same for the same, whoever says it."""
        return f"{self.verdict.revisions} {self.verdict.service}"

    @property
    def service(self) -> str | None:
        """The service decided on; None: unknown."""
        return self.verdict.service

    @property
    def at_s(self) -> float:
        """When it was decided, in seconds since 1970."""
        return self.verdict.at_s

    @property
    def words(self) -> str:
        """One sentence for people."""
        verdict, name = self.verdict, self.container.container
        if self.kind == "no-metrics":
            return f"{name}: no metrics came within {verdict.waited_s:.0f} s, so nobody can tell what it is"
        sight = verdict.sight
        like = f"; most like {', '.join(service for service, _ in sight.similar)}" if sight and sight.similar else ""
        seen = f" after {sight.seconds_observed:.0f} s of metrics" if sight else ""
        if verdict.service is None:
            why = "it is like no known service" if verdict.reason == "unlike" else "no service is probable enough"
            return f"{name}: unknown, {why}{seen}{like}"
        again = "is after all" if self.kind == "revised" else "is"
        return f"{name} {again} {verdict.service} ({verdict.confidence:.0%} sure{seen}{like})"

    def describe(self) -> dict[str, object]:
        """Give what the JSON object of the log line holds beside what all have."""
        return describe(self.container, self.started_at, self.verdict, self.cluster)

    def values(self) -> dict[str, float | int | str]:
        """Give the fields of its point in InfluxDB."""
        v = self.verdict
        return {
            "confidence": float(v.confidence), "waited_s": float(v.waited_s), "reason": v.reason,
            "revisions": v.revisions,
        }  # fmt: skip

    def entry(self, before: Entry | None) -> Entry | None:
        """Give what is kept of it; an alarm that stands goes on standing."""
        v, alarm_s = self.verdict, before.alarm_s if before else None
        at_s, waited_s = round(v.at_s, 3), round(v.waited_s, 3)
        return Entry(self.key, v.service, v.reason, v.revisions, at_s, waited_s, alarm_s, v.seen)


def describe(
    container: WatchedContainer, started_at: datetime | None, verdict: Verdict | None, cluster: str
) -> dict[str, object]:
    """Give what is known of a container as JSON values; what ``podlab identify --json`` says too has its names."""
    told: dict[str, object] = {
        "cluster": cluster, "namespace": container.namespace, "pod": container.pod, "pod_uid": container.pod_uid,
        "container": container.container, "node": container.node,
        "started_at": None if started_at is None else started_at.astimezone(UTC).isoformat(),
    }  # fmt: skip
    if verdict is None:
        return told
    told |= {
        "service": verdict.service, "confidence": round(verdict.confidence, 6), "reason": verdict.reason,
        "revisions": verdict.revisions, "waited_s": round(verdict.waited_s, 3),
        "decided_at": datetime.fromtimestamp(verdict.at_s, UTC).isoformat(timespec="milliseconds"),
    }  # fmt: skip
    sight = verdict.sight
    if sight is not None:
        told |= {
            "seconds_observed": round(sight.seconds_observed, 3),
            "candidates": {service: round(value, 6) for service, value in sight.candidates},
            "similar": [[service, round(value, 6)] for service, value in sight.similar],
            "known": sight.known, "novelty": round(sight.novelty, 6), "model": sight.model,
        }  # fmt: skip
    return told
