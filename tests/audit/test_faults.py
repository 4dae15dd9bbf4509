from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from podlab.audit import audit_faults
from podlab.evaluation.anomalies import read_fault_recording


@pytest.fixture(scope="module")
def faulty(samples: pd.DataFrame) -> pd.DataFrame:
    """nginx-0 leaks in samples 5 to 9 and hogs in 10 to 14; redis-1 leaks twice; the others are normal."""
    row = samples.groupby("deployment").cumcount()
    nginx, redis = samples["deployment"] == "nginx-0", samples["deployment"] == "redis-1"
    kind = pd.Series(pd.NA, index=samples.index, dtype="str")
    kind[(nginx & row.between(5, 9)) | (redis & (row.between(3, 4) | row.between(20, 23)))] = "leak"
    kind[nginx & row.between(10, 14)] = "hog"
    return samples.assign(anomaly=kind.notna().astype("boolean"), anomaly_kind=kind)


def test_faults_are_unbroken_runs_of_one_kind(faulty: pd.DataFrame) -> None:
    told, found = audit_faults(faulty)
    assert Counter(zip(told["service"], told["kind"], strict=True)) == {
        ("nginx", "leak"): 1, ("nginx", "hog"): 1, ("redis", "leak"): 2,
    }  # fmt: skip
    assert sorted(told["seconds"].round()) == [2, 4, 5, 5]
    assert told.loc[told["kind"] == "hog", "begin_s"].iloc[0] == pytest.approx(10, abs=1.2)
    assert found["seconds_inside"] == pytest.approx(16, abs=0.5)
    assert found["seconds_inside"] + found["seconds_outside"] == pytest.approx(60, abs=2)
    assert found["rows_labelled"] == found["rows"] == 60
    assert found["rows_without_kind"] == found["rows_kind_outside"] == 0


def test_a_fault_that_kills_its_container_is_one_fault_as_for_the_detectors(faulty: pd.DataFrame) -> None:
    restarted = faulty.copy()
    later = (restarted["deployment"] == "nginx-0") & (restarted.groupby("deployment").cumcount() >= 7)
    restarted.loc[later, "pod_uid"] = "second"
    told, _ = audit_faults(restarted)
    assert len(told) == len(audit_faults(faulty)[0])
    assert len(told) == sum(len(each.first) for each in read_fault_recording(restarted).faults)


def test_labels_that_contradict_each_other_are_counted(faulty: pd.DataFrame) -> None:
    told = faulty.copy()
    inside = told.index[told["anomaly_kind"] == "hog"]
    told.loc[inside[:2], "anomaly_kind"] = pd.NA
    told.loc[told.index[~told["anomaly"]][:3], "anomaly_kind"] = "leak"
    told.loc[told.index[told["deployment"] == "redis-1"][-4:], "anomaly"] = pd.NA
    faults, found = audit_faults(told)
    assert (found["rows_without_kind"], found["rows_kind_outside"]) == (2, 3)
    assert (found["rows"], found["rows_labelled"]) == (60, 56)
    assert "(unlabelled)" in set(faults["kind"])


def test_a_recording_of_normal_operation_has_none(samples: pd.DataFrame, faulty: pd.DataFrame) -> None:
    for normal in (samples, faulty[~faulty["anomaly"]]):
        faults, counts = audit_faults(normal)
        assert faults.empty
        assert counts["rows"] == 0
