"""KubeletSource against kubelets over HTTPS, fed from samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.errors import InputError
from podlab.sources.kubelet import KubeletAddress, KubeletSource
from podlab.sources.protocol import NothingThereError
from tests.support.kubelet import METRICS, STATS, running_cluster
from tests.support.synthetic import make_samples
from tests.support.watching import starting_together

Certificates = tuple[Path, Path]
KEY = ["pod", "time"]


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    made = starting_together(
        make_samples(("nginx", "redis"), deployments_per_service=3, seconds=30, columns=MEASURED_METRICS)
    )
    # One sample within each second, so that the whole seconds of the Summary API tell them apart.
    return made.assign(time=made["time"].dt.floor("s") + pd.Timedelta("400ms")).drop_duplicates(["pod", "time"])


def as_told(samples: pd.DataFrame) -> pd.DataFrame:
    """What a kubelet can tell: whole numbers, starts in whole seconds, and with cAdvisor times in milliseconds."""
    told = samples.assign(
        time=samples["time"].dt.floor("ms"), started_at=samples["started_at"].dt.floor("s").dt.as_unit("ns")
    )
    for name in (name for name in MEASURED_METRICS if name in told and CATALOGUE[name].kind == "gauge"):
        told[name] = told[name] // 1
    return told


def test_what_the_kubelets_measured_comes_back(samples: pd.DataFrame, certificates: Certificates) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(30)
        got = cluster.fetch()
    expected = as_told(samples)
    columns = [name for name in got if name in expected and name != "image"]
    assert set(MEASURED_METRICS) <= set(columns)
    pd.testing.assert_frame_equal(
        got[columns].sort_values(KEY, ignore_index=True), expected[columns].sort_values(KEY, ignore_index=True)
    )
    assert set(got["node"]) == {"node-0", "node-1", "node-2"}


def test_a_sample_that_is_told_again_counts_once(samples: pd.DataFrame, certificates: Certificates) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(5, every_s=0.25)
        got = cluster.fetch()
    assert not got.duplicated(KEY).any()
    assert got.groupby("pod").size().between(4, 6).all()


def test_only_the_pods_asked_for(samples: pd.DataFrame, certificates: Certificates) -> None:
    some = samples["pod"].unique()[:2].tolist()
    with running_cluster(samples, certificates) as cluster:
        cluster.run(3)
        assert sorted(cluster.fetch([*some, "elsewhere"])["pod"].unique()) == sorted(some)
        with pytest.raises(NothingThereError, match="no sample of the 1 pods asked for"):
            cluster.fetch(["elsewhere"])


def test_the_first_question_waits_for_the_first_answer(samples: pd.DataFrame, certificates: Certificates) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.at_s[0] += 2
        assert cluster.fetch()["pod"].nunique() == 6


def test_without_block_io_there_is_one_question_a_node(samples: pd.DataFrame, certificates: Certificates) -> None:
    with running_cluster(samples, certificates, columns=["memory_rss_bytes", "rx_bytes"]) as cluster:
        cluster.run(2)
        got = cluster.fetch()
        asked = [right for kubelet in cluster.kubelets for right in kubelet.asked]
    assert set(asked) == {STATS}
    assert set(ORIGINAL_METRICS) & set(got) == {"memory_rss_bytes", "rx_bytes"}
    assert (got["time"] == got["time"].dt.floor("s")).all()


def test_both_rights_are_used_and_no_other(samples: pd.DataFrame, certificates: Certificates) -> None:
    with running_cluster(samples, certificates) as cluster:
        cluster.run(1)
        assert {right for kubelet in cluster.kubelets for right in kubelet.asked} == {STATS, METRICS}


def test_containers_of_a_pod_share_its_network_and_volumes_but_no_disk(
    samples: pd.DataFrame, certificates: Certificates
) -> None:
    main = samples[samples["pod"] == samples["pod"].iloc[0]]
    side = main.assign(container="side", io_read_bytes=main["io_read_bytes"] + 7)
    with running_cluster(pd.concat([main, side], ignore_index=True), certificates) as cluster:
        cluster.run(5)
        both = cluster.fetch().pivot_table(index="time", columns="container", values=["rx_bytes", "io_read_bytes"])
    assert len(both) >= 4
    assert (both["rx_bytes", "main"] == both["rx_bytes", "side"]).all()
    assert (both["io_read_bytes", "side"] == both["io_read_bytes", "main"] + 7).all()


def test_a_static_pod_is_known_by_its_names(samples: pd.DataFrame, certificates: Certificates) -> None:
    one = samples[samples["pod"] == samples["pod"].iloc[0]]
    static = one.assign(pod_uid="0123456789abcdef0123456789abcdef")
    with running_cluster(static, certificates) as cluster:
        cluster.run(2)
        assert cluster.fetch()["pod_uid"].isna().all()


def test_a_cluster_without_nodes_is_an_error(certificates: Certificates) -> None:
    def never(address: KubeletAddress, path: str) -> bytes:
        raise AssertionError

    source = KubeletSource(lambda: [], never)
    with pytest.raises(InputError, match="no node with an address"):
        source.fetch(pd.Timestamp(0, tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC"))
    source.close()


def test_the_age_of_the_network_comes_back(samples: pd.DataFrame, certificates: Certificates) -> None:
    sent = samples.assign(network_age_seconds=(samples.index % 5 - 2) * 0.25)
    with running_cluster(sent, certificates) as cluster:
        cluster.run(30)
        got = cluster.fetch()
    both = got.merge(sent, on=KEY, suffixes=("", "_sent"))
    assert len(both) > 0.9 * len(sent)
    assert (both["network_age_seconds"] == both["network_age_seconds_sent"]).all()
    assert (both["rx_packets"] == both["rx_packets_sent"]).all()
