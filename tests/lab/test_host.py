"""What makes the machine like another, and how it goes again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import host
from lab.cgroups import find_groups
from podlab.errors import InputError, PodlabError
from tests.lab.test_cgroups import V1_PROC, V2_PROC


def test_a_neighbour_runs_until_it_is_stopped() -> None:
    neighbour = host.BusyNeighbour(0.1)
    assert not neighbour.running()
    with neighbour:
        assert neighbour.running()
    assert not neighbour.running()
    neighbour.stop()


#: Starts a neighbour and is then killed; the neighbour holds the same pipe open as long as it lives.
_KILLED = """
import os, signal
from lab.host import BusyNeighbour
BusyNeighbour(0.1, burst_s=1, pause_s=1).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_neighbour_ends_with_whoever_started_it_even_if_that_is_killed() -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("cores", [0, -1, (os.cpu_count() or 1) + 0.1])
def test_a_neighbour_that_cannot_be_is_refused(cores: float) -> None:
    with pytest.raises(InputError, match="busy neighbour"):
        host.BusyNeighbour(cores)


def test_every_disk_is_slowed_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "disk_names", lambda: ["vda"])
    assert host.disk_arguments(40_000_000) == [
        "--device-read-bps", "/dev/vda:40000000", "--device-write-bps", "/dev/vda:40000000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("proc_cgroup", "file", "capped", "lifted"),
    [
        (V1_PROC, "cpu/libpod_parent/cpu.cfs_quota_us", "150000", "-1"),
        ("0::/machine/libpod-ab\n", "machine/cpu.max", "150000 100000", "max 100000"),
    ],
)
def test_a_cap_of_all_containers_is_set_and_lifted(
    tmp_path: Path, proc_cgroup: str, file: str, capped: str, lifted: str
) -> None:
    groups = find_groups(proc_cgroup, tmp_path)
    groups.cpu.mkdir(parents=True)
    host.cap_cpu(groups, 1.5)
    assert (tmp_path / file).read_text() == capped
    host.cap_cpu(groups, None)
    assert (tmp_path / file).read_text() == lifted


def test_no_cap_is_set_on_the_systems_own_services(tmp_path: Path) -> None:
    groups = find_groups(V2_PROC, tmp_path)
    groups.cpu.mkdir(parents=True)
    with pytest.raises(PodlabError, match="system's services"):
        host.cap_cpu(groups, 1.5)
    host.cap_cpu(groups, None)
    assert not (groups.cpu.parent / "cpu.max").exists()


def test_a_cap_that_cannot_be_set_is_told(tmp_path: Path) -> None:
    groups = find_groups(V1_PROC, tmp_path)
    with pytest.raises(PodlabError, match="cannot be set"):
        host.cap_cpu(groups, 1.5)
    host.cap_cpu(groups, None)
