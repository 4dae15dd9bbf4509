"""Faults that a worker causes inside the service's container, or the service's own commands do."""

from __future__ import annotations

import math
import os

from lab.faults.target import WORKER, FaultTarget, between, marker, runs, stop
from lab.matrix import PlannedFault
from podlab.errors import PodlabError

#: Where a container without data writes: into its own layer.
_LAYER_FOLDER = "/var/tmp"  # noqa: S108 - in a container of the lab
_BLOCK_BYTES, _FILE_BYTES = 64 * 2**10, 48 * 2**20
_MOST_LEAKED_BYTES = 2**30
#: How long a service may take to end politely.
_STOP_S = 10


def work(fault: PlannedFault, target: FaultTarget, *settings: float | str) -> None:
    """Start a worker in the service's container, and wait until it does its work."""
    seconds = str(math.ceil(fault.seconds))
    task = ["work", marker(fault.kind), fault.kind, seconds, *(str(setting) for setting in settings)]
    # A first process that gave up root keeps its log from root without this right.
    right = ["--privileged"] if fault.kind == "error-flood" else []
    target.runtime.call(["exec", "--detach", *right, target.container, "perl", "-e", WORKER, *task])
    target.runtime.call(["exec", target.container, "perl", "-e", WORKER, "await", marker(fault.kind)])


def end_work(fault: PlannedFault, target: FaultTarget) -> None:
    """Stop the worker and remove what it wrote."""
    stop(fault.kind, target.runtime, target.container, _written_file(target))


def begin_cpu_hog(fault: PlannedFault, target: FaultTarget) -> None:
    """Ask for 0.4 to 1.5 of the container's CPU limit (or of the machine), by one to four processes."""
    limit = target.deployment.cpu_limit_cores or len(os.sched_getaffinity(0))
    cores = limit * (0.4 + 1.1 * fault.strength)
    work(fault, target, round(cores, 3), max(math.ceil(cores), 1 + round(3 * fault.strength)))


def begin_memory_leak(fault: PlannedFault, target: FaultTarget) -> None:
    """Leak half of the free memory, up to more than all of it: then the limit is hit again and again.

    Without a limit, a gibibyte counts as all.
    """
    work(fault, target, round(0.5 + 0.7 * fault.strength, 3), _MOST_LEAKED_BYTES)


def begin_process_leak(fault: PlannedFault, target: FaultTarget) -> None:
    """Leave 8 to 120 processes behind, one after the other, that do nothing and never end."""
    work(fault, target, round(between(8, 120, fault.strength)))


def _written_file(target: FaultTarget) -> str:
    """Name the file of the disk writes: beside the service's data where it has any."""
    return f"{target.service.data or _LAYER_FOLDER}/.podlab-fault"


def begin_disk_writes(fault: PlannedFault, target: FaultTarget) -> None:
    """Write and flush 2 to 40 MB/s, as far as the disk can."""
    work(fault, target, _written_file(target), round(between(2e6, 40e6, fault.strength)), _BLOCK_BYTES, _FILE_BYTES)


def begin_disk_reads(fault: PlannedFault, target: FaultTarget) -> None:
    """Read 5 to 120 MB/s past the page cache, as far as the disk can."""
    work(fault, target, round(between(5e6, 120e6, fault.strength)))


def begin_error_flood(fault: PlannedFault, target: FaultTarget) -> None:
    """Log 20 to 2000 lines of some 120 bytes a second."""
    work(fault, target, round(between(20, 2000, fault.strength)))


def begin_backup(fault: PlannedFault, target: FaultTarget) -> None:
    """Pack the service's data into one file, at gzip's efforts from 1 to 9."""
    work(fault, target, str(target.service.data), _written_file(target), 1 + round(8 * fault.strength))


def begin_cron_job(fault: PlannedFault, target: FaultTarget) -> None:
    """Walk through 300 to 6000 of the image's files and sum them up, every 10 seconds."""
    work(fault, target, round(between(300, 6000, fault.strength)), 10)


def begin_by_commands(fault: PlannedFault, target: FaultTarget) -> None:
    """Run the service's own commands, which know no strength."""
    target.runtime.execute(target.container, target.service.faults[fault.kind].begin)


def end_by_commands(fault: PlannedFault, target: FaultTarget) -> None:
    """Run the service's own commands, unless it has ended."""
    try:
        target.runtime.execute(target.container, target.service.faults[fault.kind].end)
    except PodlabError:
        if runs(target.runtime, target.container):
            raise


def begin_crash(fault: PlannedFault, target: FaultTarget) -> None:
    """Kill the container's first process, and so all of them."""
    target.runtime.call(["kill", "--signal", "KILL", target.container])


def begin_restart(fault: PlannedFault, target: FaultTarget) -> None:
    """End the service politely; whoever watches over it starts it again."""
    target.runtime.call(["stop", "--time", str(_STOP_S), target.container])


def end_nothing(fault: PlannedFault, target: FaultTarget) -> None:
    """Do nothing: a crash is over when the service runs again, which is not the fault's to do."""
