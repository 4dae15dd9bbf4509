"""Counters of one container's control group, under cgroup v1, the hybrid layout and v2.

Formulas are the kubelet's (cAdvisor): working set = usage - inactive file pages, never below 0; v1 memory numbers
are those of the whole subtree (``total_``); v2 ``anon`` stands for v1 ``total_rss``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
#: Above any disk's speed: a limit that never slows anything but makes v1 count the I/O.
_NO_REAL_LIMIT_BYTES_PER_S = 10_000_000_000_000


@dataclass(frozen=True)
class Groups:
    """Where one container's counters are.

    Attributes
    ----------
    cpu, memory, io : Path
        Its folder for each; on cgroup v2 the same one.
    version : int
        1 or 2 (hybrid hosts keep these controllers in v1).
    """

    cpu: Path
    memory: Path
    io: Path
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
    if all(name in paths for name in ("cpuacct", "memory", "blkio")):
        cpu, memory, io = (root / name / paths[name] for name in ("cpuacct", "memory", "blkio"))
        return Groups(cpu, memory, io, version=1)
    if "" in paths:
        group = root / paths[""]
        return Groups(group, group, group, version=2)
    raise ValueError("neither cgroup v1 controllers nor a v2 group")


def read_counters(groups: Groups) -> dict[str, int]:
    """Read CPU, memory and I/O of a container.

    Returns
    -------
    dict of str to int
        By samples column; a column whose file the kernel does not have is left out.

    Raises
    ------
    FileNotFoundError
        If the container is gone.
    """
    if groups.version == 1:
        values = {"cpu_usage_core_nanoseconds": int((groups.cpu / "cpuacct.usage").read_text())}
        usage = int((groups.memory / "memory.usage_in_bytes").read_text())
        values |= memory_v1((groups.memory / "memory.stat").read_text(), usage)
        io_text = _read_if_there(groups.io / "blkio.throttle.io_service_bytes_recursive")
        return values | (io_v1(io_text) if io_text is not None else {})
    values = cpu_v2((groups.cpu / "cpu.stat").read_text())
    usage = int((groups.memory / "memory.current").read_text())
    values |= memory_v2((groups.memory / "memory.stat").read_text(), usage)
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
    )


def memory_v2(stat: str, usage_bytes: int) -> dict[str, int]:
    """Memory columns from v2 ``memory.stat`` and ``memory.current``."""
    fields = _fields(stat)
    return _memory(usage_bytes, fields["inactive_file"], fields["anon"], fields["pgfault"], fields["pgmajfault"])


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


def io_v1(io_service_bytes: str) -> dict[str, int]:
    """I/O columns from v1 ``blkio.throttle.io_service_bytes``: lines of device, operation, bytes."""
    totals = {"Read": 0, "Write": 0}
    for line in io_service_bytes.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in totals:
            totals[words[1]] += int(words[2])
    return {"io_read_bytes": totals["Read"], "io_write_bytes": totals["Write"]}


def io_v2(io_stat: str) -> dict[str, int]:
    """I/O columns from v2 ``io.stat``: lines of device and ``rbytes=``, ``wbytes=`` and others."""
    totals = {"rbytes": 0, "wbytes": 0}
    for line in io_stat.splitlines():
        for word in line.split()[1:]:
            name, _, value = word.partition("=")
            if name in totals:
                totals[name] += int(value)
    return {"io_read_bytes": totals["rbytes"], "io_write_bytes": totals["wbytes"]}


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


def disk_devices(sys_block: Path = Path("/sys/block")) -> list[str]:
    """``MAJOR:MINOR`` of the machine's disks; loop, RAM and compressed-RAM devices are none."""
    return [
        (device / "dev").read_text().strip()
        for device in sorted(sys_block.iterdir())
        if not device.name.startswith(("loop", "ram", "zram"))
    ]


def _fields(text: str) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _read_if_there(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
