"""One container's samples: reads its control group, network, files and log, one row at a time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from podlab.lab.cgroups import Groups, find_groups, read_counters
from podlab.lab.runtime import ContainerFacts

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


def network_bytes(net_dev: str, interface: str = "eth0") -> dict[str, int]:
    """Network columns from ``/proc/PID/net/dev``; empty where the interface is not there."""
    for line in net_dev.splitlines():
        name, colon, numbers = line.partition(":")
        if colon and name.strip() == interface:
            fields = numbers.split()
            return {"rx_bytes": int(fields[0]), "tx_bytes": int(fields[8])}
    return {}


def tree_bytes(folder: Path) -> int:
    """Bytes of disk that a folder's files take; files that vanish meanwhile count nothing."""
    total = 0
    folders = [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                    except FileNotFoundError:
                        continue
        except (FileNotFoundError, NotADirectoryError):
            continue
    return total


@dataclass
class _Tree:
    """A folder's size, walked no more often than its size allows."""

    folder: Path
    size_bytes: int = 0
    next_walk_s: float = 0.0

    def measure(self) -> int:
        begin_s = time.monotonic()
        if begin_s >= self.next_walk_s:
            self.size_bytes = tree_bytes(self.folder)
            took_s = time.monotonic() - begin_s
            self.next_walk_s = begin_s + _WALK_REST * took_s
        return self.size_bytes


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
    _trees: dict[str, _Tree] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.facts.layer is not None:
            self._trees["rootfs_used_bytes"] = _Tree(self.facts.layer)
        if self.facts.volume is not None:
            self._trees["volume_used_bytes"] = _Tree(self.facts.volume)

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
            row |= network_bytes((self.proc / str(self.facts.pid) / "net/dev").read_text())
        except (OSError, KeyError, ValueError) as error:
            raise ContainerDiedError(str(error)) from error
        counter = row["cpu_usage_core_nanoseconds"]
        if self._last_cpu is not None:
            before, counter_before = self._last_cpu
            seconds = (now - before).total_seconds()
            if seconds > 0:
                row["cpu_usage_nanocores"] = (counter - counter_before) / seconds
        self._last_cpu = (now, counter)
        for column, tree in self._trees.items():
            row[column] = tree.measure()
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
