"""Faults by the container's own limits: less CPU time, less memory, or none at all for a while.

CPU and memory limits are written to the control group, since podman can lower a limit but not take it away again.
"""

from __future__ import annotations

import errno
import time
from pathlib import Path

from lab.cgroups import Groups, find_groups, read_counters
from lab.faults.target import FaultTarget, between
from lab.matrix import PlannedFault
from podlab.errors import PodlabError

#: How long it is watched what a service takes.
_MEASURED_S = 2.0
_LIMITS = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}"
#: The kernel takes no smaller quota.
_LEAST_QUOTA_US = 1000
#: cgroup v1 refuses a limit that it cannot reach at once: then a little more is tried.
_ATTEMPTS, _ATTEMPT_FACTOR = 12, 1.1


def begin_cpu_throttle(fault: PlannedFault, target: FaultTarget) -> None:
    """Cut the CPU limit to between 0.8 and 0.15 of what the service takes just now, to half the limit at most."""
    groups = _living_groups(target)
    begin_s, begin_ns = time.monotonic(), _cpu_ns(groups)
    time.sleep(_MEASURED_S)
    taken_cores = (_cpu_ns(groups) - begin_ns) / 1e9 / (time.monotonic() - begin_s)
    cores = between(0.8, 0.15, fault.strength) * taken_cores
    limit_cores = _limits(target)[0]
    _limit_cpu(groups, cores if limit_cores is None else min(cores, limit_cores / 2))


def _cpu_ns(groups: Groups) -> int:
    try:
        return read_counters(groups)["cpu_usage_core_nanoseconds"]
    except FileNotFoundError as error:
        raise PodlabError("has ended", where=str(groups.cpu)) from error


def end_cpu_throttle(fault: PlannedFault, target: FaultTarget) -> None:
    """Set the CPU limit to what it was, unless the instance has ended."""
    groups = _groups(target)
    if groups is not None:
        _limit_cpu(groups, _limits(target)[0])


def _limit_cpu(groups: Groups, cores: float | None) -> None:
    if groups.version == 1:
        period_us = int((groups.cpu / "cpu.cfs_period_us").read_text())
        quota_us = -1 if cores is None else max(_LEAST_QUOTA_US, round(cores * period_us))
        _write(groups.cpu / "cpu.cfs_quota_us", str(quota_us))
    else:
        period_us = int((groups.cpu / "cpu.max").read_text().split()[1])
        quota = "max" if cores is None else str(max(_LEAST_QUOTA_US, round(cores * period_us)))
        _write(groups.cpu / "cpu.max", f"{quota} {period_us}")


def begin_memory_cut(fault: PlannedFault, target: FaultTarget) -> None:
    """Cut the memory limit to between 2 and 1.1 of what is held: page cache goes, and growth fails."""
    groups = _living_groups(target)
    limit = _held_bytes(groups) * between(2.0, 1.1, fault.strength)
    limit_bytes = _limits(target)[1]
    limit = limit if limit_bytes is None else min(limit, limit_bytes)
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            _write(_memory_limit(groups), str(round(limit)))
        except PodlabError as error:
            refused = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EBUSY
            if not refused or not attempts_left:
                raise
            limit *= _ATTEMPT_FACTOR
        else:
            return


def _held_bytes(groups: Groups) -> int:
    """Read what the kernel cannot take back: the processes' own memory, what they share, and its own for them."""
    keys = ("total_rss", "total_shmem") if groups.version == 1 else ("anon", "shmem", "kernel")
    statistics = dict(line.split() for line in (groups.memory / "memory.stat").read_text().splitlines())
    held = sum(int(statistics.get(key, 0)) for key in keys)
    kernel = groups.memory / "memory.kmem.usage_in_bytes"  # version 1 tells it apart, where it counts it
    return held + (int(kernel.read_text()) if kernel.exists() else 0)


def end_memory_cut(fault: PlannedFault, target: FaultTarget) -> None:
    """Set the memory limit to what it was, unless the instance has ended."""
    groups = _groups(target)
    if groups is None:
        return
    limit_bytes = _limits(target)[1]
    none = "-1" if groups.version == 1 else "max"
    _write(_memory_limit(groups), none if limit_bytes is None else str(limit_bytes))


def _memory_limit(groups: Groups) -> Path:
    return groups.memory / ("memory.limit_in_bytes" if groups.version == 1 else "memory.max")


def begin_stall(fault: PlannedFault, target: FaultTarget) -> None:
    """Freeze all processes of the container; a stall knows no strength."""
    target.runtime.call(["pause", target.container])


def end_stall(fault: PlannedFault, target: FaultTarget) -> None:
    """Let them go on, unless they do or the instance has ended."""
    try:
        target.runtime.call(["unpause", target.container])
    except PodlabError:
        if _is_paused(target):
            raise


def _is_paused(target: FaultTarget) -> bool:
    try:
        said = target.runtime.call(["inspect", "--format", "{{.State.Status}}", target.container])
    except PodlabError:
        return False
    return said.strip() == "paused"


def _limits(target: FaultTarget) -> tuple[float | None, int | None]:
    """Ask the engine for the limits that the container was made with: cores and bytes, None for none."""
    said = target.runtime.call(["inspect", "--format", _LIMITS, target.container])
    billionths, limit_bytes = (int(number) for number in said.split())
    return billionths / 1e9 or None, limit_bytes or None


def _groups(target: FaultTarget) -> Groups | None:
    """Find the instance's control groups; None if it has ended."""
    try:
        if target.pid <= 0 or target.runtime.facts(target.container).pid != target.pid:
            return None
        return find_groups(Path(f"/proc/{target.pid}/cgroup").read_text())
    except (OSError, PodlabError):
        return None


def _living_groups(target: FaultTarget) -> Groups:
    groups = _groups(target)
    if groups is None:
        raise PodlabError("has ended", where=target.container)
    return groups


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except FileNotFoundError:
        return  # it ended meanwhile, and its groups with it
    except OSError as error:
        raise PodlabError(f"cannot be set to {text}: {error.strerror}", where=str(path)) from error
