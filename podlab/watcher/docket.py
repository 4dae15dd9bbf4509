"""The containers that are looked at: where the decision on each stands, and when it is looked at again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from podlab.identify.early import (
    UNKNOWN,
    WAITING,
    Decision,
    DecisionStates,
    PredictionArrays,
    TriggerPolicy,
    initial_states,
    prediction_arrays,
    to_decisions,
    update_states,
)
from podlab.identify.prediction import Prediction
from podlab.watcher.cases import Case
from podlab.watcher.journal import Entry

#: The first gap between looks at a decided container, in rounds; from look to look it grows by the same factor.
_SLOWER = 2.0


@dataclass(frozen=True)
class Pace:
    """How often, how long, how far back; in seconds.

    Attributes
    ----------
    interval_s : float
        From one round to the next.
    settle_s : float
        So long after it was met, a container that was recognised is not looked at any more, and one that was not only
        each ``settle_s``.
    window_s : float
        How far back samples are caught up with.
    asking_s : float
        After so long a round asks the database nothing more: a slow one must not make the watcher look stuck. Who was
        not asked for is so in the next round.
    told_per_s : float
        Announcements each second, at most. A watcher that is new in a large cluster has something to tell of all
        containers at once, and the API server has other work.
    """

    interval_s: float = 10.0
    settle_s: float = 600.0
    window_s: float = 600.0
    asking_s: float = 60.0
    told_per_s: float = 100.0


class Docket:
    """Containers with their decisions, side by side.

    A container is looked at in every round until something is decided; then ever more seldom, but in every round again
    while looks contradict what was decided.

    Parameters
    ----------
    policy : TriggerPolicy
    pace : Pace

    Attributes
    ----------
    cases : list of Case
        Those that are looked at.
    """

    def __init__(self, policy: TriggerPolicy, pace: Pace) -> None:
        self.cases: list[Case] = []
        self._policy = policy
        self._pace = pace
        self._state = initial_states(0)

    def admit(self, cases: Sequence[Case]) -> None:
        """Take in new containers, waiting."""
        self.cases += cases
        self._state = self._state.add(len(cases))

    def resume(self, cases: Sequence[Case], entries: Sequence[Entry], services: Sequence[str]) -> None:
        """Take in containers of which something was announced before a restart."""
        place = {service: number for number, service in enumerate(services)}
        numbers = [UNKNOWN if entry.service is None else place[entry.service] for entry in entries]
        waited_s = np.array([entry.waited_s for entry in entries], dtype=np.float64)
        told = replace(
            initial_states(len(cases)),
            service=np.array(numbers, dtype=np.int64),
            first_s=waited_s,
            since_s=waited_s,
            revisions=np.array([entry.revisions for entry in entries], dtype=np.int64),
        )
        self.cases += cases
        names = [field.name for field in fields(DecisionStates)]
        joined = {name: np.concatenate([getattr(self._state, name), getattr(told, name)]) for name in names}
        self._state = DecisionStates(**joined)

    def dismiss(self, numbers: Collection[int]) -> None:
        """Let containers go."""
        if numbers:
            self._keep([row for row, case in enumerate(self.cases) if case.number not in numbers])

    def renumber(self, before: Sequence[str], after: Sequence[str]) -> None:
        """Change to another model's services: what was decided stands, and looks are counted anew.

        A container decided to be a service that the new model does not know is let go: no look could confirm it.
        """
        place = {service: number for number, service in enumerate(after)}
        moved = np.array([place.get(service, WAITING) for service in before], dtype=np.int64)
        decided = self._state.service >= 0
        service = self._state.service.copy()
        service[decided] = moved[service[decided]]
        none = np.zeros(service.size, dtype=np.int64)
        self._state = replace(self._state, service=service, said=none + WAITING, streak=none)
        self._keep(np.flatnonzero(~(decided & (service == WAITING))).tolist())

    def decide(
        self, answers: dict[int, Prediction], services: Sequence[str], steady_s: float
    ) -> list[tuple[Case, Decision, float]]:
        """Take looks into account.

        Parameters
        ----------
        answers : dict of int to Prediction
            By number of the case; the others only wait.
        services : sequence of str
            The model's.
        steady_s : float
            Now, on the steady clock.

        Returns
        -------
        list of (Case, Decision, float)
            Those of which something else is decided now, with how long they were waited for.
        """
        waited_s = np.array([steady_s - case.met_s - case.blind_s for case in self.cases])
        before = self._state.service
        self._state = update_states(self._state, self._policy, waited_s, self._looks(answers, services))
        changed = np.flatnonzero(self._state.service != before)
        decisions = to_decisions(self._state.take(changed), services)
        return [
            (self.cases[row], decision, float(waited_s[row]))
            for row, decision in zip(changed.tolist(), decisions, strict=True)
        ]

    def plan(self, looked_at: Collection[int], steady_s: float) -> None:
        """Say when the containers that were looked at are so again; let go whom no look would change any more.

        Parameters
        ----------
        looked_at : collection of int
            Numbers of the cases whose samples came.
        steady_s : float
            Now, on the steady clock.
        """
        settled = set()
        rows = zip(self.cases, self._state.service.tolist(), self._state.streak.tolist(), strict=True)
        for case, service, streak in rows:
            if case.number not in looked_at:
                continue  # its time has not come, or it is asked for again in the next round
            age_s = steady_s - case.met_s - case.blind_s
            if service == WAITING or streak:
                case.gap_s = 0.0
                continue
            if age_s >= self._pace.settle_s and service != UNKNOWN:
                settled.add(case.number)
            slower_s = _SLOWER * max(self._pace.interval_s, case.gap_s)
            case.gap_s = self._pace.settle_s if age_s >= self._pace.settle_s else slower_s
            case.next_look_s = steady_s + case.gap_s
        self.dismiss(settled)

    def remembered(self) -> NDArray[np.int64]:
        """Numbers of the cases whose samples are worth keeping until the next look."""
        slow_s = self._pace.settle_s
        return np.array([case.number for case in self.cases if case.gap_s < slow_s], dtype=np.int64)

    def _looks(self, answers: dict[int, Prediction], services: Sequence[str]) -> PredictionArrays:
        rows = [row for row, case in enumerate(self.cases) if case.number in answers]
        said = prediction_arrays([answers[self.cases[row].number] for row in rows], services)
        count = len(self.cases)
        looks = PredictionArrays(np.zeros(count, np.int64), np.zeros(count), np.ones(count), np.full(count, np.nan))
        for field in fields(PredictionArrays):
            getattr(looks, field.name)[rows] = getattr(said, field.name)
        return looks

    def _keep(self, rows: Iterable[int]) -> None:
        kept = list(rows)
        self.cases = [self.cases[row] for row in kept]
        self._state = self._state.take(np.array(kept, dtype=np.int64))
