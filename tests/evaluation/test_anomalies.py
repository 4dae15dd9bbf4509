"""Metrics of anomaly detection against naive twins, and controls that must come out as chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from podlab.data.draws import FIRST_COLUMNS
from podlab.evaluation.anomalies import (
    WIDTHS_S,
    FaultSpans,
    auroc,
    effects_of,
    fault_events,
    find_faults,
    poisson_rate,
    read_fault_recording,
    score_fault_kinds,
    score_faults,
    vus_pr,
)
from tests.detect.conftest import leak
from tests.support.synthetic import make_samples


def naive_vus_pr(score: list[float], time_s: list[float], faults: FaultSpans) -> float:
    """The same by counting, threshold by threshold."""
    areas = []
    spans = list(zip(faults.first.tolist(), faults.last.tolist(), strict=True))
    for width_s in WIDTHS_S:
        weight, inside = [0.0] * len(score), [False] * len(score)
        for row, at_s in enumerate(time_s):
            for first, last in spans:
                far_s = max(time_s[first] - at_s, at_s - time_s[last], 0.0)
                if first <= row <= last:
                    inside[row], weight[row] = True, 1.0
                elif far_s <= width_s / 2 and not inside[row]:
                    weight[row] = max(weight[row], (1 - far_s / width_s) ** 0.5 if width_s else 1.0)
        for first, last in spans:
            for row in range(first, last + 1):
                weight[row] = 1.0
        area, before = 0.0, 0.0
        for threshold in sorted(set(score), reverse=True):
            chosen = [row for row, value in enumerate(score) if value >= threshold]
            found = sum(weight[row] for row in chosen)
            outside = sum(weight[row] for row in chosen if not inside[row])
            hit = 0
            for first, last in spans:
                near = [
                    row
                    for row in chosen
                    if max(time_s[first] - time_s[row], time_s[row] - time_s[last], 0.0) <= width_s / 2
                ]
                hit += bool(near)
            recall = min(found / (sum(inside) + outside / 2), 1.0) * hit / len(spans)
            area += max(recall - before, 0.0) * found / len(chosen)
            before = recall
        areas.append(area)
    return sum(areas) / len(areas)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans(), st.integers(1, 6)), min_size=2, max_size=25
    )
)
@settings(max_examples=60, deadline=None)
def test_is_the_naive_twin(rows: list[tuple[float, bool, int]]) -> None:
    marked = np.array([row[1] for row in rows])
    marked[0] = True
    score, time_s = np.array([row[0] for row in rows]), np.cumsum([float(row[2]) for row in rows])
    faults = find_faults(marked)
    assert vus_pr(score, time_s, faults) == pytest.approx(naive_vus_pr(score.tolist(), time_s.tolist(), faults))
    if not marked.all():
        assert auroc(score, marked) == pytest.approx(roc_auc_score(marked, score))


def test_a_perfect_score_is_1_and_a_constant_one_is_the_share_of_faults() -> None:
    marked = np.zeros(1000, dtype=bool)
    marked[400:500] = True
    time_s, faults = np.arange(1000.0), find_faults(marked)
    assert vus_pr(marked.astype(float), time_s, faults) > 0.95
    assert vus_pr(np.zeros(1000), time_s, faults) == pytest.approx(0.1, abs=0.02)
    assert vus_pr(np.random.default_rng(0).random(1000), time_s, faults) == pytest.approx(0.1, abs=0.03)
    assert auroc(np.zeros(1000), marked) == 0.5
    assert np.isnan(auroc(np.zeros(3), np.zeros(3, dtype=bool)))


def test_faults_of_two_kinds_that_touch_are_two() -> None:
    marked = np.array([0, 1, 1, 1, 0, 1], dtype=bool)
    kind = np.array([None, "a", "a", "b", None, "b"], dtype=object)
    found = find_faults(marked, kind)
    assert list(zip(found.first.tolist(), found.last.tolist(), strict=True)) == [(1, 2), (3, 3), (5, 5)]
    assert find_faults(marked).first.tolist() == [1, 5]
    assert not find_faults(np.zeros(0, dtype=bool)).first.size


def test_a_recording_is_scored_fault_by_fault() -> None:
    broken = leak(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=40), begin_s=30)
    broken["anomaly_kind"] = pd.Series("memory-leak", index=broken.index).where(broken["anomaly"])
    normal = make_samples(("mysql",), deployments_per_service=1, seconds=40).assign(anomaly=False)
    recording = read_fault_recording(pd.concat([broken, normal], ignore_index=True))
    assert set(recording.services) == {"nginx", "redis"}, "only deployments with a fault"
    assert not (recording.before_faults & recording.is_fault).any()
    late = recording.rows.offset_s >= 34.0
    score = np.where(late & (recording.service == "nginx"), 2.0, 0.5)
    events = fault_events(recording, score)
    assert events.groupby("service")["found"].all().to_dict() == {"nginx": True, "redis": False}
    assert events["delay_s"].dropna().tolist() == pytest.approx([4.0, 4.0], abs=0.1)
    found = score_faults(recording, score)
    assert found["recall"].value == 0.5
    assert (found["false_alarms"], found["faults"], found["deployments"]) == (0.0, 4, 4)
    assert found["vus_pr"].low <= found["vus_pr"].value <= found["vus_pr"].high
    [kind] = score_fault_kinds(recording, score).to_dict("records")
    assert (kind["kind"], kind["faults"], kind["recall"]) == ("memory-leak", 4, 0.5)
    assert kind["low"] < 0.5 < kind["high"]


def test_a_rate_has_poisson_s_exact_limits() -> None:
    none, four = poisson_rate(0, 2.0), poisson_rate(4, 2.0)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(3.689 / 2, abs=1e-3)
    assert (four.low, four.value, four.high) == pytest.approx((1.0899 / 2, 2.0, 10.2416 / 2), abs=1e-3)
    assert np.isnan(poisson_rate(0, 0.0).value)


@pytest.mark.parametrize(("felt", "said"), [(True, "noticed"), (False, "not noticed"), (None, None)])
def test_what_users_noticed_of_a_fault_is_read_from_the_table_beside_the_recording(
    tmp_path: Path, felt: bool | None, said: str | None
) -> None:
    broken = leak(make_samples(["redis"], deployments_per_service=2, seconds=100, seed=5), begin_s=80)
    broken["anomaly_kind"] = pd.Series("memory-leak", index=broken.index).where(broken["anomaly"])
    found = read_fault_recording(broken)
    first = found.samples[found.is_fault & (found.samples["deployment"] == "redis-0")]["time"]
    told = [
        {
            "kind": "memory-leak",
            "begin": first.min().isoformat(),
            "end": first.max().isoformat(),
            "effect": {"felt": felt},
        }
    ]
    lines = [dict.fromkeys(FIRST_COLUMNS, "-") | {"deployment": "redis-0", "faults": json.dumps(told)}]
    pd.DataFrame(lines).to_csv(tmp_path / "mine-draws.csv", index=False)
    effect = effects_of(found, [tmp_path / "mine-faults.parquet", tmp_path / "no-table-faults.parquet"])
    own = found.is_fault & (found.samples["deployment"] == "redis-0").to_numpy()
    assert own.any()
    assert set(effect[own]) == {said}
    assert not any(effect[~own])
