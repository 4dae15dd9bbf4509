"""One container's samples: reads its control groups, processes, network, files and log, one row at a time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.cgroups import Groups, find_groups, process_ids, read_counters
from lab.runtime import ContainerFacts

PROC = Path("/proc")
#: A tree is walked again after this many times what the last walk took: half a percent of one core.
_WALK_REST = 200.0
_BLOCK_BYTES = 512


class ContainerDiedError(Exception):
    """The container ended before its recording did.

    Parameters
    ----------
    reason : str
        What was seen.
    log_tail : list of str, optional
        Its last words, where somebody has asked for them.
    """

    def __init__(self, reason: str, log_tail: list[str] | None = None) -> None:
        super().__init__(reason)
        self.log_tail = log_tail or []


#: Columns by their place in a line of ``/proc/PID/net/dev``.
_NETWORK_FIELDS = {
    "rx_bytes": 0,
    "rx_packets": 1,
    "rx_errors": 2,
    "rx_dropped": 3,
    "tx_bytes": 8,
    "tx_packets": 9,
    "tx_errors": 10,
    "tx_dropped": 11,
}


def network_counters(net_dev: str, interface: str = "eth0") -> dict[str, int]:
    """Network columns from ``/proc/PID/net/dev``; empty where the interface is not there."""
    for line in net_dev.splitlines():
        name, colon, numbers = line.partition(":")
        if colon and name.strip() == interface:
            fields = numbers.split()
            return {column: int(fields[place]) for column, place in _NETWORK_FIELDS.items()}
    return {}


def process_counts(processes: Sequence[int], proc: Path = PROC) -> dict[str, int]:
    """Count processes, and the file descriptors and sockets that they hold open, as the kubelet does.

    Parameters
    ----------
    processes : sequence of int
        Their numbers on the host.
    proc : Path
        The process file system.
    """
    descriptors = sockets = 0
    for process in processes:
        # A process, or a file of it, may end meanwhile.
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),
            os.scandir(proc / str(process) / "fd") as entries,
        ):
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    # A busy server has hundreds of them, each second: paths as objects would take ten times as long.
                    sockets += os.readlink(entry.path).startswith("socket:")  # noqa: PTH115
                    descriptors += 1
    return {"processes": len(processes), "file_descriptors": descriptors, "sockets": sockets}


def tree_usage(folder: Path) -> tuple[int, int]:
    """Bytes of disk and inodes that a folder and all below it take; files that vanish meanwhile count nothing."""
    try:
        total_bytes, inodes = os.lstat(folder).st_blocks * _BLOCK_BYTES, 1
    except FileNotFoundError:
        return 0, 0
    folders = [str(folder)]
    linked: set[int] = set()
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    try:
                        stat = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif stat.st_nlink > 1:
                            if stat.st_ino in linked:
                                continue
                            linked.add(stat.st_ino)
                    except FileNotFoundError:
                        continue
                    total_bytes += stat.st_blocks * _BLOCK_BYTES
                    inodes += 1
        except (FileNotFoundError, NotADirectoryError):
            continue
    return total_bytes, inodes


@dataclass
class _Tree:
    """A folder's size, walked no more often than its size allows."""

    folder: Path
    columns: tuple[str, ...]
    usage: tuple[int, int] = (0, 0)
    next_walk_s: float = 0.0

    def measure(self) -> dict[str, int]:
        """Bytes and inodes under their columns' names."""
        begin_s = time.monotonic()
        if begin_s >= self.next_walk_s:
            self.usage = tree_usage(self.folder)
            took_s = time.monotonic() - begin_s
            self.next_walk_s = begin_s + _WALK_REST * took_s
        return dict(zip(self.columns, self.usage, strict=False))


@dataclass
class Probe:
    """Samples one started container.

    Parameters
    ----------
    facts : ContainerFacts
        Where it is.
    groups : Groups
        Its control groups.
    proc : Path
        The process file system.
    """

    facts: ContainerFacts
    groups: Groups
    proc: Path = PROC
    _last_cpu: tuple[datetime, int] | None = None
    _trees: list[_Tree] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.facts.layer is not None:
            self._trees.append(_Tree(self.facts.layer, ("rootfs_used_bytes", "rootfs_inodes_used")))
        if self.facts.volume is not None:
            self._trees.append(_Tree(self.facts.volume, ("volume_used_bytes",)))

    def sample(self, now: datetime) -> dict[str, Any]:
        """Read everything once.

        Parameters
        ----------
        now : datetime
            The sample's time.

        Returns
        -------
        dict
            ``time`` and the metric columns; what cannot be read is left out. ``cpu_usage_nanocores`` is the use
            since the sample before, as the kubelet computes it, and so is missing in the first.

        Raises
        ------
        ContainerDiedError
            If the container is gone.
        """
        row: dict[str, Any] = {"time": now}
        try:
            row |= read_counters(self.groups)
            row |= process_counts(process_ids(self.groups), self.proc)
            row |= network_counters((self.proc / str(self.facts.pid) / "net/dev").read_text())
        except (OSError, KeyError, ValueError) as error:
            raise ContainerDiedError(str(error)) from error
        counter = row["cpu_usage_core_nanoseconds"]
        if self._last_cpu is not None:
            before, counter_before = self._last_cpu
            seconds = (now - before).total_seconds()
            if seconds > 0:
                row["cpu_usage_nanocores"] = (counter - counter_before) / seconds
        self._last_cpu = (now, counter)
        for tree in self._trees:
            row |= tree.measure()
        if self.facts.log is not None:
            row["logsfs_used_bytes"] = self.facts.log.stat().st_blocks * _BLOCK_BYTES if self.facts.log.exists() else 0
        return row


def open_probe(facts: ContainerFacts, proc: Path = PROC) -> Probe:
    """Find a container's groups and make its probe.

    Raises
    ------
    ContainerDiedError
        If it has ended already.
    """
    try:
        groups = find_groups((proc / str(facts.pid) / "cgroup").read_text())
    except (OSError, ValueError) as error:
        raise ContainerDiedError("it ended at once") from error
    if facts.pid == 0:
        raise ContainerDiedError("it ended at once")
    return Probe(facts, groups, proc)
