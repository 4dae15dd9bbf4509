from __future__ import annotations

import pandas as pd
import pytest

from podlab.audit.windows import START_UP, STEADY_STATE, cut_windows, number_within
from podlab.errors import InputError
from podlab.features.features import extract_features
from podlab.features.windows import make_windows
from tests.support.synthetic import make_samples


def test_the_start_up_window_is_that_of_identification(samples: pd.DataFrame) -> None:
    windows = cut_windows(samples, length_s=10)[START_UP]
    pd.testing.assert_frame_equal(windows.X, extract_features(make_windows(samples, horizon_s=10.0)))
    assert windows.deployments["deployment"].is_unique
    assert (windows.deployments["begin"] == windows.deployments["started_at"]).all()
    assert set(windows.deployments["load"]) == {"idle", "steady"}


def test_the_steady_state_begins_a_window_after_the_start_or_later(samples: pd.DataFrame) -> None:
    windows = cut_windows(samples, length_s=10)[STEADY_STATE].deployments
    begin_s = (windows["begin"] - windows["born"]).dt.total_seconds()
    assert begin_s.between(14, 16).all()
    assert ((windows["end"] - windows["begin"]).dt.total_seconds() == 10).all()
    # 30 s hold no 16 s that begin 16 s after the start.
    assert list(cut_windows(samples, length_s=16)) == [START_UP]


def test_replicas_and_later_instances_of_a_deployment_count_once(samples: pd.DataFrame) -> None:
    life = samples[samples["deployment"] == "nginx-0"]
    again = life.assign(
        started_at=life["started_at"] + pd.Timedelta(hours=1), time=life["time"] + pd.Timedelta(hours=1)
    )
    replica = life.assign(pod="other-pod")
    by_window = cut_windows(pd.concat([again, replica, samples], ignore_index=True), length_s=10)
    own = by_window[START_UP].deployments
    assert len(own) == 24
    assert own.loc[own["deployment"] == "nginx-0", "born"].to_list() == [life["started_at"].iloc[0]]


def test_deployments_with_faults_and_rows_without_labels_are_left_out(samples: pd.DataFrame) -> None:
    faulty = samples["deployment"] == "nginx-0"
    unlabelled = samples["deployment"] == "redis-1"
    told = samples.assign(
        anomaly=pd.array(faulty & (samples.groupby("deployment").cumcount() == 5), dtype="boolean"),
        service=samples["service"].mask(unlabelled),
    )
    left = set(cut_windows(told, length_s=10)[START_UP].deployments["deployment"])
    assert left == set(samples["deployment"]) - {"nginx-0", "redis-1"}


def test_a_start_that_nobody_knows_is_the_first_row(samples: pd.DataFrame) -> None:
    unknown = samples.assign(started_at=pd.Series(pd.NaT, index=samples.index, dtype="datetime64[ns, UTC]"))
    own = cut_windows(unknown, length_s=10)[START_UP].deployments.set_index("pod")
    first = samples.groupby("pod")["time"].min()
    assert (own["born"] == first.reindex(own.index)).all()


def test_features_can_be_chosen_by_column(samples: pd.DataFrame) -> None:
    windows = cut_windows(samples, length_s=10)[START_UP].only(("rx_bytes", "tx_bytes"))
    assert {name.partition(".")[0] for name in windows.X} == {"rx_bytes", "tx_bytes", "rx_bytes/tx_bytes"}
    assert windows.X.shape == (24, 25)


def test_numbers_within_a_service_are_by_age() -> None:
    services = pd.Series(["a", "a", "a", "b", "b", "c"])
    versions = pd.Series(["9.1", "10.2", "9.1", "1.0-rc", "1.0", None], dtype="str")
    numbers = number_within(services, versions, "version")
    assert numbers[:5].to_list() == [
        "version 1 of 2", "version 2 of 2", "version 1 of 2", "version 2 of 2", "version 1 of 2",
    ]  # fmt: skip
    assert pd.isna(numbers[5])


def test_what_shows_no_window_is_refused(samples: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no row has a deployment"):
        cut_windows(samples.drop(columns="deployment"))
    with pytest.raises(InputError, match="every labelled deployment has a fault"):
        cut_windows(samples.assign(anomaly=pd.array([True] * len(samples), dtype="boolean")))
    lone = make_samples(("nginx",), deployments_per_service=2, seconds=12)
    with pytest.raises(InputError, match="fewer than 2 services"):
        cut_windows(lone, length_s=10)
    assert list(cut_windows(lone, length_s=10, fewest_services=1)) == [START_UP]
