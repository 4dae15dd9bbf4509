"""One container's samples, read from files as the kernel lays them out."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.lab.cgroups import find_groups
from podlab.lab.probe import ContainerDiedError, Probe, network_bytes, open_probe, tree_bytes
from podlab.lab.runtime import ContainerFacts
from tests.lab.fakes import BEGIN


def net_dev(received: int = 540, sent: int = 382) -> str:
    """The text of ``/proc/PID/net/dev``."""
    rest = "0 " * 6
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
    group = tmp_path / "cgroup/box"
    group.mkdir(parents=True)
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
    assert row["rootfs_used_bytes"] >= 100_000
    assert row["logsfs_used_bytes"] >= 10_000
    assert row["volume_used_bytes"] == 0
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
    assert network_bytes(text) == {"rx_bytes": received, "tx_bytes": sent}
    assert network_bytes(text, "eth1") == {}


def test_a_tree_counts_the_disk_it_takes(tmp_path: Path) -> None:
    assert tree_bytes(tmp_path) == 0
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x" * 50_000)
    (tmp_path / "a/link").symlink_to("/")
    disk = sum(os.lstat(path).st_blocks * 512 for path in tmp_path.rglob("*"))
    assert tree_bytes(tmp_path) == disk >= 50_000
    assert tree_bytes(tmp_path / "missing") == 0
