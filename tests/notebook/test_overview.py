"""The small tables of a recording count what is there."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.data.catalogue import FEATURE_METRICS
from podlab.notebook import overview
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=20)


def test_deployments_and_containers_are_counted_by_service(samples: pd.DataFrame) -> None:
    counts = overview.count_by_service(samples).set_index("service")
    assert counts.loc["nginx", ["containers", "deployments", "variants", "versions"]].tolist() == [4, 4, 2, 1]
    assert counts["rows"].sum() == len(samples)
    assert counts["median seconds observed"].between(17, 20).all()


def test_a_restarted_container_counts_twice_and_an_unlabelled_one_stands_apart(samples: pd.DataFrame) -> None:
    again = samples.copy()
    again["started_at"] += pd.Timedelta(hours=1)
    again["time"] += pd.Timedelta(hours=1)
    again.loc[again["service"] == "mysql", "service"] = pd.NA
    counts = overview.count_by_service(pd.concat([samples, again], ignore_index=True))
    assert counts["containers"].tolist() == [4, 8, 4]
    assert counts["service"].isna().tolist() == [False, False, True]
    assert overview.count_by_service(samples.drop(columns="service"))["containers"].tolist() == [8]


def test_gaps_are_measured_within_containers_only(samples: pd.DataFrame) -> None:
    one = samples[samples["deployment"] == "nginx-0"]
    holed = samples.drop(one.index[5:9])
    gaps = overview.sampling_gaps(holed).set_index("gap")
    assert gaps.loc["between samples", "median s"] == pytest.approx(1.0, abs=0.1)
    assert gaps.loc["between samples", "longest s"] == pytest.approx(5.0, abs=0.5)
    assert gaps.loc["between samples", "number"] == len(holed) - 8
    assert gaps.loc["start to first sample", "number"] == 8
    assert gaps.loc["start to first sample", "longest s"] < 2


def test_missing_values_are_counted_and_absent_columns_are_all_missing(samples: pd.DataFrame) -> None:
    holed = samples.drop(columns="io_read_bytes")
    holed.loc[holed["service"] == "nginx", "rx_bytes"] = pd.NA
    table = overview.missing_share(holed).set_index("metric")
    assert tuple(table.index) == FEATURE_METRICS
    assert table.loc["io_read_bytes"].tolist() == ["bytes", 100.0, 8]
    assert table.loc["rx_bytes", "missing %"] == pytest.approx(50, abs=3)
    assert table.loc["rx_bytes", "containers without any value"] == 4
    assert table.loc["tx_bytes", "missing %"] == 0


def test_a_model_of_memory_leans_on_memory() -> None:
    samples = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=12)
    columns = ["memory_usage_bytes", "memory_rss_bytes", "rx_bytes"]
    # The network says nothing here, so what is withheld with it cannot be missed.
    samples["rx_bytes"] = samples.groupby("pod").cumcount().astype("Int64")
    table = overview.withhold_families(samples, columns=columns, horizon_s=10).set_index("withheld")
    assert table.index[0] == "nothing"
    assert set(table.index) == {"nothing", "memory", "network"}
    assert table.loc["nothing", "loss"] == 0
    assert table.loc["memory", "loss"] > table.loc["network", "loss"]


def test_a_model_of_one_family_has_nothing_left_to_withhold() -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=12)
    table = overview.withhold_families(samples, columns=["memory_rss_bytes"], horizon_s=10)
    assert table["withheld"].tolist() == ["nothing"]
