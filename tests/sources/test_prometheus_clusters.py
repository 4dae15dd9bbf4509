"""Two clusters behind one server: pods of one name are told apart by their uid, or it is said that they cannot be."""

from __future__ import annotations

import itertools
import logging

import pandas as pd
import pytest

from podlab.data.samples import check_samples
from podlab.sources.prometheus import PrometheusSource
from tests.sources.test_prometheus import expected, to_milliseconds
from tests.support.prometheusd import Prometheusd
from tests.support.synthetic import make_samples

UIDS = {"east": "577dee3a-0f95-4a6f-8c64-c72c45d5bb88", "west": "99999999-0f95-4a6f-8c64-c72c45d5bb88"}
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def samples() -> dict[str, pd.DataFrame]:
    """A pod of the same name in each cluster, of another service, for two minutes; one has more samples."""
    whole = to_milliseconds(make_samples(("nginx", "redis"), deployments_per_service=1, seconds=120, interval_s=4))
    by_pod = [rows for _, rows in whole.groupby("pod")]
    begin = whole["time"].min()
    out = {}
    for (place, uid), rows in zip(UIDS.items(), by_pod, strict=True):
        shift = begin - rows["time"].min()
        moved = rows.assign(
            time=rows["time"] + shift, started_at=rows["started_at"] + shift, pod="redis-0", pod_uid=uid
        )
        thinned = moved.iloc[::2] if place == "east" else moved
        out[place] = check_samples(thinned.assign(namespace="lab", container="main", node=place), where=place)
    return out


def write(server: Prometheusd, samples: dict[str, pd.DataFrame], label: str, **others: str) -> dict[str, str]:
    own = {"recording": f"clusters-{next(_NUMBERS)}", **others}
    for place, rows in samples.items():
        server.add(rows, {**own, label: place})
    return own


def fetch(
    server: Prometheusd, samples: dict[str, pd.DataFrame], labels: dict[str, str], pods: list[str] | None = None
) -> pd.DataFrame:
    times = pd.concat(samples.values())["time"]
    source = PrometheusSource(server.api(), labels=labels)
    got = source.fetch(times.min(), times.max() + pd.Timedelta(1, "ms"), pods=pods)
    # It is told once, not in each round of a watcher.
    source.fetch(times.min(), times.max() + pd.Timedelta(1, "ms"), pods=pods)
    return got


@pytest.mark.parametrize("label", ["k8s_cluster", "prometheus", "vm_account_id"])
@pytest.mark.parametrize("pods", [None, ["redis-0"]])
def test_both_come_with_their_own_values(
    prometheusd: Prometheusd, samples: dict[str, pd.DataFrame], label: str, pods: list[str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    labels = write(prometheusd, samples, label)
    with caplog.at_level(logging.WARNING):
        got = fetch(prometheusd, samples, labels, pods)
    without_volumes = [c for c in got.columns if c != "volume_used_bytes"]
    for place, rows in samples.items():
        own = got[got["pod_uid"] == UIDS[place]].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[without_volumes], expected(rows)[without_volumes])
    # A claim of both clusters has one name, so whose it is nobody knows.
    assert "volume_used_bytes" not in got or got["volume_used_bytes"].isna().all()
    told = [record.message for record in caplog.records]
    assert len(told) == 1
    assert f"two pods lab/redis-0 run at the same time; they differ by {label} (east, west)" in told[0]
    assert f"set prometheus_labels, such as prometheus_labels={label}=east" in told[0]


def test_replicas_of_each_cluster_count_once(prometheusd: Prometheusd, samples: dict[str, pd.DataFrame]) -> None:
    own = {"recording": "clusters-replicated"}
    for place, rows in samples.items():
        for replica in ("a", "b"):
            late = rows.assign(time=rows["time"] + pd.Timedelta(300 if replica == "b" else 0, "ms"))
            prometheusd.add(late.iloc[: -1 if replica == "b" else None],
                            {**own, "k8s_cluster": place, "replica": f"{place}-{replica}"})  # fmt: skip
    got = fetch(prometheusd, samples, own)
    assert got.groupby("pod_uid").size().to_dict() == {UIDS[place]: len(rows) for place, rows in samples.items()}


def test_the_setting_narrows_to_one_without_a_word(
    prometheusd: Prometheusd, samples: dict[str, pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    labels = write(prometheusd, samples, "k8s_cluster")
    with caplog.at_level(logging.WARNING):
        got = fetch(prometheusd, samples, {**labels, "k8s_cluster": "east"})
    pd.testing.assert_frame_equal(got, expected(samples["east"]))
    assert not caplog.records


def test_where_no_uid_tells_them_apart_one_is_taken_and_it_is_told(
    prometheusd: Prometheusd, samples: dict[str, pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    # As for static pods, whose cgroups hold another number than the API's uid.
    without = {place: rows.assign(pod_uid=pd.NA) for place, rows in samples.items()}
    labels = write(prometheusd, without, "k8s_cluster")
    with caplog.at_level(logging.WARNING):
        got = fetch(prometheusd, without, labels)
    assert got["time"].tolist() == samples["west"]["time"].tolist()
    assert "they differ by k8s_cluster (east, west)" in caplog.text


def test_a_pod_that_moves_to_another_node_is_no_twin(
    prometheusd: Prometheusd, samples: dict[str, pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    before, after = samples["east"], samples["west"]
    moved = before["time"].max() - after["time"].min() - pd.Timedelta(10, "s")
    later = after.assign(time=after["time"] + moved, started_at=after["started_at"] + moved)
    both = {"node-1": before, "node-2": check_samples(later, where="later")}
    labels = write(prometheusd, both, "instance")
    with caplog.at_level(logging.WARNING):
        got = fetch(prometheusd, both, labels)
    assert got.groupby("pod_uid").size().to_dict() == {UIDS["east"]: len(before), UIDS["west"]: len(after)}
    assert not caplog.records
