"""Verdicts on the workloads of the tracked containers: what their replicas are together, and is it what they claim.

A mismatch of claim and behaviour is announced once for each workload, when it has lasted. Nothing is ever done about
it: behaviour is evidence, not proof, and a container ended for it would be an outage that podlab made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import isnan, nan
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from podlab.data.labels import claims_of
from podlab.identify.behaviour import most_miner_like
from podlab.identify.claims import adjust_p_values, combine_p_values
from podlab.identify.workload import pool_replicas
from podlab.watcher.containers import TrackedContainer, describe, to_iso
from podlab.watcher.notify import Announcement

#: What is told of a workload, once each.
FindingKind = Literal["mismatch", "miner-like"]

#: Of the replicas that disagree, so many are named.
_MOST_NAMED: Final = 5
#: A finding is announced when it has lasted for so long: p-values of the first seconds change with each sample.
LASTING_S: Final = 60.0


class WorkloadKey(NamedTuple):
    """A workload (``Kind/name`` of the controller), and the name of a container in its pods."""

    namespace: str
    workload: str
    container: str


class WorkloadVerdict(msgspec.Struct, frozen=True, gc=False):
    """What the replicas of a workload are together."""

    key: WorkloadKey
    #: Containers, and those of them on which there is a decision that rests on metrics.
    replicas: int
    decided: int
    #: What they are; None: unknown, or nothing is decided.
    service: str | None
    confidence: float  # probability of the service by the evidence of all replicas
    disagreeing: int  # replicas on which the decision is another
    named: tuple[tuple[str, str], ...]  # pods of some of them, and what these are
    #: The service that its containers claim to run, of several the one that they fit least; None: none that the model
    #: knows.
    claim: str | None = None
    #: Of that claim, by all replicas together; NaN where it cannot be told.
    p_value: float = nan
    #: The highest score of a replica that is miner-like, and what it does.
    miner: tuple[float, str] | None = None

    @property
    def state(self) -> str:
        """``waiting``, ``disagreeing``, ``unknown`` or ``agreeing``."""
        if not self.decided:
            return "waiting"
        return "disagreeing" if self.disagreeing else "unknown" if self.service is None else "agreeing"

    def to_json(self) -> dict[str, object]:
        """Describe it as JSON values, named as in ``podlab identify --by workload --json``."""
        return {
            **self.key._asdict(), "state": self.state, "replicas": self.replicas, "decided": self.decided,
            "service": self.service, "confidence": round(self.confidence, 6), "disagreeing": self.disagreeing,
            "named": [{"pod": pod, "service": service} for pod, service in self.named], "claim": self.claim,
            "p_value": None if isnan(self.p_value) else float(f"{self.p_value:.4g}"),
            "miner_score": self.miner[0] if self.miner else None, "behaviour": self.miner[1] if self.miner else None,
        }  # fmt: skip


class Since(NamedTuple):
    """An instant on the steady clock, and in seconds since 1970."""

    steady_s: float
    at_s: float


STATES: Final = ("agreeing", "disagreeing", "unknown", "waiting")


class WorkloadRegistry:
    """The workloads of all tracked containers; verdicts are made anew only where a replica changed.

    Parameters
    ----------
    mismatch_rate : float
        Share of the mismatches that may be false.
    """

    def __init__(self, mismatch_rate: float) -> None:
        #: As of the last :meth:`refresh`, which replaces it, so that other threads may read it.
        self.verdicts: dict[WorkloadKey, WorkloadVerdict] = {}
        #: Workloads that do not behave like what they claim to be, and those that work like miners, and since when;
        #: replaced likewise.
        self.mismatches: dict[WorkloadKey, Since] = {}
        self.miners: dict[WorkloadKey, Since] = {}
        self._rate = mismatch_rate
        self._members: dict[WorkloadKey, dict[int, TrackedContainer]] = {}
        self._stale: set[WorkloadKey] = set()
        #: What was told of each, with the claim that did not hold.
        self._announced: dict[WorkloadKey, set[tuple[FindingKind, str | None]]] = {}

    def add(self, containers: Iterable[TrackedContainer]) -> None:
        """Add new containers."""
        for tracked in containers:
            key = key_of(tracked)
            self._members.setdefault(key, {})[tracked.number] = tracked
            self._stale.add(key)

    def remove(self, containers: Iterable[TrackedContainer]) -> None:
        """Remove containers that are gone; a workload without any is forgotten."""
        for tracked in containers:
            key = key_of(tracked)
            members = self._members.get(key, {})
            members.pop(tracked.number, None)
            if not members:
                self._members.pop(key, None)
            self._stale.add(key)

    def note(self, tracked: TrackedContainer) -> None:
        """Note another decision on a container."""
        self._stale.add(key_of(tracked))

    def refresh(self, now: Since) -> None:
        """Make the verdicts that changed anew, and over all of them which claims do not hold."""
        if not self._stale:
            return
        verdicts = dict(self.verdicts)
        for key in self._stale:
            members = self._members.get(key)
            if members:
                verdicts[key] = _judge(key, list(members.values()))
            else:
                verdicts.pop(key, None)
                self._announced.pop(key, None)
        self._stale.clear()
        self.verdicts = verdicts
        checked = [each for each in verdicts.values() if not isnan(each.p_value)]
        adjusted = adjust_p_values([each.p_value for each in checked])
        found = [checked[number].key for number in np.flatnonzero(adjusted <= self._rate)]
        self.mismatches = {key: self.mismatches.get(key, now) for key in found}
        self.miners = {each.key: self.miners.get(each.key, now) for each in verdicts.values() if each.miner}

    def new_findings(self, steady_s: float) -> list[tuple[FindingKind, WorkloadVerdict, TrackedContainer, float]]:
        """Give what to announce, each once: which replica fits its claim least, or is most like a miner, since when."""
        found: list[tuple[FindingKind, WorkloadVerdict, TrackedContainer, float]] = []
        findings: tuple[tuple[FindingKind, dict[WorkloadKey, Since], Callable[[TrackedContainer], float]], ...] = (
            ("mismatch", self.mismatches, _rank), ("miner-like", self.miners, lambda each: -_miner_score(each)),
        )  # fmt: skip
        for kind, listed, rank in findings:
            for key, since in listed.items():
                told = self._announced.setdefault(key, set())
                claim = self.verdicts[key].claim if kind == "mismatch" else None
                if steady_s - since.steady_s >= LASTING_S and (kind, claim) not in told:
                    told.add((kind, claim))
                    own = [each for each in self._members[key].values() if claim in (None, each.claim)]
                    worst = min(own, key=lambda each: (rank(each), each.view.pod))
                    found.append((kind, self.verdicts[key], worst, since.at_s))
        return found

    def describe(self, verdict: WorkloadVerdict) -> dict[str, object]:
        """Describe a workload as JSON values, with the verdict on its claim; from any thread."""
        since, miner = self.mismatches.get(verdict.key), self.miners.get(verdict.key)
        said = "mismatch" if since else "cannot tell" if isnan(verdict.p_value) else "consistent"
        own = {"mismatch_since": since and to_iso(since.at_s), "miner_since": miner and to_iso(miner.at_s)}
        return {**verdict.to_json(), "verdict": said, **own}

    def counts(self) -> dict[str, int]:
        """Count workloads by state."""
        found = dict.fromkeys(STATES, 0)
        for verdict in self.verdicts.values():
            found[verdict.state] += 1
        return found

    def claims(self) -> dict[str, int]:
        """Count the verdicts on claims."""
        checked = sum(not isnan(each.p_value) for each in self.verdicts.values())
        mismatches = len(self.mismatches)
        return {
            "consistent": checked - mismatches, "mismatch": mismatches, "cannot tell": len(self.verdicts) - checked,
        }  # fmt: skip

    def mismatching(self, most: int) -> list[WorkloadVerdict]:
        """List the mismatches, those with the lowest p-values first."""
        found = [self.verdicts[key] for key in self.mismatches]
        return sorted(found, key=lambda each: (each.p_value, each.key))[:most]

    def miner_like(self, most: int) -> list[tuple[float, WorkloadVerdict]]:
        """List the workloads that are like miners with their scores, the highest first."""
        found = [(verdict.miner[0], verdict) for key in self.miners if (verdict := self.verdicts[key]).miner]
        return sorted(found, key=lambda each: (-each[0], each[1].key))[:most]

    def disagreeing(self, most: int) -> list[WorkloadVerdict]:
        """List workloads whose replicas disagree, those with most such replicas first."""
        found = [each for each in self.verdicts.values() if each.disagreeing]
        return sorted(found, key=lambda each: (-each.disagreeing, each.key))[:most]


def key_of(tracked: TrackedContainer) -> WorkloadKey:
    """Name the workload of a container."""
    view = tracked.view
    return WorkloadKey(view.namespace, view.workload or f"Pod/{view.pod}", view.container)


def read_claims(containers: Sequence[TrackedContainer], services: Sequence[str], aliases: dict[str, str]) -> None:
    """Note of containers what they claim to be, by their pod's label or their image, where the model knows that."""
    if not containers:
        return
    views = [tracked.view for tracked in containers]
    alike = Counter((view.pod_uid, view.app, view.image, view.container) for view in views)
    who = pd.DataFrame(list(alike), columns=["pod_uid", "app", "image", "container"])
    labels = [{"app.kubernetes.io/name": app} if app else {} for app in who["app"]]
    image, pod_labels = who["image"].replace("", None), pd.Series(labels, dtype=object)
    who = who.assign(pod=who["pod_uid"], image=image, pod_labels=pod_labels)
    claims = claims_of(who, services, aliases=aliases)["claim"].tolist()
    said = dict(zip(alike, claims, strict=True))
    for tracked, view in zip(containers, views, strict=True):
        claim = said[view.pod_uid, view.app, view.image, view.container]
        claim = claim if claim in services else None
        if claim != tracked.claim:  # what an earlier model said of the same claim stands until the next check
            tracked.claim, tracked.claim_p_value = claim, nan


def _rank(tracked: TrackedContainer) -> float:
    return 1.0 if isnan(tracked.claim_p_value) else tracked.claim_p_value


def _miner_score(tracked: TrackedContainer) -> float:
    return tracked.behaviour.miner_score if tracked.behaviour else 0.0


def _judge(key: WorkloadKey, replicas: list[TrackedContainer]) -> WorkloadVerdict:
    seen = [
        (tracked.view.pod, tracked.decision.service, dict(prediction.candidates))
        for tracked in replicas
        if tracked.decision is not None and (prediction := tracked.decision.prediction) is not None
    ]
    by_claim: dict[str, list[float]] = {}
    for tracked in replicas:
        if tracked.claim is not None:
            own = by_claim.setdefault(tracked.claim, [])
            own += [] if isnan(tracked.claim_p_value) else [tracked.claim_p_value]
    # Of several claims each counts (Bonferroni): a replica with another label must not hide what the others are.
    tested = [(min(1.0, len(by_claim) * combine_p_values(own)), claim) for claim, own in by_claim.items() if own]
    p_value, claim = min(tested, default=(nan, min(by_claim, default=None)))
    does = most_miner_like(each.behaviour for each in replicas)
    miner = None if does is None else (round(does.miner_score, 4), does.text)
    if not seen:
        return WorkloadVerdict(key, len(replicas), 0, None, 0.0, 0, (), claim, p_value, miner)
    services = sorted({name for *_, candidates in seen for name in candidates})
    pooled = pool_replicas(np.array([[candidates.get(name, 0.0) for name in services] for *_, candidates in seen]))
    best = int(pooled.argmax())
    mostly_unknown = 2 * sum(service is None for _, service, _ in seen) > len(seen)
    service = None if mostly_unknown else services[best]
    others = [(pod, own or "unknown") for pod, own, _ in seen if own != service]
    return WorkloadVerdict(
        key, len(replicas), len(seen), service, float(pooled[best]), len(others), tuple(others[:_MOST_NAMED]),
        claim, p_value, miner,
    )  # fmt: skip


def announce_finding(
    kind: FindingKind, verdict: WorkloadVerdict, container: TrackedContainer, *, cluster: str, decided_s: float,
    found_s: float, since_s: float,
) -> Announcement:  # fmt: skip
    """Make the announcement, told of one of its containers, that a workload does not behave like what it claims to be.

    Or, of the kind ``miner-like``, that it works like a miner. Nothing of it is stored: Events remember it for an hour.
    """
    claim, replicas = verdict.claim, verdict.replicas
    score, does = verdict.miner or (0.0, "")
    values: dict[str, float | int | str] = {"replicas": replicas}
    if kind == "miner-like":
        said = f"claims to be {claim}" if claim else "claims no known service"
        content, values["score"] = "miner-like", score
        message = f"{said} and works {does} (score {score:.2f})"
    else:
        like = f"like {verdict.service} (confidence {verdict.confidence:.0%})" if verdict.service else "like none known"
        many = "1 replica" if replicas == 1 else f"{replicas} replicas"
        content = f"mismatch {claim}"
        values |= {"claim": str(claim), "p_value": verdict.p_value}
        message = f"claims to be {claim} and behaves {like}; {many}, p-value {verdict.p_value:.1g}"
    since = "miner_since" if kind == "miner-like" else "mismatch_since"
    return Announcement(
        container=container, cluster=cluster, decided_s=decided_s, kind=kind, content=content, values=values,
        topic="miner" if kind == "miner-like" else "claim", service=verdict.service, at_s=found_s,
        message=f"{verdict.key.workload}, container {verdict.key.container}: {message}",
        details=lambda: {
            **describe(container.view, cluster, container.started_at, None), **verdict.to_json(), since: to_iso(since_s)
        },
        measurement="podlab_miner_like" if kind == "miner-like" else "podlab_mismatch",
    )  # fmt: skip
