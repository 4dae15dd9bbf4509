"""Announcing that a container is anomalous, and that it is no longer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from podlab.detect.scoring import ContributingSignal
from podlab.watcher.announcement import Announcement, Kind, describe
from podlab.watcher.journal import Entry

#: Alarms of a container that come sooner after the last one told are counted and not told.
QUIET_S = 600.0
USUAL_AGAIN = "usual again"
MODEL_REPLACED = "the model was replaced"
NO_SAMPLES = "no samples come any more"


@dataclass(frozen=True, slots=True)
class AnomalyAnnouncement(Announcement):
    """An alarm that is raised, or is over; times are those of samples, in seconds since 1970.

    Attributes
    ----------
    of_service : str or None
        What the container was identified as; None: unknown.
    donors : tuple of (str, float)
        Whose detectors watch it, and their weights; none: the pooled one.
    since_s, until_s : float
        Its first anomalous sample, and the last one so far.
    told_s : float
        When it was told first.
    score : float
        The highest so far.
    drivers : tuple of ContributingSignal
        What drove the score then.
    untold : int
        How many alarms before this one were left out.
    over : str or None
        Why it is over; None: it is not.
    """

    topic = "anomaly"
    measurement = "podlab_anomaly"

    of_service: str | None
    donors: tuple[tuple[str, float], ...]
    since_s: float
    until_s: float
    told_s: float
    score: float
    drivers: tuple[ContributingSignal, ...]
    untold: int
    over: str | None

    @property
    def kind(self) -> Kind:
        """What it says."""
        return "anomaly-over" if self.over else "anomalous"

    @property
    def said(self) -> str:
        """What it says, the same for the same, whoever says it.

        A watcher that was restarted may find the alarm to begin with another sample. Two that are told are
        ``QUIET_S`` apart, so that the stretch of time it falls into is name enough.
        """
        return f"{self.kind} {self.told_s // QUIET_S:.0f}"

    @property
    def service(self) -> str | None:
        """The service decided on; None: unknown."""
        return self.of_service

    @property
    def at_s(self) -> float:
        """When the last anomalous sample was taken, in seconds since 1970."""
        return self.until_s

    @property
    def words(self) -> str:
        """One sentence for people."""
        name, usual = self.container.container, f"usual for {self.of_service}" if self.of_service else "usual"
        since = datetime.fromtimestamp(self.since_s, UTC).strftime("%H:%M:%S")
        lasted = f"it was not for {self.until_s - self.since_s:.0f} s since {since} UTC"
        if self.over == USUAL_AGAIN:
            return f"{name} is as {usual} again; {lasted}"
        if self.over:
            return f"{name}: nobody knows whether it is as {usual}, since {self.over}; {lasted}"
        why = ": " + "; ".join(driver.text for driver in self.drivers) if self.drivers else ""
        more = f" ({self.untold} more since the last one told)" if self.untold else ""
        return f"{name} is not as {usual} since {since} UTC{why}{more}"

    def describe(self) -> dict[str, object]:
        """Give what the JSON object of the log line holds beside what all have."""
        return {
            **describe(self.container, self.started_at, None, self.cluster), "service": self.of_service,
            "donors": [[service, round(weight, 6)] for service, weight in self.donors],
            "since": _instant(self.since_s), "until": _instant(self.until_s), "score": round(self.score, 6),
            "drivers": [driver.to_json() for driver in self.drivers], "untold": self.untold, "reason": self.over,
        }  # fmt: skip

    def values(self) -> dict[str, float | int | str]:
        """Give the fields of its point in InfluxDB."""
        return {
            "kind": self.kind, "score": float(self.score), "lasted_s": float(self.until_s - self.since_s),
            "drivers": ", ".join(driver.signal for driver in self.drivers), "untold": self.untold,
        }  # fmt: skip

    def entry(self, before: Entry | None) -> Entry | None:
        """Give what is kept: whether the alarm stands. Nothing where the decision before it was not kept either."""
        if before is None:
            return None
        return msgspec.structs.replace(before, alarm_s=None if self.over else round(self.since_s, 3))


def _instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
