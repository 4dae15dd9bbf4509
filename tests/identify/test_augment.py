"""Copies of windows on other machines: plausible, and never a leak of what is missing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from podlab.data.catalogue import FEATURE_METRICS
from podlab.features.windows import series_of
from podlab.identify.augment import draw_machines, move_to_machines

SERIES = series_of(FEATURE_METRICS)
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
    moved = move_to_machines(windows(), SERIES, draw_machines(200, np.random.default_rng(1)))
    assert moved.dtype == np.float32
    assert np.all(moved >= 0)
    assert np.all(moved[:, RESIDENT] <= moved[:, WORKING] * 1.000001)
    assert np.all(moved[:, WORKING] <= moved[:, USAGE] * 1.000001)


def test_machines_differ_and_a_machine_changes_all_cells_alike() -> None:
    cells = windows()
    moved = move_to_machines(cells, SERIES, draw_machines(200, np.random.default_rng(1)))
    factor = moved[:, AT["cpu_usage_nanocores"]] / cells[:, AT["cpu_usage_nanocores"]]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[:, :1], factor.shape), rtol=1e-5)
    assert 0.25 < np.log(factor[:, 0]).std() < 0.45
    assert abs(np.log(factor[:, 0]).mean()) < 0.1  # neither faster nor slower than the recorded one


def test_a_container_stays_on_its_machine_in_every_look() -> None:
    cells, machine = windows(), draw_machines(200, np.random.default_rng(1))
    both = move_to_machines(cells, SERIES, machine)
    some = [3, 50, 199]
    np.testing.assert_array_equal(move_to_machines(cells[some], SERIES, machine[some]), both[some])


@given(lacking=st.sets(st.sampled_from(SERIES), max_size=len(SERIES) - 1))
def test_what_is_not_measured_is_not_measured_elsewhere(lacking: set[str]) -> None:
    cells, machine = windows(5), draw_machines(5, np.random.default_rng(2))
    blank = cells.copy()
    blank[:, [AT[name] for name in lacking]] = np.nan
    moved = move_to_machines(blank, SERIES, machine)
    np.testing.assert_array_equal(np.isnan(moved), np.isnan(blank))
    # A series that is no column at all is like one without a value.
    there = tuple(name for name in SERIES if name not in lacking)
    rest = move_to_machines(cells[:, [AT[name] for name in there]], there, machine)
    np.testing.assert_allclose(rest, moved[:, [AT[name] for name in there]], rtol=1e-6)
