"""Counters of control groups, read from text as kernels write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.lab import cgroups

V1_PROC = """9:name=systemd:/libpod_parent/libpod-ab
8:pids:/libpod_parent/libpod-ab
7:blkio:/libpod_parent/libpod-ab
4:memory:/libpod_parent/libpod-ab
2:cpu,cpuacct:/libpod_parent/libpod-ab
0::/libpod_parent/libpod-ab
"""
V2_PROC = "0::/system.slice/docker-ab.scope\n"

V1_MEMORY = """cache 42905600
rss 2772992
inactive_file 1
total_rss 3000000
total_pgfault 5688
total_pgmajfault 21
total_inactive_file 41295872
"""
V2_MEMORY = """anon 3000000
file 42905600
inactive_file 41295872
pgfault 5688
pgmajfault 21
"""
SAME_MEMORY = {
    "memory_usage_bytes": 50000000,
    "memory_working_set_bytes": 50000000 - 41295872,
    "memory_rss_bytes": 3000000,
    "memory_page_faults": 5688,
    "memory_major_page_faults": 21,
}
V1_IO = """254:0 Read 21065728
254:0 Write 100
254:0 Sync 42057728
254:0 Total 42057728
7:0 Read 2
7:0 Write 3
Total 42057733
"""
V2_IO = """254:0 rbytes=21065728 wbytes=100 rios=3 wios=2 dbytes=0 dios=0
7:0 rbytes=2 wbytes=3 rios=1 wios=1 dbytes=0 dios=0
"""
SAME_IO = {"io_read_bytes": 21065730, "io_write_bytes": 103}


def test_v1_and_hybrid_hosts_keep_each_controller_in_its_own_tree() -> None:
    groups = cgroups.find_groups(V1_PROC, Path("/c"))
    assert groups.version == 1
    assert groups.cpu == Path("/c/cpuacct/libpod_parent/libpod-ab")
    assert groups.memory == Path("/c/memory/libpod_parent/libpod-ab")
    assert groups.io == Path("/c/blkio/libpod_parent/libpod-ab")


def test_v2_hosts_keep_all_controllers_in_one_tree() -> None:
    groups = cgroups.find_groups(V2_PROC, Path("/c"))
    assert groups.version == 2
    assert {groups.cpu, groups.memory, groups.io} == {Path("/c/system.slice/docker-ab.scope")}


@pytest.mark.parametrize("text", ["", "4:memory:/x\n", "nonsense\n"])
def test_text_without_groups_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|unpack"):
        cgroups.find_groups(text)


def test_both_versions_give_the_same_numbers_for_the_same_state() -> None:
    assert cgroups.memory_v1(V1_MEMORY, 50000000) == SAME_MEMORY
    assert cgroups.memory_v2(V2_MEMORY, 50000000) == SAME_MEMORY
    assert cgroups.io_v1(V1_IO) == SAME_IO
    assert cgroups.io_v2(V2_IO) == SAME_IO
    assert cgroups.cpu_v2("usage_usec 12\nuser_usec 5\n") == {"cpu_usage_core_nanoseconds": 12000}


@given(usage=st.integers(0, 2**62), inactive=st.integers(0, 2**62))
def test_the_working_set_is_never_negative(usage: int, inactive: int) -> None:
    text = f"anon 1\ninactive_file {inactive}\npgfault 1\npgmajfault 1\n"
    assert cgroups.memory_v2(text, usage)["memory_working_set_bytes"] == max(0, usage - inactive)


amounts = st.lists(st.tuples(st.integers(0, 2**60), st.integers(0, 2**60)), max_size=5)


@given(amounts)
def test_io_of_all_devices_is_summed_in_both_versions(devices: list[tuple[int, int]]) -> None:
    v1 = "".join(f"8:{i} Read {r}\n8:{i} Write {w}\n8:{i} Async 9\n" for i, (r, w) in enumerate(devices)) + "Total 1\n"
    v2 = "".join(f"8:{i} rbytes={r} wbytes={w} rios=1\n" for i, (r, w) in enumerate(devices))
    expected = {"io_read_bytes": sum(r for r, _ in devices), "io_write_bytes": sum(w for _, w in devices)}
    assert cgroups.io_v1(v1) == expected
    assert cgroups.io_v2(v2) == expected


def _v1_tree(root: Path) -> cgroups.Groups:
    groups = cgroups.find_groups(V1_PROC, root)
    for folder in (groups.cpu, groups.memory, groups.io):
        folder.mkdir(parents=True)
    (groups.cpu / "cpuacct.usage").write_text("77\n")
    (groups.memory / "memory.usage_in_bytes").write_text("50000000\n")
    (groups.memory / "memory.stat").write_text(V1_MEMORY)
    (groups.io / "blkio.throttle.io_service_bytes_recursive").write_text(V1_IO)
    return groups


def test_counters_of_a_v1_container(tmp_path: Path) -> None:
    assert cgroups.read_counters(_v1_tree(tmp_path)) == {"cpu_usage_core_nanoseconds": 77} | SAME_MEMORY | SAME_IO


def test_counters_of_a_v2_container(tmp_path: Path) -> None:
    groups = cgroups.find_groups(V2_PROC, tmp_path)
    groups.cpu.mkdir(parents=True)
    (groups.cpu / "cpu.stat").write_text("usage_usec 3\n")
    (groups.cpu / "memory.current").write_text("50000000\n")
    (groups.cpu / "memory.stat").write_text(V2_MEMORY)
    (groups.cpu / "io.stat").write_text(V2_IO)
    assert cgroups.read_counters(groups) == {"cpu_usage_core_nanoseconds": 3000} | SAME_MEMORY | SAME_IO


def test_a_kernel_without_io_accounting_leaves_the_io_columns_out(tmp_path: Path) -> None:
    groups = _v1_tree(tmp_path)
    (groups.io / "blkio.throttle.io_service_bytes_recursive").unlink()
    assert cgroups.read_counters(groups) == {"cpu_usage_core_nanoseconds": 77} | SAME_MEMORY


def test_a_container_that_is_gone_is_not_read_as_zeros(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cgroups.read_counters(cgroups.find_groups(V1_PROC, tmp_path))


def test_io_counts_after_a_limit_that_limits_nothing(tmp_path: Path) -> None:
    groups = _v1_tree(tmp_path)
    assert cgroups.make_io_count(groups, ["254:0"])
    written = (groups.io.parent / "blkio.throttle.write_bps_device").read_text()
    assert written == "254:0 10000000000000"


def test_a_limit_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert not cgroups.make_io_count(cgroups.find_groups(V1_PROC, tmp_path), ["254:0"])
    assert cgroups.make_io_count(cgroups.find_groups(V2_PROC, tmp_path), ["254:0"])


def test_disks_are_told_from_loops_and_memory(tmp_path: Path) -> None:
    for name, number in (("vda", "254:0"), ("loop0", "7:0"), ("zram0", "253:0"), ("nvme0n1", "259:0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dev").write_text(number + "\n")
    assert cgroups.disk_devices(tmp_path) == ["259:0", "254:0"]
