"""One container's samples, read from files as the kernel lays them out."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.cgroups import find_groups
from lab.probe import ContainerDiedError, Probe, network_counters, open_probe, process_counts, tree_usage
from lab.runtime import ContainerFacts
from tests.lab.fakes import BEGIN


def net_dev(received: int = 540, sent: int = 382) -> str:
    """The text of ``/proc/PID/net/dev``."""
    rest = "1 2 0 0 0 0"
    return (
        "Inter-|   Receive                            |  Transmit\n"
        " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier\n"
        f"    lo:       9       0 {rest}       9       0 {rest}\n"
        f"  eth0: {received}       6 {rest} {sent}       5 {rest}\n"
    )


@pytest.fixture
def facts(tmp_path: Path) -> ContainerFacts:
    """A container with process 7 in a v2 tree, with a layer, a log and a volume."""
    process = tmp_path / "proc/7"
    (process / "net").mkdir(parents=True)
    (process / "net/dev").write_text(net_dev())
    (process / "cgroup").write_text("0::/box\n")
    (process / "fd").mkdir()
    for number, target in enumerate(("/dev/null", "socket:[4242]", "pipe:[4243]")):
        (process / "fd" / str(number)).symlink_to(target)
    group = tmp_path / "cgroup/box"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("7\n")
    (group / "cpu.stat").write_text("usage_usec 1000\n")
    (group / "memory.current").write_text("100\n")
    (group / "memory.stat").write_text("anon 60\ninactive_file 30\npgfault 4\npgmajfault 1\n")
    for name in ("layer", "volume"):
        (tmp_path / name).mkdir()
    (tmp_path / "layer/file").write_bytes(b"x" * 100_000)
    (tmp_path / "log").write_bytes(b"x" * 10_000)
    return ContainerFacts(7, BEGIN, tmp_path / "layer", tmp_path / "log", tmp_path / "volume")


def _probe(facts: ContainerFacts, root: Path) -> Probe:
    groups = find_groups((root / "proc/7/cgroup").read_text(), root / "cgroup")
    return Probe(facts, groups, root / "proc")


def test_a_sample_holds_every_metric_the_machine_gives(facts: ContainerFacts, tmp_path: Path) -> None:
    row = _probe(facts, tmp_path).sample(BEGIN)
    assert row["time"] == BEGIN
    assert row["cpu_usage_core_nanoseconds"] == 1_000_000
    assert row["memory_working_set_bytes"] == 70
    assert (row["rx_bytes"], row["tx_bytes"]) == (540, 382)
    assert (row["rx_packets"], row["rx_errors"], row["rx_dropped"]) == (6, 1, 2)
    assert (row["processes"], row["file_descriptors"], row["sockets"]) == (1, 3, 1)
    assert row["rootfs_used_bytes"] >= 100_000
    assert row["rootfs_inodes_used"] == 2
    assert row["logsfs_used_bytes"] >= 10_000
    assert row["volume_used_bytes"] == os.lstat(tmp_path / "volume").st_blocks * 512
    assert "io_read_bytes" not in row, "the kernel gave no io.stat: missing, not 0"
    assert "cpu_usage_nanocores" not in row, "the first sample has no interval to be used over"


def test_cpu_use_is_over_the_time_since_the_sample_before(facts: ContainerFacts, tmp_path: Path) -> None:
    probe = _probe(facts, tmp_path)
    probe.sample(BEGIN)
    (tmp_path / "cgroup/box/cpu.stat").write_text("usage_usec 501000\n")
    assert probe.sample(BEGIN + timedelta(seconds=2))["cpu_usage_nanocores"] == 0.25e9


def test_a_container_without_volume_has_no_volume_column(facts: ContainerFacts, tmp_path: Path) -> None:
    bare = ContainerFacts(7, BEGIN, None, None, None)
    row = _probe(bare, tmp_path).sample(BEGIN)
    assert not {"volume_used_bytes", "rootfs_used_bytes", "logsfs_used_bytes"} & set(row)


@pytest.mark.parametrize("gone", ["cgroup/box/cpu.stat", "proc/7/net/dev"])
def test_a_container_that_vanished_died(facts: ContainerFacts, tmp_path: Path, gone: str) -> None:
    probe = _probe(facts, tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(ContainerDiedError):
        probe.sample(BEGIN)


def test_a_container_that_ended_at_once_is_told(tmp_path: Path) -> None:
    with pytest.raises(ContainerDiedError, match="ended at once"):
        open_probe(ContainerFacts(0, BEGIN, None, None, None), tmp_path)


@given(received=st.integers(0, 2**64), sent=st.integers(0, 2**64))
def test_network_counters_are_those_of_the_interface(received: int, sent: int) -> None:
    text = net_dev(received, sent)
    assert network_counters(text) == {
        "rx_bytes": received,
        "rx_packets": 6,
        "rx_errors": 1,
        "rx_dropped": 2,
        "tx_bytes": sent,
        "tx_packets": 5,
        "tx_errors": 1,
        "tx_dropped": 2,
    }
    assert network_counters(text, "eth1") == {}


def test_a_process_that_has_just_ended_holds_nothing_open(facts: ContainerFacts, tmp_path: Path) -> None:
    counts = process_counts([7, 8], tmp_path / "proc")
    assert counts == {"processes": 2, "file_descriptors": 3, "sockets": 1}


def test_a_tree_counts_the_disk_and_the_inodes_it_takes(tmp_path: Path) -> None:
    folder = tmp_path / "layer"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_bytes(b"x" * 50_000)
    (folder / "a/link").symlink_to("/")
    paths = [folder, *folder.rglob("*")]
    disk = sum(os.lstat(path).st_blocks * 512 for path in paths)
    assert tree_usage(folder) == (disk, len(paths))
    (folder / "the same file").hardlink_to(folder / "a/b/file")
    assert tree_usage(folder)[1] == len(paths)
    assert tree_usage(tmp_path / "missing") == (0, 0)
