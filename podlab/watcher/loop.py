"""The watcher's round: update containers, fetch their samples, predict, decide, and announce."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import isnan, nan
from typing import Final

import numpy as np

from podlab.errors import PodlabError
from podlab.identify.behaviour import LEAST_OBSERVED_S
from podlab.identify.prediction import Prediction
from podlab.watcher.anomalies import AnomalyMonitor
from podlab.watcher.containers import (
    ContainerRegistry,
    DecisionRecord,
    DecisionTracker,
    PredictionSummary,
    TrackedContainer,
)
from podlab.watcher.notify import Notifier, Sink, StateStore, announce_decision
from podlab.watcher.runtime import Clock, Metrics, ReloadableModel, SourceHealth, WatcherOptions, give_back_memory
from podlab.watcher.samples import FetchResult, OpenSource, SampleArrays, SampleBuffer, SampleFetcher
from podlab.watcher.workloads import Since, WorkloadRegistry, announce_finding, read_claims

log = logging.getLogger(__name__)

#: Containers identified in one call, which bounds its memory.
_BATCH: Final = 250
#: Where new containers have no samples, this many others are queried, for this many last seconds.
_MOST_OTHERS: Final = 20
_RECENT_S: Final = 120.0
#: So many containers are fetched because somebody looks at them, for so long after the last look.
MOST_INSPECTED: Final = 8
_INSPECTED_S: Final = 60.0
#: Workloads as time series of their own: more would cost Prometheus more than they tell.
_MOST_SERIES: Final = 100


class Watcher:
    """Identifies containers as they start.

    Parameters
    ----------
    open_source : callable
        Opens the source of some metrics: those that the model reads.
    sinks : sequence of Sink
        In the order in which they get announcements.
    store : StateStore
        What was announced before.
    health : SourceHealth, optional
        Whether metrics come at all.
    interruptible : callable
        The context in which a query may be broken off.
    """

    def __init__(
        self,
        open_source: OpenSource,
        model: ReloadableModel,
        sinks: Sequence[Sink],
        store: StateStore,
        options: WatcherOptions,
        *,
        clock: Clock | None = None,
        health: SourceHealth | None = None,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.registry = ContainerRegistry()
        self.workloads = WorkloadRegistry(options.mismatch_rate)
        self.model = model
        self.options = options
        self.metrics = Metrics()
        #: Why the last queries failed.
        self.database_error: str | None = None
        #: When the last round ended, on the steady clock.
        self.last_round_s: float | None = None
        # Half of what a container waits: early enough that nothing is announced of the first of them.
        self.health = health or SourceHealth(options.policy.timeout_s / 2)
        self._store = store
        self._clock = clock or Clock()
        metrics = model.metrics(anomalies=options.anomalies)
        self._fetcher = SampleFetcher(open_source, metrics, options, self._clock, interruptible)
        self._notifier = Notifier(
            sinks, store, failed=lambda part, error: self.metrics.errors.labels(part).inc(),
            steady=self._clock.steady, per_s=options.announcements_per_s,
        )  # fmt: skip
        self._buffer = SampleBuffer(metrics)
        self._tracker = DecisionTracker(options)
        #: None: anomalies are not looked for.
        self.monitor = AnomalyMonitor(model.library, self._fetcher) if options.anomalies else None
        self._before_s = self._clock.steady()
        self._inspected: dict[int, tuple[TrackedContainer, float]] = {}
        self._inspecting = threading.Lock()

    @property
    def active(self) -> int:
        """How many containers are still checked."""
        return len(self._tracker.containers)

    @property
    def waiting(self) -> int:
        """How many announcements some sink has not got yet."""
        return self._notifier.waiting

    def close(self) -> None:
        """Let go of the source."""
        self._fetcher.source.close()

    def inspect(self, tracked: TrackedContainer) -> SampleBuffer:
        """Return the samples kept of a container, and fetch its new ones for a minute; from any thread.

        Of those that are not checked any more none are kept otherwise. At most :data:`MOST_INSPECTED` at a time.
        """
        with self._inspecting:
            self._inspected.pop(tracked.number, None)
            while len(self._inspected) >= MOST_INSPECTED:
                del self._inspected[next(iter(self._inspected))]
            self._inspected[tracked.number] = tracked, self._clock.steady()
        return self._buffer.of_one(tracked.number)

    def forget_gone(self) -> None:
        """Drop stored decisions on containers that are gone; to be called once all pods of the cluster are known."""
        self._store.keep({tracked.key for tracked in self.registry.containers()})

    def run_round(
        self,
        *,
        leading: bool = True,
        announced_before_s: float | None = None,
        proceed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Do one round.

        Parameters
        ----------
        leading : bool
            Whether this watcher announces; another one keeps its decisions for the day it has to.
        announced_before_s : float, optional
            If it does not: the leader has announced what was decided before this instant of the steady clock.
        proceed : callable
            Called between pieces of work; False ends the round early, and nothing is lost.
        """
        started_s = self._clock.steady()
        self._refresh_model()
        self._update_containers(started_s)
        due = [tracked for tracked in self._tracker.containers if tracked.next_check_s <= started_s]
        by_number = {tracked.number: tracked for tracked in due}
        fresh: set[int] = set()

        def take(samples: SampleArrays) -> None:
            self._buffer.add(samples)
            for number, at_s in samples.newest_s().items():
                tracked = by_number[number]
                if tracked.newest_s is None or at_s > tracked.newest_s:
                    tracked.newest_s = at_s
                    fresh.add(number)
            if self.monitor is not None:
                self.monitor.take(samples)

        until_s = started_s + self.options.fetch_budget_s
        fetched = self._fetcher.fetch(due, take, proceed=lambda: proceed() and self._clock.steady() <= until_s)
        self._note_health(due, fetched, bool(fresh), started_s)
        if proceed():
            self._decide(self._predict([tracked for tracked in due if tracked.number in fresh]), started_s)
            self._tracker.schedule(by_number.keys() - fetched.failed, started_s)
        self._announce_findings(started_s)
        self._announce(leading, announced_before_s, proceed)
        if fetched.error is None:
            self._fetch_inspected(by_number.keys() - fetched.failed, proceed)
        if self.monitor is not None:  # a decision does not wait for the samples of all others
            self._monitor_all(self.monitor, by_number.keys(), fetched.error is None, proceed)
            self._announce(leading, announced_before_s, proceed)
        self._before_s = started_s
        self._measure(started_s, leading)
        give_back_memory()

    def _looked_at(self, steady_s: float) -> list[TrackedContainer]:
        with self._inspecting:
            found = self._inspected.items()
            self._inspected = {number: each for number, each in found if steady_s - each[1] < _INSPECTED_S}
            return [tracked for tracked, _ in self._inspected.values()]

    def _fetch_inspected(self, had: Collection[int], proceed: Callable[[], bool]) -> None:
        """Fetch the samples of containers that somebody looks at, and that were not checked in this round."""
        them = [each for each in self._looked_at(self._clock.steady()) if each.number not in had]
        self._fetcher.fetch(
            them, self._buffer.add, proceed=proceed,
            newest_s=lambda each: self._buffer.of(np.array([each.number])).newest_s().get(each.number),
        )  # fmt: skip

    def _announce(self, leading: bool, announced_before_s: float | None, proceed: Callable[[], bool]) -> None:
        if leading:
            # Slow sinks may take a round's time, not more: the rest comes with the next one.
            until_s = self._clock.steady() + self.options.interval_s
            self._notifier.deliver(lambda: proceed() and self._clock.steady() <= until_s)
        elif announced_before_s is not None:
            self._notifier.leave_to_others(announced_before_s)

    def _refresh_model(self) -> None:
        before = self.model.identifier.services
        if self.model.refresh():
            self._tracker.renumber(before, self.model.identifier.services)
            containers = self.registry.containers()
            self._read_claims(containers)
            self._resume(containers)
            if self.monitor is not None:
                self.monitor.replace_model(self.model.library)
        metrics = self.model.metrics(anomalies=self.options.anomalies)
        if metrics != self._fetcher.metrics and self._fetcher.fetch_metrics(metrics):
            self._buffer.keep_metrics(metrics)

    def _update_containers(self, steady_s: float) -> None:
        """Add new containers, with what was announced of them before a restart; drop those that are gone."""
        new, gone, moved = self.registry.update(steady_s)
        for tracked in gone:
            self._notifier.forget(tracked.key)
        self._store.forget(tracked.key for tracked in gone)
        self._tracker.remove({tracked.number for tracked in gone})
        for tracked in new:
            tracked.decision = self._store.get(tracked.key)
        self._read_claims(new)
        self.workloads.remove([*gone, *(tracked for tracked, _ in moved)])
        for tracked, view in moved:
            tracked.view = view
        others = [tracked for tracked, _ in moved]
        self._read_claims(others)
        self.workloads.add([*new, *others])
        self._tracker.add([tracked for tracked in new if tracked.decision is None])
        self._resume([*new, *others])
        looked_at = [tracked.number for tracked in self._looked_at(steady_s)]
        self._buffer.keep(np.append(self._tracker.buffered(), np.array(looked_at, dtype=np.int64)))
        if self.monitor is not None:
            self.monitor.remove(gone)
            self.monitor.add(new)

    def _read_claims(self, containers: Sequence[TrackedContainer]) -> None:
        if self.options.claims:
            read_claims(containers, self.model.identifier.services, self.options.aliases)

    def _resume(self, containers: Sequence[TrackedContainer]) -> None:
        """Check containers further whose decision is of before a restart, or whose claim is another than before."""
        there = {tracked.number for tracked in self._tracker.containers} if containers else set()
        again = [
            tracked
            for tracked in containers
            if tracked.number not in there and tracked.decision is not None and self._is_open(tracked, tracked.decision)
        ]
        for tracked in again:
            decision = tracked.decision
            if decision is not None and decision.service is not None and not self._is_young(decision):
                tracked.check_gap_s = self.options.settle_s  # one check will do, of samples that are not kept
        self._tracker.resume(again, self.model.identifier.services)

    def _is_young(self, decision: DecisionRecord) -> bool:
        return self._clock.now() - decision.at_s < self.options.settle_s

    def _is_open(self, tracked: TrackedContainer, decision: DecisionRecord) -> bool:
        if decision.service is None:
            return True
        unchecked = tracked.claim is not None and isnan(tracked.claim_p_value)
        return (self._is_young(decision) or unchecked) and decision.service in self.model.identifier.services

    def _note_health(
        self, due: Sequence[TrackedContainer], fetched: FetchResult, fresh: bool, started_s: float
    ) -> None:
        """Note the state of the database; time without it, or without anything in it, does not count as waiting."""
        self._note_database(fetched)
        unseen = {each.number for each in due if each.newest_s is None and each.decision is None} - fetched.failed
        if fetched.error is not None:
            self.health.note(fetched.error, started_s)
        elif fresh:
            self.health.note(None, started_s)
        elif fetched.sent and unseen:
            self.health.note(self._why_nothing(due, started_s), started_s)
        unavailable = fetched.failed | (unseen if self.health.trouble is not None else set())
        for tracked in self._tracker.containers:
            if tracked.number in unavailable:
                tracked.unavailable_s += started_s - max(self._before_s, tracked.first_seen_s)

    def _why_nothing(self, due: Sequence[TrackedContainer], started_s: float) -> str | None:
        """Say why nothing came of these containers, if that is not because of them: others have nothing either."""
        source = self._fetcher.source.name
        why = f"{source}: nothing of any of the containers that run; podlab doctor looks for the reason"
        if not self.health.lasts(started_s):
            return why
        window_s = min(_RECENT_S, self.options.window_s)
        if any((tracked.newest_s or 0.0) >= self._clock.now() - window_s for tracked in due):
            return None
        due_numbers = {tracked.number for tracked in due}
        others = [
            tracked
            for tracked in self.registry.containers()
            if tracked.number not in due_numbers and tracked.view.state == "running"
        ]
        others = sorted(others, key=lambda tracked: tracked.newest_s or 0.0)[-_MOST_OTHERS:]
        found: list[SampleArrays] = []
        result = self._fetcher.fetch(others, found.append, newest_s=lambda _: None, window_s=window_s)
        return result.error or (None if found else why)

    def _note_database(self, fetched: FetchResult) -> None:
        if fetched.error is not None:
            level = logging.DEBUG if fetched.error == self.database_error else logging.WARNING
            log.log(level, "metrics cannot be fetched, and will be later: %s", fetched.error)
            self.metrics.errors.labels("database").inc()
        if fetched.sent:
            self.database_error = fetched.error

    def _monitor_all(
        self, monitor: AnomalyMonitor, had: Collection[int], available: bool, proceed: Callable[[], bool]
    ) -> None:
        """Score the new samples of all containers, and queue the announcements of anomalies."""
        # Containers that are not queried within a round's time are so in the next one: identification comes first.
        until_s = self._clock.steady() + self.options.interval_s
        self._note_database(monitor.run_round(had, lambda: available and proceed() and self._clock.steady() <= until_s))
        for announcement in monitor.announcements():
            self._notifier.put(announcement)
            self.metrics.anomalies.labels(announcement.service or "unknown", announcement.kind).inc()

    def _predict(self, containers: Sequence[TrackedContainer]) -> dict[int, Prediction]:
        """Ask the model about containers with new samples; returns predictions by number."""
        predictions: dict[int, Prediction] = {}
        for begin in range(0, len(containers), _BATCH):
            here, rows = self._buffer.rows_of(containers[begin : begin + _BATCH], self.options.cluster)
            try:
                found = self.model.identifier.identify(rows, p_values=self.options.claims)
            except PodlabError as error:
                log.warning("containers cannot be identified: %s", error)
                self.metrics.errors.labels("model").inc()
                continue
            for tracked, prediction in zip(here, found, strict=True):
                predictions[tracked.number] = prediction
                if prediction.candidates:
                    tracked.prediction = PredictionSummary.of(prediction)
                does = prediction.behaviour
                if tracked.behaviour is not None or (does is not None and does.is_miner_like):
                    tracked.behaviour = does if does is not None and does.is_miner_like else None
                    self.workloads.note(tracked)
                if tracked.claim is not None and prediction.seconds_observed >= LEAST_OBSERVED_S:
                    tracked.claim_p_value = prediction.p_values.get(tracked.claim, nan)
                    self.workloads.note(tracked)
        return predictions

    def _decide(self, predictions: dict[int, Prediction], steady_s: float) -> None:
        """Update every container's decision, and queue announcements of those that changed."""
        now_s, services = self._clock.now(), self.model.identifier.services
        for tracked, decision, waited_s in self._tracker.decide(predictions, services, steady_s):
            tracked.decision = DecisionRecord(
                tracked.key, decision.service, decision.reason, decision.revisions, now_s, waited_s,
                seen=tracked.prediction.pack() if tracked.prediction else b"",
            )  # fmt: skip
            self.workloads.note(tracked)
            if tracked.view.state == "ended" and decision.reason == "unseen":
                continue  # a life too short for a sample is not worth an announcement
            announcement = announce_decision(
                tracked, tracked.decision, cluster=self.options.cluster, decided_s=self._clock.steady()
            )
            self._notifier.put(announcement)
            self.metrics.decisions.labels(decision.service or "unknown", announcement.kind).inc()
            if not decision.revisions:
                self.metrics.decision_seconds.observe(waited_s)
        for tracked in self._tracker.containers:
            if tracked.decision is not None:
                tracked.prediction = None  # the decision contains it

    def _announce_findings(self, steady_s: float) -> None:
        """Judge workloads anew, and queue the announcements of claims that do not hold, and of what is like a miner."""
        now_s = self._clock.now()
        self.workloads.refresh(Since(steady_s, now_s))
        for kind, verdict, tracked, since_s in self.workloads.new_findings(steady_s):
            self._notifier.put(
                announce_finding(
                    kind, verdict, tracked, cluster=self.options.cluster, decided_s=self._clock.steady(), found_s=now_s,
                    since_s=since_s,
                )
            )  # fmt: skip

    def _measure(self, started_s: float, leading: bool) -> None:
        metrics, now_s = self.metrics, self._clock.now()
        tracked = self.registry.containers()
        decided = [each.decision for each in tracked if each.decision is not None]
        services = Counter(decision.service or "unknown" for decision in decided)
        known = len(decided) - services["unknown"]
        metrics.identified_containers.clear()
        for service, count in services.items():
            metrics.identified_containers.labels(service).set(count)
        metrics.containers.labels("not started").set(len(self.registry.not_started()))
        metrics.containers.labels("waiting").set(len(tracked) - len(decided))
        metrics.containers.labels("decided").set(known)
        metrics.containers.labels("unknown").set(len(decided) - known)
        for state, count in self.workloads.counts().items():
            metrics.workloads.labels(state).set(count)
        for said, count in self.workloads.claims().items():
            metrics.claims.labels(said).set(count)
        metrics.mismatch.clear()
        for verdict in self.workloads.mismatching(_MOST_SERIES):
            metrics.mismatch.labels(*verdict.key, verdict.claim).set(1)
        metrics.miner_like.clear()
        for score, verdict in self.workloads.miner_like(_MOST_SERIES):
            metrics.miner_like.labels(*verdict.key).set(score)
        metrics.disagreeing_replicas.clear()
        for verdict in self.workloads.disagreeing(_MOST_SERIES):
            metrics.disagreeing_replicas.labels(*verdict.key).set(verdict.disagreeing)
        metrics.announcements_waiting.set(self._notifier.waiting)
        metrics.source_healthy.set(self.health.trouble is None)
        metrics.history_rows.set(len(self._buffer))
        waiting = [each for each in self._tracker.containers if each.decision is None]
        newest_s = max((each.newest_s for each in waiting if each.newest_s is not None), default=nan)
        metrics.lag_seconds.set(now_s - newest_s)
        if self.monitor is not None:
            for state, count in self.monitor.counts().items():
                metrics.scored_containers.labels(state).set(count)
            metrics.scoring_lag_seconds.set(now_s - self.monitor.newest_s())
        metrics.leader.set(leading)
        metrics.model.clear()
        metrics.model.labels(self.model.name).set(1)
        metrics.model_refused.set(self.model.refused is not None)
        metrics.tick_seconds.observe(self._clock.steady() - started_s)
        metrics.last_tick.set(now_s)
        self.last_round_s = self._clock.steady()
