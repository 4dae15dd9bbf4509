"""The watcher's round: who is new, what the database has of them, what the model says, what is decided and told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from podlab.errors import PodlabError
from podlab.identify.early import TriggerPolicy
from podlab.identify.prediction import Prediction
from podlab.sources.protocol import LiveSource
from podlab.watcher.announce import Announcer, Sink
from podlab.watcher.announcement import Announcement, DecisionAnnouncement
from podlab.watcher.cases import Case, Roster, Sight, Verdict
from podlab.watcher.docket import Docket, Pace
from podlab.watcher.gather import Asked, Gathered, ask, gather, samples_of
from podlab.watcher.history import History
from podlab.watcher.journal import Entry, Journal
from podlab.watcher.memory import give_back_memory
from podlab.watcher.metrics import Metrics
from podlab.watcher.model import ModelSlot
from podlab.watcher.monitor import Monitor
from podlab.watcher.source_health import SourceHealth

log = logging.getLogger(__name__)

#: So many containers are identified in one call, which bounds the memory of it.
_BATCH = 250
#: Where nothing comes of new containers, so many others are looked for, in so many last seconds.
_MOST_OTHERS = 20
_RECENT_S = 120.0


@dataclass(frozen=True)
class Clock:
    """Where time comes from.

    Attributes
    ----------
    now : callable
        Seconds since 1970.
    steady : callable
        Seconds that never go back.
    """

    now: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


class Watcher:
    """Identifies containers as they come.

    Parameters
    ----------
    source : LiveSource
        Samples.
    model : ModelSlot
    sinks : sequence of Sink
        In the order they are told.
    journal : Journal
        What was announced before.
    cluster : str
        This cluster's name.
    policy : TriggerPolicy
        When something is decided.
    pace : Pace
    clock : Clock
    metrics : Metrics, optional
    health : SourceHealth, optional
        Whether metrics come at all.
    anomalies : bool
        Whether to score the samples of all containers as well.
    all_pods : bool
        Whether the containers are all those that there are.

    Attributes
    ----------
    monitor : Monitor or None
        What does that.
    """

    def __init__(
        self,
        source: LiveSource,
        model: ModelSlot,
        sinks: Sequence[Sink],
        journal: Journal,
        *,
        cluster: str = "local",
        policy: TriggerPolicy | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        health: SourceHealth | None = None,
        anomalies: bool = False,
        all_pods: bool = False,
    ) -> None:
        self.roster = Roster()
        self.model = model
        self.cluster = cluster
        self.metrics = metrics or Metrics()
        self.database_error: str | None = None
        self.last_tick_s: float | None = None
        self._source = source
        policy = policy or TriggerPolicy()
        # Half of what a container is waited for: early enough that nothing is said of the first of them.
        self.health = health or SourceHealth(policy.timeout_s / 2)
        self._journal = journal
        self.pace = pace or Pace()
        self._clock = clock or Clock()
        self._announcer = Announcer(
            sinks, record=self._record, failed=self._sink_failed, steady=self._clock.steady,
            per_s=self.pace.told_per_s,
        )  # fmt: skip
        self._history = History()
        self._docket = Docket(policy, self.pace)
        self.monitor = (
            Monitor(model.library, cluster=cluster, steady=self._clock.steady, unnamed=all_pods) if anomalies else None
        )
        self._before_s = self._clock.steady()

    @property
    def active(self) -> int:
        """How many containers are still looked at."""
        return len(self._docket.cases)

    @property
    def waiting(self) -> int:
        """How many announcements some sink has not got yet."""
        return self._announcer.waiting

    def forget_gone(self) -> None:
        """Drop from the journal what is no more; to be called once all pods of the cluster were seen."""
        self._journal.keep({case.key for case in self.roster.cases()})

    def tick(
        self, *, leading: bool = True, told_before_s: float | None = None, proceed: Callable[[], bool] = lambda: True
    ) -> None:
        """Do one round.

        Parameters
        ----------
        leading : bool
            Whether this watcher announces; one that does not keeps its decisions for the day it has to.
        told_before_s : float, optional
            While it does not: what it decided before this instant of the steady clock, the leader has told.
        proceed : callable
            Asked between pieces of work; False ends the round early, nothing is lost.
        """
        started_s = self._clock.steady()
        self._renew_model()
        self._meet(started_s)
        due = [case for case in self._docket.cases if case.next_look_s <= started_s]
        gathered = gather(
            due, self._source, self._history,
            now_s=self._clock.now(), window_s=self.pace.window_s, cluster=self.cluster,
            proceed=lambda: proceed() and self._clock.steady() <= started_s + self.pace.asking_s,
            also=self.monitor.take if self.monitor is not None else None,
        )  # fmt: skip
        self._note(due, gathered, started_s)
        if proceed():
            self._decide(self._look([case for case in due if case.number in gathered.fresh]), started_s)
            self._docket.plan({case.number for case in due} - gathered.failed, started_s)
        self._tell(leading, told_before_s, proceed)
        if self.monitor is not None:  # a decision does not wait for the samples of everybody else
            self._watch_over(self.monitor, {case.number for case in due}, gathered.error is None, proceed)
            self._tell(leading, told_before_s, proceed)
        self._before_s = started_s
        self._measure(started_s, leading)
        give_back_memory()

    def _tell(self, leading: bool, told_before_s: float | None, proceed: Callable[[], bool]) -> None:
        if leading:
            # Sinks that are slow may take a round's time, not more: the rest comes with the next one.
            until_s = self._clock.steady() + self.pace.interval_s
            self._announcer.deliver(lambda: proceed() and self._clock.steady() <= until_s)
        elif told_before_s is not None:
            self._announcer.leave_to_others(told_before_s)

    def _renew_model(self) -> None:
        before = self.model.identifier.services
        if self.model.refresh():
            self._docket.renumber(before, self.model.identifier.services)
            if self.monitor is not None:
                self.monitor.renew(self.model.library)

    def _meet(self, steady_s: float) -> None:
        """Take in who is new, let go who is no more."""
        met, left = self.roster.take(steady_s)
        for case in left:
            self._announcer.forget(case.key)
        self._journal.forget(case.key for case in left)
        self._docket.dismiss({case.number for case in left})
        told = {case.number: entry for case in met if (entry := self._journal.get(case.key)) is not None}
        self._docket.admit([case for case in met if case.number not in told])
        resumed = [case for case in met if case.number in told and self._resume(case, told[case.number])]
        self._docket.resume(resumed, [told[case.number] for case in resumed], self.model.identifier.services)
        self._history.keep(self._docket.remembered())
        if self.monitor is not None:
            self.monitor.leave(case.number for case in left)
            alarms_s = {number: entry.alarm_s for number, entry in told.items() if entry.alarm_s is not None}
            self.monitor.meet(met, alarms_s)

    def _resume(self, case: Case, entry: Entry) -> bool:
        """Go on where the watcher was before its restart; whether the container is still to be looked at."""
        case.verdict = Verdict(
            entry.service, entry.reason, entry.revisions, entry.at_s, entry.waited_s, entry.seen
        )  # fmt: skip
        if entry.service is None:
            return True
        young = self._clock.now() - entry.at_s < self.pace.settle_s
        return young and entry.service in self.model.identifier.services

    def _note(self, due: Sequence[Case], gathered: Gathered, started_s: float) -> None:
        """Remember how the database does; time without it, or without anything in it, counts as no waiting."""
        self._note_database(gathered)
        unseen = {c.number for c in due if c.newest_s is None and c.verdict is None} - gathered.failed
        if gathered.error is not None:
            self.health.note(gathered.error, started_s)
        elif gathered.fresh:
            self.health.note(None, started_s)
        elif gathered.asked and unseen:
            self.health.note(self._why_nothing(due, started_s), started_s)
        blind = gathered.failed | (unseen if self.health.trouble is not None else set())
        for case in self._docket.cases:
            if case.number in blind:
                case.blind_s += started_s - max(self._before_s, case.met_s)

    def _why_nothing(self, due: Sequence[Case], started_s: float) -> str | None:
        """Say why nothing came of these containers, where it is not because of them: others have nothing either."""
        why = f"{self._source.name}: nothing of any of the containers that run; podlab doctor looks for the reason"
        if not self.health.lasts(started_s):
            return why
        asked = {case.number for case in due}
        others = [
            case for case in self.roster.cases() if case.number not in asked and case.container.state == "running"
        ]
        others = sorted(others, key=lambda case: case.newest_s or 0.0)[-_MOST_OTHERS:]
        matched: list[pd.DataFrame] = []
        went = ask(
            others, dict.fromkeys((case.number for case in others), None), self._source, matched.append,
            now_s=self._clock.now(), window_s=min(_RECENT_S, self.pace.window_s), cluster=self.cluster,
        )  # fmt: skip
        return went.error or (None if matched else why)

    def _note_database(self, asked: Asked) -> None:
        if asked.error is not None:
            level = logging.DEBUG if asked.error == self.database_error else logging.WARNING
            log.log(level, "metrics cannot be fetched, and will be later: %s", asked.error)
            self.metrics.errors.labels("database").inc()
        if asked.asked:
            self.database_error = asked.error

    def _watch_over(self, monitor: Monitor, had: set[int], ask: bool, proceed: Callable[[], bool]) -> None:
        """Score what is new of all containers, and have told which are anomalous."""
        # Who was not asked for within a round's time is so in the next one: identifying goes first.
        until_s = self._clock.steady() + self.pace.interval_s
        went = monitor.round(
            had, self._source, now_s=self._clock.now(), window_s=self.pace.window_s,
            proceed=lambda: ask and proceed() and self._clock.steady() <= until_s,
        )  # fmt: skip
        self._note_database(went)
        for news in monitor.news():
            self._announcer.put(news)
            self.metrics.anomalies.labels(news.service or "unknown", news.kind).inc()

    def _look(self, fresh: Sequence[Case]) -> dict[int, Prediction]:
        """Ask the model about the containers with new samples; answers by number."""
        answers: dict[int, Prediction] = {}
        for begin_at in range(0, len(fresh), _BATCH):
            by_number = {case.number: case for case in fresh[begin_at : begin_at + _BATCH]}
            rows = self._history.of(np.array(list(by_number), dtype=np.int64))
            numbers = rows["number"].unique().tolist()
            try:
                cases = [by_number[number] for number in numbers]
                said = self.model.identifier.identify(samples_of(rows, cases, self.cluster))
            except PodlabError as error:
                log.warning("containers cannot be identified: %s", error)
                self.metrics.errors.labels("model").inc()
                continue
            for number, answer in zip(numbers, said, strict=True):
                answers[number] = answer
                if answer.candidates:
                    by_number[number].sight = Sight.of(answer)
        return answers

    def _decide(self, answers: dict[int, Prediction], steady_s: float) -> None:
        """Move every container's decision on, and have told what changed."""
        now_s = self._clock.now()
        for case, decision, waited_s in self._docket.decide(answers, self.model.identifier.services, steady_s):
            seen = case.sight.pack() if case.sight else b""
            case.verdict = Verdict(decision.service, decision.reason, decision.revisions, now_s, waited_s, seen)
            if case.container.state == "ended" and decision.reason == "unseen":
                continue  # a life too short for a sample is nothing to tell of
            news = DecisionAnnouncement(
                case.key, case.container, case.started_at, self.cluster, self._clock.steady(), case.verdict
            )
            self._announcer.put(news)
            self.metrics.decisions.labels(decision.service or "unknown", news.kind).inc()
            if not decision.revisions:
                self.metrics.seconds_to_decision.observe(waited_s)
        for case in self._docket.cases:
            if case.verdict is not None:
                case.sight = None  # the verdict has it

    def _record(self, told: list[Announcement]) -> None:
        kept: dict[str, Entry] = {}
        for announcement in told:
            entry = announcement.entry(kept.get(announcement.key) or self._journal.get(announcement.key))
            if entry is not None:
                kept[entry.key] = entry
        try:
            self._journal.record(kept.values())
        except PodlabError as error:
            log.warning("announcements are remembered only until a restart: %s", error)
            self.metrics.errors.labels("state").inc()

    def _sink_failed(self, name: str, error: PodlabError) -> None:
        log.warning("the sink %s fails, and will be tried again: %s", name, error)
        self.metrics.errors.labels(f"sink {name}").inc()

    def _measure(self, started_s: float, leading: bool) -> None:
        metrics, now_s = self.metrics, self._clock.now()
        verdicts = [case.verdict for case in self.roster.cases()]
        decided = [verdict for verdict in verdicts if verdict is not None]
        known = sum(verdict.service is not None for verdict in decided)
        metrics.containers.labels("not started").set(len(self.roster.not_started()))
        metrics.containers.labels("waiting").set(len(verdicts) - len(decided))
        metrics.containers.labels("decided").set(known)
        metrics.containers.labels("unknown").set(len(decided) - known)
        metrics.announcements_waiting.set(self._announcer.waiting)
        metrics.history_rows.set(len(self._history))
        newest = [case.newest_s for case in self._docket.cases if case.verdict is None and case.newest_s is not None]
        metrics.lag_seconds.set(now_s - max(newest, default=nan))
        if self.monitor is not None:
            self.monitor.measure(metrics, now_s)
        metrics.leader.set(leading)
        metrics.model.clear()
        metrics.model.labels(self.model.name).set(1)
        metrics.model_refused.set(self.model.refused is not None)
        metrics.tick_seconds.observe(self._clock.steady() - started_s)
        metrics.last_tick.set(now_s)
        self.last_tick_s = self._clock.steady()
