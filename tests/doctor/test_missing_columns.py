"""What missing columns cost: the measured condition that is nearest, and honest words where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.config import MetricsSource
from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.doctor import further_columns
from podlab.evaluation.scenarios import FAMILY_SETS
from podlab.missing_columns import SCORE, cost_of, missing_families, remedies
from podlab.model.bundle import BundleInfo

LOST = dict(zip(FAMILY_SETS, (0.05, 0.01, 0.12, 0.3, 0.4), strict=True))
MEASURED = [
    {
        "condition": name, "families": list(families), "horizon_s": 60.0, "n_deployments": 420, "macro_f1": 0.9,
        "lost": LOST[name], "lost_low": LOST[name] - 0.01, "lost_high": LOST[name] + 0.01,
    }
    for name, families in FAMILY_SETS.items()
]  # fmt: skip


def model(scores: dict[str, Any]) -> BundleInfo:
    manifest = {"name": "m", "columns": list(ORIGINAL_METRICS), "scores": scores}
    return BundleInfo(Path("m"), "0" * 64, manifest, "")


def of_families(*families: str) -> list[str]:
    return [name for name in ORIGINAL_METRICS if CATALOGUE[name].family in families]


@pytest.mark.parametrize(
    ("absent", "measured", "exact", "lost"),
    [
        (("io",), "no I/O", True, 0.01),
        (("filesystem", "volume"), "no filesystem, no volume", True, 0.05),
        (("filesystem",), "no filesystem, no volume", False, 0.05),
        (("io", "filesystem"), "CPU and memory", False, 0.12),
        (("memory", "io"), "CPU and network", False, 0.4),
        (("cpu", "network", "filesystem", "volume", "io"), "memory", True, 0.3),
    ],
)
def test_the_nearest_condition_bounds_the_loss(
    absent: tuple[str, ...], measured: str, exact: bool, lost: float
) -> None:
    cost = cost_of(model({SCORE: MEASURED}), of_families(*absent))
    assert (cost.measured, cost.exact, cost.lost) == (measured, exact, lost)
    assert f"{'as much as' if exact else 'no more than'} {measured!r} does: {lost:.3f} of macro-F1" in cost.words
    assert "420 deployments" in cost.words


def test_what_costs_nothing_is_not_lower_by_less_than_nothing() -> None:
    measured = [{**each, "lost": -0.008, "lost_low": -0.02, "lost_high": 0.004} for each in MEASURED]
    words = cost_of(model({SCORE: measured}), of_families("io")).words
    assert "nothing: macro-F1 was 0.008 higher (-0.020 to 0.004) after 60 s" in words


def test_one_column_of_a_family_counts_as_the_family() -> None:
    cost = cost_of(model({SCORE: MEASURED}), ["logsfs_used_bytes"])
    assert (cost.measured, cost.exact) == ("no filesystem, no volume", False)
    assert missing_families(["logsfs_used_bytes"], ORIGINAL_METRICS) == []
    assert missing_families(of_families("io"), ORIGINAL_METRICS) == ["io"]


def test_what_was_not_measured_is_not_made_up() -> None:
    assert "not measured of this model" in cost_of(model({}), of_families("io")).words
    assert "not measured of this model" in cost_of(model({SCORE: "much"}), of_families("io")).words
    assert "never tried" in cost_of(model({SCORE: MEASURED}), of_families("memory", "cpu")).words
    assert cost_of(None, of_families("io")).words == ""
    assert cost_of(model({SCORE: MEASURED}), []).lost is None


def test_further_metrics_are_told_of_without_a_fault() -> None:
    samples = pd.DataFrame({"threads": [1.0, 2.0], "sockets": [1.0, None], "memory_rss_bytes": [1.0, 1.0]})
    told = further_columns(MetricsSource.INFLUXDB, samples, ORIGINAL_METRICS)
    assert (told.ok, told.needed, told.details["given"]) == (True, False, ["threads", "sockets"])
    assert told.message.startswith("2 of 30 that only `podlab collect` keeps; some are missing of cpu, filesystem, io")
    assert "processes: let Telegraf's prometheus input" in told.hint
    kubelet = further_columns(MetricsSource.KUBELET, samples, ORIGINAL_METRICS, may_read_metrics=False)
    assert "processes: grant get on nodes/metrics" in kubelet.hint


def test_what_to_do_depends_on_which_columns_of_a_family_are_missing() -> None:
    assert "Telegraf's kubernetes input" in remedies(MetricsSource.INFLUXDB, ["rx_bytes", "rx_packets"])
    assert "Telegraf's prometheus input" in remedies(MetricsSource.INFLUXDB, ["rx_packets"])
    assert remedies(MetricsSource.KUBELET, ["io_read_bytes", "threads"], may_read_metrics=False).count("grant get") == 2
    assert remedies(MetricsSource.INFLUXDB, []) == ""
