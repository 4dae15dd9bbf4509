"""Counters of one container's control groups, under cgroup v1, the hybrid layout and v2.

Formulas are the kubelet's (cAdvisor): working set = usage - inactive file pages, never below 0; v1 memory numbers
are those of the whole subtree (``total_``); v2 ``anon`` stands for v1 ``total_rss``; threads are what the pids
controller counts. What a kernel does not tell is left out, never 0.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
#: Above any disk's speed: a limit that never slows anything but makes v1 count the I/O.
_NO_REAL_LIMIT_BYTES_PER_S = 10_000_000_000_000
_RESOURCES = ("cpu", "memory", "io")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Groups:
    """Where one container's counters are.

    Attributes
    ----------
    cpu, cpuacct, memory, io : Path
        Its folder for each; on cgroup v2 the same one.
    pids : Path, optional
        Its folder of the pids controller, where that is used.
    unified : Path, optional
        Its own v2 group: on v2 the same again. On hybrid hosts it has no controllers, but tells pressure and CPU
        times; runc makes it beside the v1 groups and removes it with them.
    version : int
        1 or 2 (hybrid hosts keep their controllers in v1).
    """

    cpu: Path
    cpuacct: Path
    memory: Path
    io: Path
    pids: Path | None
    unified: Path | None
    version: int


def find_groups(proc_cgroup: str, root: Path = CGROUP_ROOT) -> Groups:
    """Find a process's groups.

    Parameters
    ----------
    proc_cgroup : str
        Content of ``/proc/PID/cgroup``.
    root : Path
        Where the control group file systems are mounted.

    Raises
    ------
    ValueError
        If the text names neither the v1 controllers nor a v2 group.
    """
    paths: dict[str, str] = {}
    for line in proc_cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    if all(name in paths for name in ("cpu", "cpuacct", "memory", "blkio")):
        cpu, cpuacct, memory, io = (root / name / paths[name] for name in ("cpu", "cpuacct", "memory", "blkio"))
        return Groups(
            cpu, cpuacct, memory, io,
            pids=root / "pids" / paths["pids"] if "pids" in paths else None,
            # The root group's counters are the whole machine's.
            unified=root / "unified" / paths[""] if paths.get("") else None,
            version=1,
        )  # fmt: skip
    if "" in paths:
        group = root / paths[""]
        return Groups(group, group, group, group, pids=group, unified=group, version=2)
    raise ValueError("neither cgroup v1 controllers nor a v2 group")


def process_ids(groups: Groups) -> list[int]:
    """List the container's processes.

    Raises
    ------
    FileNotFoundError
        If the container is gone.
    """
    return [int(line) for line in (groups.memory / "cgroup.procs").read_text().split()]


def read_counters(groups: Groups) -> dict[str, int]:
    """Read threads, CPU, memory, I/O and pressure of a container.

    Returns
    -------
    dict of str to int
        By samples column; a column whose file the kernel does not have is left out, and throttling is where there
        is no CPU limit.

    Raises
    ------
    FileNotFoundError
        If the container is gone.
    """
    values = _read_v1(groups) if groups.version == 1 else _read_v2(groups)
    if groups.pids is not None and (threads := _read_if_there(groups.pids / "pids.current")) is not None:
        values["threads"] = int(threads)
    if groups.unified is not None:
        for resource in _RESOURCES:
            text = _read_if_there(groups.unified / f"{resource}.pressure")
            values |= pressure(text, resource) if text is not None else {}
    return values


def _read_v1(groups: Groups) -> dict[str, int]:
    values = {"cpu_usage_core_nanoseconds": int((groups.cpuacct / "cpuacct.usage").read_text())}
    # Microseconds where a v2 group tells them, as on v2 hosts; v1 counts hundredths of a second.
    times = _read_if_there(groups.unified / "cpu.stat") if groups.unified is not None else None
    values |= cpu_times_v2(times) if times is not None else cpu_times_v1((groups.cpuacct / "cpuacct.stat").read_text())
    if int(_read_if_there(groups.cpu / "cpu.cfs_quota_us") or -1) > 0:
        values |= throttling((groups.cpu / "cpu.stat").read_text())
    usage = int((groups.memory / "memory.usage_in_bytes").read_text())
    values |= memory_v1((groups.memory / "memory.stat").read_text(), usage)
    for column, file in (
        ("memory_kernel_bytes", "memory.kmem.usage_in_bytes"),
        ("memory_limit_hits", "memory.failcnt"),
    ):
        text = _read_if_there(groups.memory / file)
        values |= {column: int(text)} if text is not None else {}
    values |= _pick(_read_if_there(groups.memory / "memory.oom_control"), {"oom_kill": "oom_events"})
    for file, columns in (
        ("io_service_bytes", ("io_read_bytes", "io_write_bytes")),
        ("io_serviced", ("io_read_operations", "io_write_operations")),
    ):
        text = _read_if_there(groups.io / f"blkio.throttle.{file}_recursive")
        values |= io_v1(text, columns) if text is not None else {}
    return values


def _read_v2(groups: Groups) -> dict[str, int]:
    cpu = (groups.cpu / "cpu.stat").read_text()
    values = cpu_v2(cpu) | cpu_times_v2(cpu)
    if not (_read_if_there(groups.cpu / "cpu.max") or "max").startswith("max"):
        values |= throttling(cpu)
    usage = int((groups.memory / "memory.current").read_text())
    values |= memory_v2((groups.memory / "memory.stat").read_text(), usage)
    swap = _read_if_there(groups.memory / "memory.swap.current")
    values |= {"memory_swap_bytes": int(swap)} if swap is not None else {}
    events = {"max": "memory_limit_hits", "oom_kill": "oom_events"}
    values |= _pick(_read_if_there(groups.memory / "memory.events"), events)
    io_text = _read_if_there(groups.io / "io.stat")
    return values | (io_v2(io_text) if io_text is not None else {})


def memory_v1(stat: str, usage_bytes: int) -> dict[str, int]:
    """Memory columns from v1 ``memory.stat`` and ``memory.usage_in_bytes``."""
    fields = _fields(stat)
    return _memory(
        usage_bytes,
        fields["total_inactive_file"],
        fields["total_rss"],
        fields["total_pgfault"],
        fields["total_pgmajfault"],
    ) | _pick(
        stat,
        {
            "total_cache": "memory_cache_bytes",
            "total_mapped_file": "memory_mapped_file_bytes",
            "total_swap": "memory_swap_bytes",
        },
    )


def memory_v2(stat: str, usage_bytes: int) -> dict[str, int]:
    """Memory columns from v2 ``memory.stat`` and ``memory.current``."""
    fields = _fields(stat)
    return _memory(
        usage_bytes, fields["inactive_file"], fields["anon"], fields["pgfault"], fields["pgmajfault"]
    ) | _pick(
        stat,
        {
            "file": "memory_cache_bytes",
            "file_mapped": "memory_mapped_file_bytes",
            "kernel": "memory_kernel_bytes",
        },
    )


def _memory(usage: int, inactive_file: int, rss: int, faults: int, major_faults: int) -> dict[str, int]:
    return {
        "memory_usage_bytes": usage,
        "memory_working_set_bytes": max(0, usage - inactive_file),
        "memory_rss_bytes": rss,
        "memory_page_faults": faults,
        "memory_major_page_faults": major_faults,
    }


def cpu_v2(stat: str) -> dict[str, int]:
    """CPU column from v2 ``cpu.stat``, whose unit is the microsecond."""
    return {"cpu_usage_core_nanoseconds": _fields(stat)["usage_usec"] * 1000}


def cpu_times_v1(stat: str) -> dict[str, int]:
    """User and system time from v1 ``cpuacct.stat``, whose unit is the clock tick."""
    fields = _fields(stat)
    return _cpu_times(fields["user"] * _TICK_NS, fields["system"] * _TICK_NS)


def cpu_times_v2(stat: str) -> dict[str, int]:
    """User and system time from v2 ``cpu.stat``."""
    fields = _fields(stat)
    if "user_usec" not in fields:
        return {}
    return _cpu_times(fields["user_usec"] * 1000, fields["system_usec"] * 1000)


def _cpu_times(user_ns: int, system_ns: int) -> dict[str, int]:
    return {"cpu_user_core_nanoseconds": user_ns, "cpu_system_core_nanoseconds": system_ns}


def throttling(stat: str) -> dict[str, int]:
    """Throttling columns from ``cpu.stat`` of either version; v1 counts nanoseconds, v2 microseconds."""
    fields = _fields(stat)
    if "nr_periods" not in fields:
        return {}
    throttled_ns = fields["throttled_usec"] * 1000 if "throttled_usec" in fields else fields["throttled_time"]
    return {
        "cpu_periods": fields["nr_periods"],
        "cpu_throttled_periods": fields["nr_throttled"],
        "cpu_throttled_nanoseconds": throttled_ns,
    }


def pressure(text: str, resource: str) -> dict[str, int]:
    """Pressure columns of one resource: ``some`` of its processes waited, or all were stalled (``full``).

    Parameters
    ----------
    text : str
        Content of ``cpu.pressure``, ``memory.pressure`` or ``io.pressure``: totals in microseconds.
    resource : {"cpu", "memory", "io"}
        Which of them.
    """
    names = {"some": f"{resource}_waiting_nanoseconds", "full": f"{resource}_stalled_nanoseconds"}
    values = {}
    for line in text.splitlines():
        kind, _, numbers = line.partition(" ")
        total = numbers.rpartition("total=")[2]
        if kind in names:
            values[names[kind]] = int(total) * 1000
    return values


def io_v1(text: str, columns: tuple[str, str] = ("io_read_bytes", "io_write_bytes")) -> dict[str, int]:
    """I/O columns from v1 ``blkio.throttle.io_service_bytes`` or ``io_serviced``: device, operation, number."""
    totals = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in totals:
            totals[words[1]] += int(words[2])
    return dict(zip(columns, totals.values(), strict=True))


def io_v2(io_stat: str) -> dict[str, int]:
    """I/O columns from v2 ``io.stat``: lines of device and ``rbytes=``, ``wbytes=``, ``rios=``, ``wios=``."""
    columns = {
        "rbytes": "io_read_bytes",
        "wbytes": "io_write_bytes",
        "rios": "io_read_operations",
        "wios": "io_write_operations",
    }
    totals = dict.fromkeys(columns.values(), 0)
    for line in io_stat.splitlines():
        for word in line.split()[1:]:
            name, _, value = word.partition("=")
            if name in columns:
                totals[columns[name]] += int(value)
    return totals


def make_io_count(groups: Groups, devices: list[str]) -> bool:
    """Make v1 block I/O accounting count, for all groups beside this one.

    Recent kernels count ``blkio.throttle`` bytes only once some limit exists on the device in a parent group, so a
    limit beyond any disk's speed is written there. cgroup v2 counts by itself.

    Parameters
    ----------
    groups : Groups
        Any container's groups; the limit goes to their common parent.
    devices : list of str
        Whole disks as ``MAJOR:MINOR``.

    Returns
    -------
    bool
        False where a limit could not be written; I/O then reads 0 for ever.
    """
    if groups.version == 2:
        return True
    try:
        for device in devices:
            for name in ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"):
                (groups.io.parent / name).write_text(f"{device} {_NO_REAL_LIMIT_BYTES_PER_S}")
    except OSError:
        return False
    return True


def disk_names(sys_block: Path = Path("/sys/block")) -> list[str]:
    """Names of the machine's disks; loop, RAM and compressed-RAM devices are none."""
    return sorted(path.name for path in sys_block.iterdir() if not path.name.startswith(("loop", "ram", "zram")))


def disk_devices(sys_block: Path = Path("/sys/block")) -> list[str]:
    """``MAJOR:MINOR`` of the machine's disks."""
    return [(sys_block / name / "dev").read_text().strip() for name in disk_names(sys_block)]


def _fields(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _pick(text: str | None, columns: Mapping[str, str]) -> dict[str, int]:
    """Those fields that are there, under their columns' names."""
    fields = _fields(text or "")
    return {column: fields[name] for name, column in columns.items() if name in fields}


def _read_if_there(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        # Pressure that was switched off when the machine booted.
        if error.errno == errno.EOPNOTSUPP:
            return None
        raise
