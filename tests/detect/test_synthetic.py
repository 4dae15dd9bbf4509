"""Synthetic faults: physically possible, marked where they are, and the same for the same seed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.detect.synthetic import FAULTS, FIRST_ONSET_S, NORMAL_EVENTS, inject_faults
from podlab.errors import InputError
from tests.support.synthetic import make_samples

COUNTERS = [name for name in MEASURED_METRICS if CATALOGUE[name].kind == "counter"]
GAUGES = [name for name in MEASURED_METRICS if CATALOGUE[name].kind == "gauge"]


@cache
def _normal() -> pd.DataFrame:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=50, columns=MEASURED_METRICS)
    samples.loc[5:8, ["rx_bytes", "memory_rss_bytes"]] = pd.NA
    return samples.sort_values([*INSTANCE_KEY, "time"], ignore_index=True)


@pytest.fixture
def normal() -> pd.DataFrame:
    return _normal().copy()


def growth(samples: pd.DataFrame, name: str) -> pd.Series:
    return samples.groupby(list(INSTANCE_KEY), dropna=False)[name].diff()


def faults(normal: pd.DataFrame, kind: str, number: int = 3) -> list[tuple[pd.DataFrame, np.ndarray]]:
    """Several draws of one kind of fault: the samples, and where the fault is."""
    made = [inject_faults(normal, seed=seed, kinds=[kind]) for seed in range(number)]
    return [(each, each["anomaly"].to_numpy(bool)) for each in made]


@given(kind=st.sampled_from([*FAULTS, *NORMAL_EVENTS]), seed=st.integers(0, 2**31), number=st.integers(1, 2))
@settings(max_examples=8, deadline=None)
def test_counters_stay_counters_and_what_was_missing_stays_missing(kind: str, seed: int, number: int) -> None:
    normal = _normal()
    faulty = inject_faults(normal, seed=seed, kinds=[kind], faults_per_container=number)
    for name in COUNTERS:
        fell = (growth(faulty, name) < 0).fillna(False) & ~(growth(normal, name) < 0).fillna(False)
        assert not fell.any(), name
    assert (faulty[GAUGES].fillna(0) >= 0).all(axis=None)
    assert faulty[list(MEASURED_METRICS)].isna().equals(normal[list(MEASURED_METRICS)].isna())


@given(kind=st.sampled_from(list(FAULTS)), seed=st.integers(0, 2**31))
@settings(max_examples=5, deadline=None)
def test_rows_before_the_fault_are_untouched_and_the_fault_changes_some(kind: str, seed: int) -> None:
    normal = _normal()
    faulty = inject_faults(normal, seed=seed, kinds=[kind])
    before = ~faulty.groupby(list(INSTANCE_KEY), dropna=False)["anomaly"].cummax()
    metrics = list(MEASURED_METRICS)
    assert faulty.loc[before, metrics].equals(normal.loc[before, metrics])
    age_s = (faulty["time"] - faulty["started_at"]).dt.total_seconds()
    assert faulty["anomaly"].any()
    assert age_s[faulty["anomaly"]].min() >= FIRST_ONSET_S
    assert not faulty.loc[faulty["anomaly"], metrics].equals(normal.loc[faulty["anomaly"], metrics])
    assert (faulty["anomaly_kind"].notna() == faulty["anomaly"]).all()


def test_a_normal_event_changes_samples_and_is_no_fault(normal: pd.DataFrame) -> None:
    for kind in NORMAL_EVENTS:
        changed = inject_faults(normal, seed=1, kinds=[kind])
        assert not changed["anomaly"].any()
        inside = changed["anomaly_kind"] == kind
        assert not changed.loc[inside, list(MEASURED_METRICS)].equals(normal.loc[inside, list(MEASURED_METRICS)]), kind


def test_the_same_seed_gives_the_same_faults_and_another_one_others(normal: pd.DataFrame) -> None:
    first, again, other = (inject_faults(normal, seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, again)
    assert not first["anomaly"].equals(other["anomaly"])


def test_lost_traffic_takes_its_work_with_it(normal: pd.DataFrame) -> None:
    for faulty, inside in faults(normal, "traffic-loss"):
        for name in ("rx_bytes", "tx_packets", "cpu_usage_core_nanoseconds", "cpu_user_core_nanoseconds"):
            less = growth(faulty, name)[inside].sum() <= growth(normal, name)[inside].sum()
            assert less, name


def test_a_stalled_service_still_receives_some_of_what_it_no_longer_answers(normal: pd.DataFrame) -> None:
    seen = 0
    for faulty, during in faults(normal, "stall"):
        received, answered = (
            (growth(faulty, name) / growth(normal, name).where(lambda many: many > 100))[during].astype("float64")
            for name in ("rx_bytes", "tx_bytes")
        )
        both = received.notna() & answered.notna()
        assert (received[both] >= answered[both] - 0.02).all()
        assert received[both].max() <= 1.01
        assert answered[both].min() < 0.3
        seen += int(both.sum())
    assert seen > 10


def test_a_hog_is_limited_and_the_rest_becomes_waiting(normal: pd.DataFrame) -> None:
    for faulty, inside in faults(normal, "cpu-hog"):
        more = growth(faulty, "cpu_usage_core_nanoseconds") - growth(normal, "cpu_usage_core_nanoseconds")
        assert more[inside].sum() > 0
        assert (growth(faulty, "cpu_waiting_nanoseconds") >= growth(normal, "cpu_waiting_nanoseconds"))[inside].all()
        assert (faulty["cpu_usage_nanocores"] >= normal["cpu_usage_nanocores"])[inside].all()


def test_a_container_that_is_throttled_uses_no_more_than_it_did(normal: pd.DataFrame) -> None:
    # Its counters of throttling grow, so the most that it used is its limit.
    rate = growth(normal, "cpu_usage_core_nanoseconds") / normal["time"].diff().dt.total_seconds()
    limit = rate.groupby([normal[name] for name in INSTANCE_KEY], dropna=False).transform("max")
    for faulty, _ in faults(normal, "cpu-hog"):
        used = growth(faulty, "cpu_usage_core_nanoseconds") / faulty["time"].diff().dt.total_seconds()
        assert (used.dropna() <= 1.001 * limit[used.notna()] + 0.05e9).all()


def test_a_leak_moves_all_columns_of_memory_in_use(normal: pd.DataFrame) -> None:
    names = ["memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes"]
    for faulty, inside in faults(normal, "memory-leak"):
        more = (faulty[names] - normal[names])[inside].dropna()
        assert (more.sum() > 0).all()
        assert np.allclose(more["memory_usage_bytes"], more["memory_rss_bytes"])


def test_a_short_life_stays_as_it_is() -> None:
    samples = make_samples(("nginx",), deployments_per_service=2, seconds=20)
    faulty = inject_faults(samples)
    assert not faulty["anomaly"].any()
    pd.testing.assert_frame_equal(faulty[samples.columns], samples)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match="gremlin"):
        inject_faults(make_samples(("nginx",), deployments_per_service=1, seconds=30), kinds=["gremlin"])
