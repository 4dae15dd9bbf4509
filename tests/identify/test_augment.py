"""Copies of windows as other clusters see them: plausible, and never a leak of what is missing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from podlab.data.catalogue import FEATURE_METRICS, ORIGINAL_METRICS
from podlab.features.features import DERIVED, feature_names, series_in
from podlab.features.rows import read_rows
from podlab.features.windows import series_of
from podlab.identify.augment import downsample, draw_hardware, draw_intervals_s, drop_columns, shift_hardware
from tests.support.synthetic import make_samples

SERIES = series_of(ORIGINAL_METRICS)
AT = {name: number for number, name in enumerate(SERIES)}
RESIDENT, WORKING, USAGE = (AT[f"memory_{name}_bytes"] for name in ("rss", "working_set", "usage"))


def windows(count: int = 200) -> np.ndarray:
    """Levels and rates of which resident memory is the least part of all memory."""
    rng = np.random.default_rng(0)
    cells = rng.lognormal(14, 2, (count, len(SERIES), 10)).astype(np.float32)
    memory = np.sort(cells[:, [RESIDENT, WORKING, USAGE]], axis=1)
    cells[:, [RESIDENT, WORKING, USAGE]] = memory
    return cells


def test_memory_keeps_its_order_and_nothing_turns_negative() -> None:
    moved = shift_hardware(windows(), SERIES, draw_hardware(200, np.random.default_rng(1)))
    assert moved.dtype == np.float32
    assert np.all(moved >= 0)
    assert np.all(moved[:, RESIDENT] <= moved[:, WORKING] * 1.000001)
    assert np.all(moved[:, WORKING] <= moved[:, USAGE] * 1.000001)


def test_machines_differ_and_a_machine_changes_all_cells_alike() -> None:
    cells = windows()
    moved = shift_hardware(cells, SERIES, draw_hardware(200, np.random.default_rng(1)))
    factor = moved[:, AT["cpu_usage_nanocores"]] / cells[:, AT["cpu_usage_nanocores"]]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape), rtol=1e-5)
    assert 0.25 < np.log(factor[:, 0]).std() < 0.45
    assert abs(np.log(factor[:, 0]).mean()) < 0.1  # neither faster nor slower than the recorded one


def test_a_container_stays_on_its_machine_in_every_look() -> None:
    cells, machine = windows(), draw_hardware(200, np.random.default_rng(1))
    both = shift_hardware(cells, SERIES, machine)
    some = [3, 50, 199]
    np.testing.assert_array_equal(shift_hardware(cells[some], SERIES, machine[some]), both[some])


@given(lacking=st.sets(st.sampled_from(SERIES), max_size=len(SERIES) - 1))
def test_what_is_not_measured_is_not_measured_elsewhere(lacking: set[str]) -> None:
    cells, machine = windows(5), draw_hardware(5, np.random.default_rng(2))
    blank = cells.copy()
    blank[:, [AT[name] for name in lacking]] = np.nan
    moved = shift_hardware(blank, SERIES, machine)
    np.testing.assert_array_equal(np.isnan(moved), np.isnan(blank))
    # A series that is no column at all is like one without a value.
    there = tuple(name for name in SERIES if name not in lacking)
    rest = shift_hardware(cells[:, [AT[name] for name in there]], there, machine)
    np.testing.assert_allclose(rest, moved[:, [AT[name] for name in there]], rtol=1e-6)


def test_machines_hardly_differ_in_sizes_and_traffic_but_much_in_what_is_read_from_disk() -> None:
    nothing_else = windows(2000)
    nothing_else[:, [AT["rootfs_used_bytes"], AT["logsfs_used_bytes"]]] *= 1e6  # beside which an offset is nothing
    moved = shift_hardware(nothing_else, SERIES, draw_hardware(2000, np.random.default_rng(1)))
    spread = dict(zip(SERIES, np.log(moved[:, :, 0] / nothing_else[:, :, 0]).std(axis=0), strict=True))
    alike = [spread[f"{name}_bytes"] for name in ("rootfs_used", "logsfs_used", "volume_used", "rx", "tx")]
    assert min(alike) > 0
    assert max(alike) < spread["memory_rss_bytes"] < spread["memory_page_faults"] < spread["cpu_usage_nanocores"] < 0.5
    assert spread["memory_rss_bytes"] < spread["io_write_bytes"] < 0.5
    assert 0.5 < spread["io_read_bytes"] < 1.2
    assert 0.5 < spread["memory_major_page_faults"] < 1.2


def test_a_machine_adds_something_to_files_and_memory_only() -> None:
    nothing = np.zeros((500, len(SERIES), 10), dtype=np.float32)
    moved = shift_hardware(nothing, SERIES, draw_hardware(500, np.random.default_rng(1)))
    added = {name: float(np.median(moved[:, AT[name]])) for name in SERIES}
    assert {name for name, bytes_ in added.items() if bytes_} == {
        "memory_working_set_bytes", "memory_usage_bytes", "rootfs_used_bytes", "logsfs_used_bytes",
    }  # fmt: skip
    assert added["logsfs_used_bytes"] < added["rootfs_used_bytes"] < 100e3 < added["memory_usage_bytes"] < 5e6


def test_thinning_keeps_the_first_row_of_each_interval_of_every_container() -> None:
    rows = read_rows(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=100))
    interval_s = np.array([0.0, 10.0, 10.0, 25.0])
    thinned = downsample(rows, interval_s, np.random.default_rng(0))
    left = [thinned.offset_s[thinned.code == number] for number in range(4)]
    whole = [rows.offset_s[rows.code == number] for number in range(4)]
    np.testing.assert_array_equal(left[0], whole[0])
    for own, every, step_s in zip(left[1:], whole[1:], interval_s[1:], strict=True):
        assert own[0] == every[0]
        assert set(own) <= set(every)
        assert 0 < own[1] - own[0] < step_s + 1.5
        np.testing.assert_allclose(np.diff(own)[1:], step_s, atol=1.5)
        assert own[-1] > 100 - step_s - 1.5
    assert abs(left[1][1] - left[2][1]) > 0.5, "each has a phase of its own"


def test_longer_intervals_are_drawn_evenly_on_a_log_scale_between_twice_the_own_and_the_longest() -> None:
    drawn = draw_intervals_s(np.full(4000, 5.0), 1000.0, np.random.default_rng(0))
    assert drawn.min() >= 10
    assert drawn.max() < 1000
    np.testing.assert_allclose(np.log10(np.quantile(drawn, [0.25, 0.5, 0.75])), [1.5, 2.0, 2.5], atol=0.06)
    assert 2 <= draw_intervals_s(np.array([0.0]), 10.0, np.random.default_rng(0))[0] < 10


def test_without_room_for_a_longer_interval_the_own_one_stays() -> None:
    drawn = draw_intervals_s(np.array([30.0, 40.0, 29.0]), 60.0, np.random.default_rng(0))
    assert drawn[:2].tolist() == [0.0, 0.0]
    assert 58 <= drawn[2] < 60


def test_each_copy_lacks_what_some_cluster_lacks_and_all_that_is_made_of_it() -> None:
    names = feature_names(SERIES)
    matrix = np.ones((600, len(names)), dtype=np.float32)
    dropped = drop_columns(matrix, names, np.random.default_rng(0))
    assert not np.isnan(matrix).any()
    lacks = set()
    for row in np.isnan(dropped):
        lost = {name.partition(".")[0] for name, gone in zip(names, row, strict=True) if gone and "." in name}
        lost -= set(DERIVED)
        assert row.tolist() == [any(series in lost for series in series_in(name)) for name in names]
        lacks.add(frozenset(lost))
    disk = {"io_read_bytes", "io_write_bytes"}
    files, volume, net = {"rootfs_used_bytes", "logsfs_used_bytes"}, {"volume_used_bytes"}, {"rx_bytes", "tx_bytes"}
    two_only = set(SERIES) - {"cpu_usage_nanocores", "memory_working_set_bytes"}
    wanted = (disk, disk | volume, files | volume, disk | files | volume, disk | files | volume | net, two_only)
    assert lacks == {frozenset(lack) for lack in wanted}


def test_some_copies_lack_all_but_the_metrics_that_telegraf_has_always_written() -> None:
    names = feature_names(series_of(FEATURE_METRICS))
    dropped = drop_columns(np.ones((600, len(names)), dtype=np.float32), names, np.random.default_rng(0))
    original = [all(series in SERIES for series in series_in(name)) for name in names]
    assert not all(original)
    assert sum(row.tolist() == original for row in ~np.isnan(dropped)) > 20
