"""Samples of each second as a real kubelet would have told them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.catalogue import AGES, MEASURED_METRICS
from podlab.data.samples import check_samples
from podlab.features.cadence import FETCHED_S, at_kubelet_cadence
from podlab.features.windows import make_windows
from tests.support.synthetic import EPOCH, make_samples


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


def test_each_family_is_measured_apart(told: pd.DataFrame) -> None:
    network, filesystem, volume = (told[AGES[family]].dropna() for family in ("network", "filesystem", "volume"))
    assert network.between(-19, 21).all()
    assert network.min() < -8
    assert network.max() > 8
    assert filesystem.between(-19, 11).all()
    assert volume.between(-19, 121).all()
    assert volume.max() > 80


def test_file_systems_are_measured_for_a_whole_node_at_once(told: pd.DataFrame) -> None:
    taken = told["time"] - pd.to_timedelta(told["filesystem_age_seconds"], unit="s")
    since_s = (taken - taken.groupby(told["node"]).transform("min")).dropna().dt.total_seconds()
    # Every ten seconds; seen is the sample before the measurement, up to a second older.
    assert ((since_s + 5) % 10).between(3.8, 6.2).all()


def test_a_young_pod_has_no_volumes_yet(told: pd.DataFrame) -> None:
    since_s = (told["time"] - told["started_at"]).dt.total_seconds()
    assert told.loc[since_s < 60 - 19, "volume_used_bytes"].isna().all()
    assert told.loc[since_s > 180, "volume_used_bytes"].notna().all()


def test_the_first_measurement_of_each_family_is_not_left_out(told: pd.DataFrame) -> None:
    """The second is at least 10 s after it, that of volumes 60 s; the sample that it saw is up to a second older."""
    for family, second_s in (("network", 10), ("filesystem", 10), ("volume", 60 + 60)):
        measured_s = (told["time"] - told["started_at"]).dt.total_seconds() - told[AGES[family]]  # type: ignore[index]
        assert (measured_s.groupby(told["pod"]).min() < second_s - 1).any(), family


def test_cpu_usage_is_the_mean_since_the_row_before(told: pd.DataFrame) -> None:
    for _, own in told.groupby("pod"):
        grown = own["cpu_usage_core_nanoseconds"].astype(float).diff() / own["time"].diff().dt.total_seconds()
        np.testing.assert_allclose(own["cpu_usage_nanocores"], grown)


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
    pd.testing.assert_frame_equal(alone, told[told["pod"] == one])
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


def test_what_was_measured_before_a_container_began_is_not_of_it(samples: pd.DataFrame) -> None:
    main = samples[samples["pod"] == samples["pod"].iloc[0]].head(44)
    both = check_samples(pd.concat([main, main.tail(4).assign(container="side")]), where="both")
    told = pd.concat([at_kubelet_cadence(both, seed) for seed in range(60)])
    of_side = told.loc[told["container"] == "side", "rx_packets"]
    # It is there for 4 s, and the network is measured each 10 to 20 s.
    assert len(of_side) > 10
    assert of_side.isna().mean() > 0.4


def test_rates_of_the_network_stay_true(samples: pd.DataFrame, told: pd.DataFrame) -> None:
    true, thin = (make_windows(each, horizon_s=300.0, columns=["rx_bytes"]).cells[:, 0] for each in (samples, told))
    blind = make_windows(told.drop(columns="network_age_seconds"), horizon_s=300.0, columns=["rx_bytes"]).cells[:, 0]
    assert np.abs(thin - true).mean() < np.abs(blind - true).mean()


def test_who_has_no_uid_is_told_apart_by_name(samples: pd.DataFrame) -> None:
    short = samples[samples["time"] < samples["started_at"] + pd.Timedelta("60s")]
    nameless = check_samples(short.drop(columns=["pod_uid", "namespace", "started_at"]), where="nameless")
    assert set(at_kubelet_cadence(nameless)["pod"]) == set(samples["pod"])


@st.composite
def growing_evenly(draw: st.DrawFn) -> tuple[pd.DataFrame, float]:
    """A pod of one or two containers, sampled at uneven times, whose counters grow at one rate; and that rate."""
    rate, rows = draw(st.floats(1e3, 1e9)), draw(st.integers(30, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    containers = []
    for name in ("main", "side")[: draw(st.integers(1, 2))]:
        offset_s = draw(st.floats(0, 15)) + np.cumsum(rng.uniform(0.7, 2.5, rows))
        counted = np.round(rate * offset_s).astype(np.int64)
        containers.append(
            pd.DataFrame(
                {
                    "time": EPOCH + pd.to_timedelta(offset_s, unit="s"),
                    "started_at": EPOCH,
                    "namespace": "default",
                    "pod": "one",
                    "container": name,
                    **dict.fromkeys(("cpu_usage_core_nanoseconds", "rx_bytes", "tx_bytes"), counted),
                    "rootfs_used_bytes": offset_s,
                }
            )
        )
    return check_samples(pd.concat(containers), where="drawn"), rate


@settings(max_examples=30, deadline=None)
@given(growing_evenly(), st.integers(0, 9))
def test_counters_grow_as_they_did_and_no_value_comes_from_the_future(
    drawn: tuple[pd.DataFrame, float], seed: int
) -> None:
    samples, rate = drawn
    told = at_kubelet_cadence(samples, seed)
    assert not told.index.duplicated().any()
    pd.testing.assert_frame_equal(told[["time", "container"]], samples.loc[told.index, ["time", "container"]])
    for family, column, per_second in (("network", "rx_bytes", rate), ("filesystem", "rootfs_used_bytes", 1.0)):
        known = told[told[AGES[family]].notna()]  # type: ignore[index]
        age_s = known[AGES[family]]  # type: ignore[index]
        assert (age_s >= -FETCHED_S - 0.001).all()
        measured_s = (known["time"] - EPOCH).dt.total_seconds() - age_s
        np.testing.assert_allclose(known[column].astype(float) / per_second, measured_s, atol=2e-3)
        assert (known.groupby("container")[column].diff().dropna() >= 0).all(), "later rows have no older values"
        assert told.loc[told[AGES[family]].isna(), column].isna().all()  # type: ignore[index]
    for column in ("cpu_usage_core_nanoseconds", "rx_bytes"):
        rates = make_windows(told, horizon_s=None, columns=[column]).cells[:, 0]
        np.testing.assert_allclose(rates[np.isfinite(rates)], rate, rtol=5e-3)
