"""The library: who gets a detector, what it is learned from, and that ranks and threshold need no faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from podlab.data.recordings import read_recording
from podlab.detect import Detector, DetectorLibrary, FaultDetector, default_estimators, fit_library
from podlab.detect.library import count_alarms
from podlab.features.rows import read_rows
from tests.detect.conftest import SERVICES, leak
from tests.detect.test_scoring import own_services, run
from tests.support.synthetic import make_samples


def test_every_service_has_a_detector_and_says_what_it_learned_from(library: DetectorLibrary) -> None:
    assert sorted(library.detectors) == sorted(SERVICES)
    for detector in library.detectors.values():
        assert detector.deployments == 8
        assert detector.rows > 8 * 85
    assert library.pooled.deployments == 24


def test_the_same_samples_give_the_same_library(library: DetectorLibrary) -> None:
    samples = make_samples(SERVICES, deployments_per_service=8, seconds=90)
    again = fit_library(samples, make_estimators=default_estimators)
    assert again is not None
    assert again.threshold == library.threshold
    for service, detector in library.detectors.items():
        assert np.array_equal(detector.scaler.location, again.detectors[service].scaler.location)
        assert np.array_equal(detector.evidence_ecdf.levels, again.detectors[service].evidence_ecdf.levels)


def test_nothing_is_learned_from_a_fault_or_after_it() -> None:
    normal = make_samples(SERVICES, deployments_per_service=4, seconds=60)
    faulty = leak(normal, begin_s=40)
    only_before = normal[~faulty["anomaly"].astype(bool)].reset_index(drop=True)
    a, b = (fit_library(each, make_estimators=default_estimators) for each in (faulty, only_before))
    assert a is not None
    assert b is not None
    assert a.threshold == b.threshold
    assert np.array_equal(a.pooled.scaler.location, b.pooled.scaler.location)


def test_detectors_learn_from_synthetic_faults_where_runs_are_long_enough_for_one_and_half_an_hour_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short, long = (make_samples(SERVICES, deployments_per_service=2, seconds=seconds) for seconds in (25, 40))
    little = fit_library(long)
    assert little is not None
    assert isinstance(little.pooled, Detector)
    monkeypatch.setattr("podlab.detect.library._LEAST_DAYS", 0.0)
    for samples, kind in ((short, Detector), (long, FaultDetector)):
        found = fit_library(samples)
        assert found is not None
        assert isinstance(found.pooled, kind)


@pytest.mark.parametrize(("per_service", "kind"), [(3, Detector), (4, FaultDetector)])
def test_half_an_hour_of_a_real_recording_gives_detectors_that_rank_a_leak_above_normal_operation(
    per_service: int, kind: type
) -> None:
    recording = read_recording([Path(__file__).parents[2] / "data" / "recordings" / "first.parquet"])
    recording = recording[recording["service"].isin(SERVICES) & (recording["time"].dt.second % 2 == 0)]
    turn = recording.groupby("service")["deployment"].transform(lambda own: pd.factorize(own)[0])
    found = fit_library(recording[turn < per_service].reset_index(drop=True))
    assert found is not None
    assert isinstance(found.pooled, kind)
    rows = read_rows(leak(recording[turn >= 6].reset_index(drop=True), begin_s=120))
    rarity = run(found, rows, own_services(rows))["rarity"]
    late = rows.offset_s > 140
    assert late.sum() > 100
    assert np.median(rarity[late]) > np.quantile(rarity[rows.offset_s < 120], 0.99)
    assert (rarity[rows.offset_s < 120] < 1).mean() > 0.99


def test_a_library_looks_at_the_metrics_that_it_learned_from() -> None:
    samples = make_samples(SERVICES, deployments_per_service=2, seconds=40)
    found = fit_library(samples, columns=["memory_rss_bytes", "rx_bytes"], make_estimators=default_estimators)
    assert found is not None
    assert found.metrics == ("memory_rss_bytes", "rx_bytes")


def test_a_service_recorded_once_is_left_to_the_pooled_detector() -> None:
    samples = make_samples(SERVICES, deployments_per_service=4, seconds=60)
    once = samples[(samples["service"] != "redis") | (samples["deployment"] == "redis-0")].reset_index(drop=True)
    found = fit_library(once)
    assert found is not None
    assert sorted(found.detectors) == ["mysql", "nginx"]


@pytest.mark.parametrize("few", [1, 20])
def test_too_little_gives_none(few: int) -> None:
    samples = make_samples(SERVICES, deployments_per_service=2, seconds=10)
    assert fit_library(samples.head(few)) is None


def test_columns_and_services_limit_what_is_learned() -> None:
    samples = make_samples(SERVICES, deployments_per_service=3, seconds=40)
    found = fit_library(samples, columns=["memory_rss_bytes"], services=["nginx", "redis"])
    other = fit_library(samples[samples["service"] != "mysql"].assign(rx_bytes=pd.NA), columns=["memory_rss_bytes"])
    assert found is not None
    assert other is not None
    assert sorted(found.detectors) == ["nginx", "redis"]
    assert np.array_equal(found.pooled.scaler.location, other.pooled.scaler.location)


def test_any_detector_of_scikit_learn_can_take_part() -> None:
    samples = make_samples(SERVICES[:2], deployments_per_service=3, seconds=40)
    found = fit_library(samples, make_estimators=lambda seed: [IsolationForest(n_estimators=20, random_state=seed)])
    assert found is not None
    assert isinstance(found.pooled.change_ensemble.components[0], IsolationForest)


def test_alarms_near_each_other_are_one() -> None:
    strange = np.array([1, 0, 1, 0, 1, 1], dtype=bool)
    time_s = np.array([0.0, 10.0, 20.0, 60.0, 100.0, 5.0])
    assert count_alarms(strange, time_s, np.array([0, 0, 0, 0, 0, 1])) == 3
    assert count_alarms(np.zeros(6, dtype=bool), time_s, np.zeros(6, dtype=np.int64)) == 0


def test_the_pooled_detector_learns_from_some_containers_where_there_are_many_rows(
    library: DetectorLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = library.pooled.rows
    monkeypatch.setattr("podlab.detect.library._MAX_POOLED_ROWS", whole // 2 + 1)
    samples = make_samples(SERVICES, deployments_per_service=8, seconds=90)
    half = fit_library(samples, make_estimators=default_estimators)
    assert half is not None
    assert half.pooled.rows == pytest.approx(whole / 2, rel=0.05)
    assert half.detectors["redis"].rows == library.detectors["redis"].rows
