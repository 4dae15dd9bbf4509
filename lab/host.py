"""Makes the machine like another: with a busy neighbour, a slower disk, a share of its CPU.

Nothing outlives its session: the neighbour ends with the process that started it, disk limits are those of single
containers, and the next session lifts a CPU cap that a killed one left (:func:`cap_cpu` with None).
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.cgroups import Groups, disk_names
from podlab.errors import InputError, PodlabError

_PERIOD_US = 100_000
#: Groups that systemd's own services share with containers: a cap there would be on the whole machine.
_SHARED_GROUPS = ("system.slice", "user.slice")
_END_TIMEOUT_S = 10.0

#: Busy for a share of each tenth of a second, with pauses if asked, until its parent is gone.
_HOG = """
import os, sys, time
parent, share, burst_s, pause_s = int(sys.argv[1]), *map(float, sys.argv[2:])
begin_s = time.monotonic()
while os.getppid() == parent:
    period_s = time.monotonic()
    if pause_s == 0 or (period_s - begin_s) % (burst_s + pause_s) < burst_s:
        while time.monotonic() < period_s + 0.1 * share: pass
    time.sleep(max(0.0, period_s + 0.1 - time.monotonic()))
"""


class BusyNeighbour:
    """Takes CPU time of the machine, as another tenant does; a context manager.

    It runs in processes of its own, never takes more than it was asked to, and ends by itself when this process does,
    even if that is killed.

    Parameters
    ----------
    cores : float
        How much it takes while it is busy.
    burst_s, pause_s : float
        It is busy for so long and then rests for so long, over and over; without a pause it is always busy.
    """

    def __init__(self, cores: float, burst_s: float = 0.0, pause_s: float = 0.0) -> None:
        most = os.cpu_count() or 1
        if not 0 < cores <= most:
            raise InputError(f"a busy neighbour of {cores:g} cores cannot be", hint=f"choose above 0, up to {most}")
        self._processes: list[subprocess.Popen[bytes]] = []
        count = math.ceil(cores)
        self._arguments = [str(number) for number in (cores / count, burst_s, pause_s)]
        self._count = count

    def running(self) -> bool:
        """Tell whether it is there."""
        return any(process.poll() is None for process in self._processes)

    def start(self) -> None:
        """Begin; nothing happens if it has begun."""
        if self.running():
            return
        command = [sys.executable, "-c", _HOG, str(os.getpid()), *self._arguments]
        for _ in range(self._count):
            # Ctrl-C goes to podlab, which stops it.
            self._processes.append(subprocess.Popen(command, start_new_session=True))

    def stop(self) -> None:
        """End; it is gone when this returns."""
        for process in self._processes:
            process.kill()
            process.wait(_END_TIMEOUT_S)
        self._processes.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def disk_arguments(bytes_per_s: int, devices: Path = Path("/dev")) -> list[str]:
    """Write the engine's options that let a container read and write at most so many bytes each second.

    They hold from the container's first read on, under cgroup v1 and v2, and go with the container. A limit on the
    containers' common group would not do: v1 applies it to that group's own processes only. Under v1, writes that
    the kernel carries out later are not slowed.

    Parameters
    ----------
    bytes_per_s : int
        The limit, of each container and each direction by itself.
    devices : Path
        Where the device files are.
    """
    return [
        argument
        for name in disk_names()
        for option in ("--device-read-bps", "--device-write-bps")
        for argument in (option, f"{devices / name}:{bytes_per_s}")
    ]


def cap_cpu(groups: Groups, cores: float | None) -> None:
    """Let all containers of the engine together use at most so many cores.

    Under cgroup v1 a container whose own limit is above the cap cannot be started.

    Parameters
    ----------
    groups : Groups
        Any container's groups; the cap is on their parent.
    cores : float, optional
        The cap; None lifts it, also one that a killed session left.

    Raises
    ------
    PodlabError
        If the engine gives its containers no group of their own, or the cap cannot be set.
    """
    parent = groups.cpu.parent
    quota_us = None if cores is None else round(cores * _PERIOD_US)
    if groups.version == 1:
        file, text = parent / "cpu.cfs_quota_us", str(-1 if quota_us is None else quota_us)
    else:
        file, text = parent / "cpu.max", f"{'max' if quota_us is None else quota_us} {_PERIOD_US}"
    if cores is None:
        # Where it cannot be written, nothing was ever set.
        if parent.name not in _SHARED_GROUPS:
            with contextlib.suppress(OSError):
                file.write_text(text)
        return
    if parent.name in _SHARED_GROUPS:
        raise PodlabError(
            "containers share a control group with the system's services", where=str(parent),
            hint="set the engine's cgroup manager to cgroupfs, or take a site without a CPU share",
        )  # fmt: skip
    try:
        file.write_text(text)
    except OSError as error:
        raise PodlabError(f"the CPU share cannot be set: {error.strerror}", where=str(file)) from error
