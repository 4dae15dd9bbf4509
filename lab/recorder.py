"""Records a matrix: some deployments at a time, each kept as it ends."""

from __future__ import annotations

import math
import queue
import threading
import traceback
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from lab.clock import RecorderClock, SystemClock
from lab.life import INTERVAL_S, Starter, Stopped, record_life
from lab.matrix import Deployment
from lab.parts import Parts
from lab.probe import ContainerDiedError
from podlab.data.units import format_duration
from podlab.errors import InputError, PodlabError
from podlab.progress import Progress

#: The first deployments start this far apart, so that their births do not fall together.
_STAGGER_S = 2.0
#: What a deployment takes beside its recorded seconds: its start, an earlier run of some, its removal.
_OVERHEAD_S = 20.0


def record(
    parts: Parts,
    *,
    start: Starter,
    parallel: int = 6,
    clock: RecorderClock | None = None,
    progress: Progress | None = None,
    budget_s: float | None = None,
) -> None:
    """Record every deployment that is missing in a recording's parts.

    Parameters
    ----------
    parts : Parts
        The matrix, and where its parts go.
    start : callable
        Starts a deployment at a place from 0 on; :meth:`lab.deploy.Lab.start`.
    parallel : int
        How many run at once.
    clock : RecorderClock, optional
        The machine's by default.
    progress : Progress, optional
        Told after each deployment, by the thread that recorded it: how many are settled (finished or dropped), of how
        many, and the time left.
    budget_s : float, optional
        No deployment is started that could not end within so many seconds from now.

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
    deadline_s = math.inf if budget_s is None else time.monotonic_s() + budget_s

    def work(index: int, deployment: Deployment) -> None:
        if index < parallel:
            _wait(time, index * _STAGGER_S, stopping)
        place = places.get()
        try:
            _record_until_settled(deployment, place, parts, start, time, stopping, deadline_s)
        finally:
            places.put(place)
        if progress is not None and not stopping.is_set():
            _report(progress, parts, parallel)

    with ThreadPoolExecutor(parallel, thread_name_prefix="lab") as pool:
        futures = [pool.submit(work, index, deployment) for index, deployment in enumerate(parts.missing())]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            stopping.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _report(progress: Progress, parts: Parts, parallel: int) -> None:
    """Tell how far the recording is; drops and retries to come are not foreseen in the time left."""
    to_come = parts.missing()
    total, missing = len(parts.matrix), len(to_come)
    dropped = total - missing - len(parts.finished())
    left_s = sum(deployment.seconds + _OVERHEAD_S for deployment in to_come) / parallel
    left = format_duration(math.ceil(left_s)) if missing else "none"
    progress(total - missing, total, f"time left {left}" + (f", {dropped} dropped" if dropped else ""))


def _record_until_settled(
    deployment: Deployment,
    place: int,
    parts: Parts,
    start: Starter,
    clock: RecorderClock,
    stopping: threading.Event,
    deadline_s: float,
) -> None:
    """Record one deployment, again if it dies and there is time, and keep what came of it."""
    while not parts.settled(deployment) and clock.monotonic_s() + deployment.seconds + _OVERHEAD_S <= deadline_s:
        try:
            life = record_life(deployment, place, start, clock, stopping)
        except Stopped:
            return
        except InputError:
            raise
        except ContainerDiedError as error:
            parts.keep_death(deployment, str(error), error.log_tail)
        except PodlabError as error:
            parts.keep_death(deployment, str(error), [])
        except Exception as error:  # noqa: BLE001 - hours of others' recording must not end with one deployment
            parts.keep_death(deployment, repr(error), traceback.format_exc().splitlines())
        else:
            parts.keep(deployment, life)


def _wait(clock: RecorderClock, seconds: float, stopping: threading.Event) -> None:
    """Wait in short steps, so that a stop is heard."""
    end_s = clock.monotonic_s() + seconds
    while not stopping.is_set() and (left_s := end_s - clock.monotonic_s()) > 0:
        clock.wait(min(left_s, INTERVAL_S))
