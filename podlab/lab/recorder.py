"""Records a matrix: some deployments at a time, each sampled every second from birth, each kept as it ends."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from podlab.errors import InputError, PodlabError
from podlab.lab.clock import Clock, SystemClock
from podlab.lab.deploy import StopReport
from podlab.lab.matrix import Deployment
from podlab.lab.parts import Parts
from podlab.lab.probe import ContainerDiedError
from podlab.progress import Progress
from podlab.samples import check_samples
from podlab.units import format_duration

INTERVAL_S = 1.0
#: The first deployments start this far apart, so that their births do not fall together.
_STAGGER_S = 2.0
#: What a deployment takes beside its recorded seconds; for the time left only.
_OVERHEAD_S = 6.0
_SAMPLER_NICENESS = -10


class Sampler(Protocol):
    """Takes one container's samples."""

    def sample(self, now: datetime) -> dict[str, Any]:
        """Read the metric columns; raises ContainerDiedError when the container is gone."""


class Running(Protocol):
    """A started deployment, as :class:`podlab.lab.deploy.RunningDeployment` is one."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Columns that all rows share."""

    @property
    def probe(self) -> Sampler:
        """Takes the samples."""

    def stop(self) -> StopReport:
        """Remove it."""


Starter = Callable[[Deployment, int], Running]


class _Stopped(Exception):  # noqa: N818 - no error: the recording was asked to stop
    """The recording is being stopped."""


def record(
    parts: Parts,
    *,
    start: Starter,
    seconds: int = 180,
    parallel: int = 6,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> None:
    """Record every deployment that is missing in a recording's parts.

    Parameters
    ----------
    parts : Parts
        The matrix, and where its parts go.
    start : callable
        Starts a deployment at a place from 0 on; :meth:`podlab.lab.deploy.Lab.start`.
    seconds : int
        How long each deployment is sampled.
    parallel : int
        How many run at once.
    clock : Clock, optional
        The machine's by default.
    progress : Progress, optional
        Told after each deployment, by the thread that recorded it: how many are settled (finished or dropped), of how
        many, and the time left.

    Raises
    ------
    InputError
        If the folder of parts belongs to another matrix, or cannot be written.
    KeyboardInterrupt
        As it came, after all containers are removed; a later call continues.
    """
    time = clock or SystemClock()
    parts.claim()
    places: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(parallel):
        places.put(place)
    stopping = threading.Event()

    def work(index: int, deployment: Deployment) -> None:
        if index < parallel:
            _wait(time, index * _STAGGER_S, stopping)
        place = places.get()
        try:
            _record_until_settled(deployment, place, parts, start, seconds, time, stopping)
        finally:
            places.put(place)
        if progress is not None and not stopping.is_set():
            _report(progress, parts, seconds, parallel)

    with ThreadPoolExecutor(parallel, thread_name_prefix="lab") as pool:
        futures = [pool.submit(work, index, deployment) for index, deployment in enumerate(parts.missing())]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _report(progress: Progress, parts: Parts, seconds: int, parallel: int) -> None:
    """Tell how far the recording is; drops and retries to come are not foreseen in the time left."""
    total, missing = len(parts.matrix), len(parts.missing())
    dropped = total - missing - len(parts.finished())
    left = format_duration(math.ceil(missing * (seconds + _OVERHEAD_S) / parallel)) if missing else "none"
    progress(total - missing, total, f"time left {left}" + (f", {dropped} dropped" if dropped else ""))


def _record_until_settled(
    deployment: Deployment,
    place: int,
    parts: Parts,
    start: Starter,
    seconds: int,
    clock: Clock,
    stopping: threading.Event,
) -> None:
    """Record one deployment, again if it dies, and keep what came of it."""
    while not parts.settled(deployment):
        try:
            samples, report = _record_once(deployment, place, start, seconds, clock, stopping)
        except _Stopped:
            return
        except InputError:
            raise
        except ContainerDiedError as error:
            parts.keep_death(deployment, str(error), error.log_tail)
        except PodlabError as error:
            parts.keep_death(deployment, str(error), [])
        else:
            parts.keep(deployment, samples, report.load)


def _record_once(
    deployment: Deployment, place: int, start: Starter, seconds: int, clock: Clock, stopping: threading.Event
) -> tuple[pd.DataFrame, StopReport]:
    if stopping.is_set():
        raise _Stopped
    running = start(deployment, place)
    rows: list[dict[str, Any]] = []
    death = ""
    try:
        with _raised_priority():
            _sample(running, seconds, clock, stopping, rows)
    except ContainerDiedError as error:
        death = f"after {len(rows)} samples: {error}"
    finally:
        report = running.stop()
    if not death and not _load_arrived(deployment, report):
        death = f"the load never reached it: {report.load.get('last_error', 'no report')}"
    if death:
        raise ContainerDiedError(death, report.log_tail)
    return check_samples(pd.DataFrame(rows).assign(**running.identity), where=deployment.name), report


def _load_arrived(deployment: Deployment, report: StopReport) -> bool:
    """Tell whether the service answered at all, and whether requests came through where there should be some."""
    if report.load.get("ready_after_s") is None:
        return False
    return deployment.pattern == "idle" or report.load.get("requests", 0) > 0


def _sample(
    running: Running, seconds: int, clock: Clock, stopping: threading.Event, rows: list[dict[str, Any]]
) -> None:
    """Sample on a grid of seconds from now on; an instant that was missed stays missed."""
    begin_s = clock.monotonic_s()
    due_s = 0.0
    while due_s < seconds:
        rows.append(running.probe.sample(clock.now()))
        elapsed_s = clock.monotonic_s() - begin_s
        due_s = max(due_s + INTERVAL_S, elapsed_s // INTERVAL_S * INTERVAL_S)
        clock.wait(begin_s + due_s - clock.monotonic_s())
        if stopping.is_set():
            raise _Stopped


def _wait(clock: Clock, seconds: float, stopping: threading.Event) -> None:
    """Wait in short steps, so that a stop is heard."""
    end_s = clock.monotonic_s() + seconds
    while not stopping.is_set() and (left_s := end_s - clock.monotonic_s()) > 0:
        clock.wait(min(left_s, INTERVAL_S))


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
