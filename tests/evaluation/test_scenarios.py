"""Scenarios change samples as another cluster would have collected them, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.scenarios import (
    Scenario,
    apply_scenario,
    columns_of_set,
    move_to_another_machine,
)
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def dataset():
    short = make_samples(("nginx", "mysql"), deployments_per_service=3, seconds=40)
    return read_dataset(pd.concat([short, make_samples(("redis",), deployments_per_service=2, seconds=90)]))


def show(dataset, **how):
    seen = apply_scenario(dataset, Scenario("group", "name", **how), np.random.default_rng(1))
    offset_s = pd.Series(dataset.offset_s()[seen.index], index=seen.index)
    return seen, offset_s.groupby(dataset.code[seen.index])


def test_as_recorded_nothing_changes(dataset):
    seen, _ = show(dataset)
    pd.testing.assert_frame_equal(seen, dataset.samples)


def test_a_segment_mid_run_begins_late_lasts_its_length_and_shows_no_start(dataset):
    seen, offset_s = show(dataset, segment_s=20.0, settled_s=15.0)
    assert (offset_s.min() >= 15).all()
    assert ((offset_s.max() - offset_s.min()).between(17.5, 20)).all()
    assert offset_s.min().nunique() == offset_s.ngroups == 8, "each begins at its own moment"
    seen, offset_s = show(dataset, segment_s=60.0, settled_s=15.0)
    assert set(seen["service"]) == {"redis"}, "others were not recorded for so long"


def test_sparser_sampling_keeps_one_row_of_each_interval_from_a_phase_of_its_own(dataset):
    seen, offset_s = show(dataset, interval_s=10.0)
    gaps = offset_s.diff().dropna()
    assert gaps.between(8.5, 11.5).all()
    assert offset_s.min().between(0, 10.5).all()
    assert offset_s.min().std() > 1
    assert len(seen) == pytest.approx(len(dataset.samples) / 10, rel=0.2)


def test_a_kubelet_measures_sparsely_and_the_network_apart(dataset):
    seen, offset_s = show(dataset, kubelet=True, segment_s=60.0, settled_s=15.0)
    assert set(seen["service"]) == {"redis"}
    assert offset_s.diff().dropna().between(8, 22).all()
    assert seen["network_age_seconds"].abs().max() > 1
    recorded, _ = show(dataset, segment_s=60.0, settled_s=15.0)
    assert set(seen.index) < set(recorded.index), "the same segments, and some of their rows"


def test_only_long_ones_and_only_some_columns(dataset):
    seen, _ = show(dataset, recorded_s=80.0, columns=columns_of_set("CPU and memory"))
    assert set(seen["service"]) == {"redis"}
    assert {name.split("_")[0] for name in seen if name in ORIGINAL_METRICS} == {"cpu", "memory"}
    assert {"pod", "started_at", "deployment"} <= set(seen)


def test_another_machine_changes_all_containers_alike_and_keeps_what_must_hold():
    samples = make_samples(("nginx",), deployments_per_service=3, seconds=10)
    # What holds in every container: resident memory is part of the working set, and that of all memory.
    samples["memory_working_set_bytes"] = samples["memory_rss_bytes"] * 1.5
    samples["memory_usage_bytes"] = samples["memory_rss_bytes"] * 2
    samples.loc[3, "rx_bytes"] = pd.NA
    moved = move_to_another_machine(samples, np.random.default_rng(2))
    assert moved.dtypes.equals(samples.dtypes)
    assert pd.isna(moved.loc[3, "rx_bytes"])
    untouched = [name for name in samples if name not in ORIGINAL_METRICS]
    pd.testing.assert_frame_equal(moved[untouched], samples[untouched])
    assert (moved["memory_rss_bytes"] <= moved["memory_working_set_bytes"]).all()
    assert (moved["memory_working_set_bytes"] <= moved["memory_usage_bytes"]).all()
    for name in ("cpu_usage_core_nanoseconds", "memory_rss_bytes", "tx_bytes"):
        large = samples[name] > 1000
        ratio = (moved[name][large] / samples[name][large]).astype(float)
        assert ratio.std() < 0.01, name
        assert 0.4 < ratio.mean() < 2.5
    again = move_to_another_machine(samples, np.random.default_rng(3))
    assert not again["tx_bytes"].equals(moved["tx_bytes"])


def test_a_recording_without_some_metrics_can_move_too():
    samples = make_samples(("nginx",), deployments_per_service=2, seconds=5, columns=("memory_usage_bytes",))
    moved = move_to_another_machine(samples, np.random.default_rng(0))
    assert list(moved) == list(samples)
    before, after = samples["memory_usage_bytes"], moved["memory_usage_bytes"]
    factor, offset = np.polyfit(before.astype(float), after.astype(float), 1)
    assert 0.8 <= factor <= 1.25
    assert abs(factor - 1) > 0.01
    assert 0 <= offset <= 4 * 2**20
    assert (factor * before + offset - after).abs().max() < 2
