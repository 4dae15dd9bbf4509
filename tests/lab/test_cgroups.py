"""Counters of control groups, read from text as kernels write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import cgroups

V1_PROC = """9:name=systemd:/libpod_parent/libpod-ab
8:pids:/libpod_parent/libpod-ab
7:blkio:/libpod_parent/libpod-ab
4:memory:/libpod_parent/libpod-ab
2:cpu,cpuacct:/libpod_parent/libpod-ab
0::/libpod_parent/libpod-ab
"""
V2_PROC = "0::/system.slice/docker-ab.scope\n"

V1_MEMORY = """cache 1
rss 2772992
inactive_file 1
total_cache 42905600
total_rss 3000000
total_mapped_file 8192
total_swap 4096
total_pgfault 5688
total_pgmajfault 21
total_inactive_file 41295872
"""
V2_MEMORY = """anon 3000000
file 42905600
kernel 212992
file_mapped 8192
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
    "memory_cache_bytes": 42905600,
    "memory_mapped_file_bytes": 8192,
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
V1_OPERATIONS = """254:0 Read 3
254:0 Write 2
254:0 Total 5
7:0 Read 1
7:0 Write 1
Total 7
"""
SAME_OPERATIONS = {"io_read_operations": 4, "io_write_operations": 3}
PRESSURE = """some avg10=0.00 avg60=0.00 avg300=0.00 total=24320
full avg10=0.00 avg60=0.00 avg300=0.00 total=19896
"""
SAME_PRESSURE = {
    "cpu_waiting_nanoseconds": 24_320_000,
    "cpu_stalled_nanoseconds": 19_896_000,
    "memory_waiting_nanoseconds": 24_320_000,
    "memory_stalled_nanoseconds": 19_896_000,
    "io_waiting_nanoseconds": 24_320_000,
    "io_stalled_nanoseconds": 19_896_000,
}
THROTTLING = {"cpu_periods": 20, "cpu_throttled_periods": 4, "cpu_throttled_nanoseconds": 5_000_000}
V2_CPU = """usage_usec 77000
user_usec 50000
system_usec 27000
nr_periods 20
nr_throttled 4
throttled_usec 5000
"""


def test_v1_and_hybrid_hosts_keep_each_controller_in_its_own_tree() -> None:
    groups = cgroups.find_groups(V1_PROC, Path("/c"))
    assert groups.version == 1
    assert groups.cpu == Path("/c/cpu/libpod_parent/libpod-ab")
    assert groups.cpuacct == Path("/c/cpuacct/libpod_parent/libpod-ab")
    assert groups.memory == Path("/c/memory/libpod_parent/libpod-ab")
    assert groups.io == Path("/c/blkio/libpod_parent/libpod-ab")
    assert groups.pids == Path("/c/pids/libpod_parent/libpod-ab")
    assert groups.unified == Path("/c/unified/libpod_parent/libpod-ab")


def test_the_root_of_the_unified_tree_is_no_group_of_the_container() -> None:
    without = V1_PROC.replace("0::/libpod_parent/libpod-ab\n", "")
    assert cgroups.find_groups(without, Path("/c")).unified is None
    assert cgroups.find_groups(without + "0::/\n", Path("/c")).unified is None


def test_v2_hosts_keep_all_controllers_in_one_tree() -> None:
    groups = cgroups.find_groups(V2_PROC, Path("/c"))
    assert groups.version == 2
    folders = {groups.cpu, groups.cpuacct, groups.memory, groups.io, groups.pids, groups.unified}
    assert folders == {Path("/c/system.slice/docker-ab.scope")}


@pytest.mark.parametrize("text", ["", "4:memory:/x\n", "nonsense\n"])
def test_text_without_groups_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|unpack"):
        cgroups.find_groups(text)


def test_both_versions_give_the_same_numbers_for_the_same_state() -> None:
    assert cgroups.memory_v1(V1_MEMORY, 50000000) == SAME_MEMORY | {"memory_swap_bytes": 4096}
    assert cgroups.memory_v2(V2_MEMORY, 50000000) == SAME_MEMORY | {"memory_kernel_bytes": 212992}
    assert cgroups.io_v1(V1_IO) == SAME_IO
    assert cgroups.io_v2(V2_IO) == SAME_IO | SAME_OPERATIONS
    v1_cpu = "nr_periods 20\nnr_throttled 4\nthrottled_time 5000000\n"
    assert cgroups.throttling(v1_cpu) == cgroups.throttling(V2_CPU) == THROTTLING
    assert cgroups.cpu_times_v1("user 5\nsystem 2\n") == cgroups.cpu_times_v2("user_usec 50000\nsystem_usec 20000\n")
    assert cgroups.cpu_v2("usage_usec 12\nuser_usec 5\n") == {"cpu_usage_core_nanoseconds": 12000}


@given(usage=st.integers(0, 2**62), inactive=st.integers(0, 2**62))
def test_the_working_set_is_never_negative(usage: int, inactive: int) -> None:
    text = f"anon 1\ninactive_file {inactive}\npgfault 1\npgmajfault 1\n"
    assert cgroups.memory_v2(text, usage)["memory_working_set_bytes"] == max(0, usage - inactive)


amounts = st.lists(st.tuples(st.integers(0, 2**60), st.integers(0, 2**60)), max_size=5)


@given(amounts)
def test_io_of_all_devices_is_summed_in_both_versions(devices: list[tuple[int, int]]) -> None:
    v1 = "".join(f"8:{i} Read {r}\n8:{i} Write {w}\n8:{i} Async 9\n" for i, (r, w) in enumerate(devices)) + "Total 1\n"
    v2 = "".join(f"8:{i} rbytes={r} wbytes={w} rios=1 wios=2\n" for i, (r, w) in enumerate(devices))
    expected = {"io_read_bytes": sum(r for r, _ in devices), "io_write_bytes": sum(w for _, w in devices)}
    assert cgroups.io_v1(v1) == expected
    operations = {"io_read_operations": len(devices), "io_write_operations": 2 * len(devices)}
    assert cgroups.io_v2(v2) == expected | operations


#: Files by their place below the mounts, as a kernel with a v1 container and a CPU limit has them.
V1_FILES = {
    "cpu/libpod_parent/libpod-ab/cpu.cfs_quota_us": "25000\n",
    "cpu/libpod_parent/libpod-ab/cpu.stat": "nr_periods 20\nnr_throttled 4\nthrottled_time 5000000\n",
    "cpuacct/libpod_parent/libpod-ab/cpuacct.usage": "77000000\n",
    "cpuacct/libpod_parent/libpod-ab/cpuacct.stat": "user 5\nsystem 2\n",
    "memory/libpod_parent/libpod-ab/cgroup.procs": "7\n8\n",
    "memory/libpod_parent/libpod-ab/memory.usage_in_bytes": "50000000\n",
    "memory/libpod_parent/libpod-ab/memory.stat": V1_MEMORY,
    "memory/libpod_parent/libpod-ab/memory.kmem.usage_in_bytes": "212992\n",
    "memory/libpod_parent/libpod-ab/memory.failcnt": "9\n",
    "memory/libpod_parent/libpod-ab/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    "blkio/libpod_parent/libpod-ab/blkio.throttle.io_service_bytes_recursive": V1_IO,
    "blkio/libpod_parent/libpod-ab/blkio.throttle.io_serviced_recursive": V1_OPERATIONS,
    "pids/libpod_parent/libpod-ab/pids.current": "3\n",
}
#: What a hybrid host has beside them.
UNIFIED_FILES = {
    "unified/libpod_parent/libpod-ab/cpu.stat": "usage_usec 77000\nuser_usec 50123\nsystem_usec 26877\n",
    "unified/libpod_parent/libpod-ab/cpu.pressure": PRESSURE,
    "unified/libpod_parent/libpod-ab/memory.pressure": PRESSURE,
    "unified/libpod_parent/libpod-ab/io.pressure": PRESSURE,
}
V2_FILES = {
    f"system.slice/docker-ab.scope/{name}": text
    for name, text in {
        "cgroup.procs": "7\n8\n",
        "cpu.max": "25000 100000\n",
        "cpu.stat": V2_CPU,
        "memory.current": "50000000\n",
        "memory.stat": V2_MEMORY,
        "memory.swap.current": "4096\n",
        "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n",
        "io.stat": V2_IO,
        "pids.current": "3\n",
        "cpu.pressure": PRESSURE,
        "memory.pressure": PRESSURE,
        "io.pressure": PRESSURE,
    }.items()
}
SAME_COUNTERS = (
    {
        "threads": 3,
        "cpu_usage_core_nanoseconds": 77_000_000,
        "memory_swap_bytes": 4096,
        "memory_kernel_bytes": 212992,
        "memory_limit_hits": 9,
        "oom_events": 1,
    }
    | SAME_MEMORY | SAME_IO | SAME_OPERATIONS | THROTTLING
)  # fmt: skip


def _times(user_us: int, system_us: int) -> dict[str, int]:
    return {"cpu_user_core_nanoseconds": user_us * 1000, "cpu_system_core_nanoseconds": system_us * 1000}


def _groups(root: Path, files: dict[str, str], proc_cgroup: str) -> cgroups.Groups:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return cgroups.find_groups(proc_cgroup, root)


def _v1_tree(root: Path) -> cgroups.Groups:
    return _groups(root, V1_FILES, V1_PROC)


def test_counters_of_a_v1_container(tmp_path: Path) -> None:
    assert cgroups.read_counters(_v1_tree(tmp_path)) == SAME_COUNTERS | _times(50_000, 20_000)


def test_counters_of_a_container_on_a_hybrid_host(tmp_path: Path) -> None:
    groups = _groups(tmp_path, V1_FILES | UNIFIED_FILES, V1_PROC)
    assert cgroups.read_counters(groups) == SAME_COUNTERS | _times(50_123, 26_877) | SAME_PRESSURE


def test_counters_of_a_v2_container(tmp_path: Path) -> None:
    groups = _groups(tmp_path, V2_FILES, V2_PROC)
    assert cgroups.read_counters(groups) == SAME_COUNTERS | _times(50_000, 27_000) | SAME_PRESSURE


@pytest.mark.parametrize("version", [1, 2])
def test_processes_of_a_container(tmp_path: Path, version: int) -> None:
    groups = _v1_tree(tmp_path) if version == 1 else _groups(tmp_path, V2_FILES, V2_PROC)
    assert cgroups.process_ids(groups) == [7, 8]


@pytest.mark.parametrize(
    ("files", "proc_cgroup", "limit", "none"),
    [
        (V1_FILES, V1_PROC, "cpu/libpod_parent/libpod-ab/cpu.cfs_quota_us", "-1\n"),
        (V2_FILES, V2_PROC, "system.slice/docker-ab.scope/cpu.max", "max 100000\n"),
    ],
)
def test_throttling_is_left_out_without_a_cpu_limit(
    tmp_path: Path, files: dict[str, str], proc_cgroup: str, limit: str, none: str
) -> None:
    counters = cgroups.read_counters(_groups(tmp_path, files | {limit: none}, proc_cgroup))
    assert not set(THROTTLING) & set(counters)


@pytest.mark.parametrize(
    ("files", "proc_cgroup", "file", "columns"),
    [
        (V1_FILES, V1_PROC, "blkio.throttle.io_service_bytes_recursive", set(SAME_IO)),
        (V1_FILES, V1_PROC, "blkio.throttle.io_serviced_recursive", set(SAME_OPERATIONS)),
        (V1_FILES, V1_PROC, "memory.kmem.usage_in_bytes", {"memory_kernel_bytes"}),
        (V1_FILES, V1_PROC, "memory.oom_control", {"oom_events"}),
        (V1_FILES, V1_PROC, "pids.current", {"threads"}),
        (V2_FILES, V2_PROC, "io.stat", set(SAME_IO) | set(SAME_OPERATIONS)),
        (V2_FILES, V2_PROC, "memory.swap.current", {"memory_swap_bytes"}),
        (V2_FILES, V2_PROC, "memory.events", {"memory_limit_hits", "oom_events"}),
        (V2_FILES, V2_PROC, "io.pressure", {"io_waiting_nanoseconds", "io_stalled_nanoseconds"}),
    ],
)
def test_a_column_whose_file_is_not_there_is_left_out(
    tmp_path: Path, files: dict[str, str], proc_cgroup: str, file: str, columns: set[str]
) -> None:
    groups = _groups(tmp_path, files, proc_cgroup)
    everything = cgroups.read_counters(groups)
    next(tmp_path.rglob(file)).unlink()
    assert set(everything) - set(cgroups.read_counters(groups)) == columns


def test_pressure_of_an_older_kernel_has_no_stalled_cpu_time() -> None:
    assert cgroups.pressure(PRESSURE.splitlines()[0], "cpu") == {"cpu_waiting_nanoseconds": 24_320_000}


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
