"""Probes a service by a command that runs in its container now and then, as exec probes of a cluster do.

The engine's own ``exec`` takes as much CPU time as a small service; this enters the container directly.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from lab.probe import Probe

#: The command takes its share of the container's CPU and memory: it joins its groups, then its namespaces.
_ENTER = (
    'pid=$1; shift; for group in "$@"; do echo $$ > "$group/cgroup.procs"; done; '
    "exec nsenter --target $pid --mount --uts --ipc --net --pid sh -c 'cat /proc/1/status /proc/loadavg > /dev/null'"
)
_TIMEOUT_S = 10.0


class ExecProbe:
    """Probes one container until it is stopped.

    Parameters
    ----------
    current : callable
        Gives the probe that samples the container now; a restarted service has another.
    period_s : float
        How often it probes.
    seed : int
        Decides how long after the start it begins.
    """

    def __init__(self, current: Callable[[], Probe], period_s: float, seed: int) -> None:
        self._current = current
        self._period_s = period_s
        self._first_s = period_s * random.Random(seed).random()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exec-probe", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; no command runs when this returns."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._ended.wait(wait_s):
            probe_once(self._current())
            wait_s = self._period_s


def probe_once(probe: Probe) -> None:
    """Run the command once; a container that has ended is not probed."""
    groups = {str(path) for path in vars(probe.groups).values() if isinstance(path, Path)}
    command = ["sh", "-c", _ENTER, "probe", str(probe.facts.pid), *sorted(groups)]
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S, check=False, start_new_session=True,
        )  # fmt: skip
