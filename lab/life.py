"""One deployment's life: sampled every second from birth to its end, with the faults that were planned for it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lab import faults
from lab.clock import RecorderClock
from lab.deploy import StopReport
from lab.matrix import Deployment, PlannedFault
from lab.probe import ContainerDiedError
from podlab.data.samples import check_samples

INTERVAL_S = 1.0
_SAMPLER_NICENESS = -10
#: A service that a fault has killed is started again so often.
_MOST_RESTARTS = 3
#: As a cluster waits before it does so.
_RESTART_AFTER_S = 2.0


class Sampler(Protocol):
    """Takes one container's samples."""

    def sample(self, now: datetime) -> dict[str, Any]:
        """Read the metric columns; raises ContainerDiedError when the container is gone."""


class Running(Protocol):
    """A started deployment, as :class:`lab.deploy.RunningDeployment` is one."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Columns that all rows share."""

    @property
    def probe(self) -> Sampler:
        """Takes the samples."""

    def begin_fault(self, fault: PlannedFault) -> None:
        """Begin a fault."""

    def end_fault(self, fault: PlannedFault) -> None:
        """End it; also where its service has ended."""

    def restart(self) -> None:
        """Start the ended service again, with another start time and another probe."""

    def stop(self) -> StopReport:
        """Remove it."""


Starter = Callable[[Deployment, int], Running]


class Stopped(Exception):  # noqa: N818 - no error: the recording was asked to stop
    """The recording is being stopped."""


@dataclass(frozen=True)
class FaultEvent:
    """One fault, or one normal event, as it was.

    Attributes
    ----------
    fault : PlannedFault
        What was planned.
    begin, end : datetime
        Just before it was begun, and just after it was over.
    """

    fault: PlannedFault
    begin: datetime
    end: datetime


@dataclass(frozen=True)
class RecordedLife:
    """What came of a deployment that lived to its end.

    Attributes
    ----------
    samples : DataFrame
        The samples table, with ``anomaly`` and ``anomaly_kind``.
    load : Mapping
        The load client's last report.
    events : list of FaultEvent
        In the order of their begins.
    restarts : int
        How often its service ended in a fault and was started again.
    """

    samples: pd.DataFrame
    load: Mapping[str, Any]
    events: list[FaultEvent]
    restarts: int


def record_life(
    deployment: Deployment,
    place: int,
    start: Starter,
    clock: RecorderClock,
    stopping: threading.Event,
    beside: Executor | None = None,
) -> RecordedLife:
    """Start a deployment, sample it to its end and remove it.

    Parameters
    ----------
    deployment : Deployment
        What to start.
    place : int
        Where; see :meth:`lab.deploy.Lab.start`.
    start : callable
        Starts it.
    clock : RecorderClock
        Tells the time and waits.
    stopping : threading.Event
        Set when the recording is asked to stop.
    beside : Executor, optional
        Begins and ends faults one after the other, beside the sampling; a thread by default. It is shut down.

    Raises
    ------
    Stopped
        If it was asked to stop; the deployment is removed.
    ContainerDiedError
        If the service ended (but not by a fault of its own), or was never loaded; the deployment is removed.
    """
    if stopping.is_set():
        raise Stopped
    running = start(deployment, place)
    # A thread inherits its maker's priority, and what it starts inherits it again: faults must not get the sampler's.
    worker = beside or ThreadPoolExecutor(1, thread_name_prefix="fault", initializer=_lower_priority)
    schedule = _Schedule(running, deployment.faults, clock, worker)
    sampling = _Sampling(running, deployment.seconds, schedule, clock, stopping)
    death = ""
    try:
        with _raised_priority():
            sampling.run()
    except ContainerDiedError as error:
        death = f"after {len(sampling.rows)} samples: {error}"
    finally:
        report = running.stop()
    if not death and not _load_arrived(report):
        death = f"the load never reached it: {report.load.get('last_error', 'no report')}"
    if death:
        raise ContainerDiedError(death, report.log_tail)
    identity = {key: value for key, value in running.identity.items() if key != "started_at"}
    samples = pd.DataFrame(sampling.rows).assign(**identity)
    events = schedule.events
    return RecordedLife(
        check_samples(mark_faults(samples, events), where=deployment.name), report.load, events, sampling.restarts
    )


def mark_faults(samples: pd.DataFrame, events: list[FaultEvent]) -> pd.DataFrame:
    """Add the columns ``anomaly`` and ``anomaly_kind``: from an event's begin to its end, its kind.

    ``anomaly`` is true in a fault only; a normal event that looks like one has a kind as well.
    """
    anomaly = np.zeros(len(samples), dtype=bool)
    kinds = np.full(len(samples), None, dtype=object)
    for event in events:
        inside = ((samples["time"] >= event.begin) & (samples["time"] <= event.end)).to_numpy()
        anomaly |= inside & faults.is_fault(event.fault.kind)
        kinds[inside] = event.fault.kind
    return samples.assign(anomaly=anomaly, anomaly_kind=pd.Series(kinds, dtype="str", index=samples.index))


def _load_arrived(report: StopReport) -> bool:
    """Tell whether the service answered at all, and whether any of the requests came through."""
    if report.load.get("ready_after_s") is None:
        return False
    # At a low rate, it may be that nobody has asked yet.
    return bool(report.load.get("requests", 0) > 0 or report.load.get("errors", 0) == 0)


class _Schedule:
    """Begins and ends a deployment's faults beside its sampling, which they must not hold up."""

    def __init__(
        self, running: Running, planned: tuple[PlannedFault, ...], clock: RecorderClock, worker: Executor
    ) -> None:
        self.events: list[FaultEvent] = []
        self._running = running
        self._clock = clock
        self._due = [
            entry
            for fault in planned
            for entry in ((fault.begin_s, self._begin, fault), (fault.begin_s + fault.seconds, self._end, fault))
        ]
        self._begun: dict[PlannedFault, datetime] = {}
        self._worker = worker
        self._calls: list[Future[None]] = []

    @property
    def has_begun(self) -> bool:
        """Tell whether any fault was begun."""
        return bool(self._calls)

    def tick(self, elapsed_s: float) -> None:
        """Call whatever is due by now; raise what an earlier call raised."""
        for call in self._calls:
            if call.done():
                call.result()
        while self._due and self._due[0][0] <= elapsed_s:
            _, action, fault = self._due.pop(0)
            self._calls.append(self._worker.submit(action, fault))

    def call(self, action: Callable[[], None]) -> None:
        """Do something after the calls that were made, and wait for it."""
        self._worker.submit(action).result()

    def close(self) -> None:
        """Wait for the calls, and end what was begun but not ended."""
        self._worker.shutdown(wait=True)
        for fault in self._begun:
            self._running.end_fault(fault)
        for call in self._calls:
            call.result()

    def _begin(self, fault: PlannedFault) -> None:
        self._begun[fault] = self._clock.now()
        self._running.begin_fault(fault)

    def _end(self, fault: PlannedFault) -> None:
        self._running.end_fault(fault)
        self.events.append(FaultEvent(fault, self._begun.pop(fault), self._clock.now()))


class _Sampling:
    """Takes the samples of one deployment."""

    def __init__(
        self, running: Running, seconds: int, schedule: _Schedule, clock: RecorderClock, stopping: threading.Event
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.restarts = 0
        self.schedule = schedule
        self._running = running
        self._seconds = seconds
        self._clock = clock
        self._stopping = stopping

    def run(self) -> None:
        """Sample on a grid of seconds from now on; an instant that was missed stays missed."""
        begin_s = self._clock.monotonic_s()
        due_s = 0.0
        try:
            while due_s < self._seconds:
                self._sample()
                elapsed_s = self._clock.monotonic_s() - begin_s
                self.schedule.tick(elapsed_s)
                due_s = max(due_s + INTERVAL_S, elapsed_s // INTERVAL_S * INTERVAL_S)
                self._clock.wait(begin_s + due_s - self._clock.monotonic_s())
                if self._stopping.is_set():
                    raise Stopped
        finally:
            self.schedule.close()

    def _sample(self) -> None:
        try:
            row = self._running.probe.sample(self._clock.now())
        except ContainerDiedError:
            if not self.schedule.has_begun or self.restarts == _MOST_RESTARTS:
                raise
            self.restarts += 1
            self._clock.wait(_RESTART_AFTER_S)
            self.schedule.call(self._running.restart)
            row = self._running.probe.sample(self._clock.now())
        self.rows.append(row | {"started_at": self._running.identity["started_at"]})


@contextlib.contextmanager
def _raised_priority() -> Iterator[None]:
    """Let the calling thread run before the services it samples, where the system allows it."""
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, thread, _SAMPLER_NICENESS)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, before)


def _lower_priority() -> None:
    thread = threading.get_native_id()
    # Whoever may not raise it has not raised it, and could not set it back.
    if os.getpriority(os.PRIO_PROCESS, thread) < 0:
        os.setpriority(os.PRIO_PROCESS, thread, 0)
