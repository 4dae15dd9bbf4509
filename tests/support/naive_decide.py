"""The decision in time for one container, told with plain variables: the twin that the fast one must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from podlab.identify.early import UNKNOWN, WAITING, TriggerPolicy
from podlab.identify.novelty import NOVELTY_THRESHOLD


@dataclass(frozen=True)
class NaiveLook:
    """One look at one container; ``observed_s`` is None where no metrics came."""

    at_s: float
    best: int
    confidence: float
    novelty: float
    observed_s: float | None


def decide_naively(policy: TriggerPolicy, looks: Sequence[NaiveLook]) -> tuple[int, float | None, int]:
    """Give the service decided on, since when, and how often a decision was revised."""
    decided, since_s, revisions = WAITING, None, 0
    row: list[int] = []  # what looks in a row spoke for, since the last decision
    last_observed_s = -1.0
    for look in looks:
        new_evidence = look.observed_s is not None and look.observed_s > last_observed_s
        if new_evidence:
            last_observed_s = look.observed_s
            like = look.novelty <= (policy.revise_novelty if decided >= 0 else NOVELTY_THRESHOLD)
            said = look.best if like else UNKNOWN
            if decided == WAITING:
                speaks = like and look.confidence >= policy.confidence
                needed = policy.consecutive
            else:
                speaks = said != decided and (not like or look.confidence >= policy.revise_confidence)
                needed = policy.revise_consecutive
            if not speaks:
                row = []
            elif row and row[-1] != said:
                row = [said]
            else:
                row.append(said)
            if needed is not None and len(row) >= needed:
                revisions += decided != WAITING
                decided, since_s, row = said, look.at_s, []
        if decided == WAITING and look.at_s >= policy.timeout_s:
            decided, since_s, row = UNKNOWN, look.at_s, []
    return decided, since_s, revisions
