"""Samples of each second as a real kubelet would have told them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.data.catalogue import AGES, MEASURED_METRICS
from podlab.data.samples import check_samples
from podlab.features.cadence import at_kubelet_cadence
from podlab.features.windows import make_windows
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "redis"), deployments_per_service=5, seconds=400, columns=MEASURED_METRICS)


@pytest.fixture(scope="module")
def told(samples: pd.DataFrame) -> pd.DataFrame:
    return at_kubelet_cadence(samples, seed=7)


def test_rows_come_each_ten_to_twenty_seconds(told: pd.DataFrame) -> None:
    steps_s = told.groupby("pod")["time"].diff().dropna().dt.total_seconds()
    assert steps_s.between(8, 22).all()
    assert 13 < steps_s.mean() < 17


def test_each_group_is_measured_apart(told: pd.DataFrame) -> None:
    network = told["network_age_seconds"].dropna()
    assert network.between(-20, 16.5).all()
    assert network.min() < -8
    assert network.max() > 8
    for name in ("filesystem_age_seconds", "volume_age_seconds"):
        age_s = told[name].dropna()
        assert age_s.max() > 40
        assert age_s.between(-20, 96).all()


def test_file_systems_are_measured_once_a_minute(told: pd.DataFrame) -> None:
    taken = told["time"] - pd.to_timedelta(told["filesystem_age_seconds"], unit="s")
    for _, own in taken.groupby(told["pod"]):
        since_s = (own.dropna() - own.min()).dt.total_seconds().to_numpy()
        assert since_s.max() > 290
        # Seen is the sample before the measurement, up to a second older.
        assert (np.abs(since_s - 60 * np.round(since_s / 60)) < 1.8).all()


def test_values_are_those_of_their_own_times(samples: pd.DataFrame, told: pd.DataFrame) -> None:
    at = samples.set_index(["pod", "time"])
    for row in told.head(40).to_dict("records"):
        assert at.loc[(row["pod"], row["time"]), "threads"] == row["threads"]
        for family, column in (("network", "rx_packets"), ("filesystem", "rootfs_used_bytes"),
                               ("volume", "volume_used_bytes")):  # fmt: skip
            age_s = row[AGES[family]]  # type: ignore[index]
            if pd.isna(age_s):
                assert pd.isna(row[column])
                continue
            of_pod = at.loc[row["pod"]]
            near = abs((of_pod.index - (row["time"] - pd.Timedelta(age_s, "s"))).total_seconds())
            assert of_pod[column].iloc[int(near.argmin())] == row[column]


def test_the_same_seed_gives_the_same_whatever_else_is_there(samples: pd.DataFrame, told: pd.DataFrame) -> None:
    one = samples["pod"].iloc[0]
    alone = at_kubelet_cadence(samples[samples["pod"] == one], seed=7)
    pd.testing.assert_frame_equal(alone, told[told["pod"] == one].reset_index(drop=True))
    assert len(at_kubelet_cadence(samples, seed=8)) != len(told) or not at_kubelet_cadence(samples, seed=8).equals(told)


def test_containers_of_a_pod_share_the_moments_of_its_network(samples: pd.DataFrame) -> None:
    main = samples[samples["pod"] == samples["pod"].iloc[0]]
    both = check_samples(pd.concat([main, main.assign(container="side")]), where="both")
    told = at_kubelet_cadence(both)
    taken = told["time"] - pd.to_timedelta(told["network_age_seconds"], unit="s")
    moments = [set(taken[told["container"] == name].dropna().dt.round("10ms")) for name in ("main", "side")]
    assert len(moments[0] & moments[1]) > 0.5 * len(moments[0])
    assert (
        told.loc[told["container"] == "main", "time"].tolist() != told.loc[told["container"] == "side", "time"].tolist()
    )


def test_rates_of_the_network_stay_true(samples: pd.DataFrame, told: pd.DataFrame) -> None:
    true, thin = (make_windows(each, horizon_s=300.0, columns=["rx_bytes"]).cells[:, 0] for each in (samples, told))
    blind = make_windows(told.drop(columns="network_age_seconds"), horizon_s=300.0, columns=["rx_bytes"]).cells[:, 0]
    assert np.abs(thin - true).mean() < np.abs(blind - true).mean()


def test_who_has_no_uid_is_told_apart_by_name(samples: pd.DataFrame) -> None:
    short = samples[samples["time"] < samples["started_at"] + pd.Timedelta("60s")]
    nameless = check_samples(short.drop(columns=["pod_uid", "namespace", "started_at"]), where="nameless")
    assert set(at_kubelet_cadence(nameless)["pod"]) == set(samples["pod"])
