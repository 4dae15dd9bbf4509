from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab import audit
from podlab.audit.separation import ABLATIONS
from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from tests.support.synthetic import draw_design, make_samples

SETTINGS = audit.ForestSettings(folds=3, trees=15, jobs=1)
NETWORK = tuple(name for name in ORIGINAL_METRICS if CATALOGUE[name].family == "network")


@pytest.fixture(scope="module")
def told_by_network(samples: pd.DataFrame) -> pd.DataFrame:
    """All metrics of all containers are drawn alike, but those of the network name the service."""
    rng = np.random.default_rng(0)
    drawn = samples.copy()
    rates = drawn["service"].map({"nginx": 10**6, "mysql": 10**5, "redis": 10**4, "postgres": 10**3})
    seconds = drawn.groupby("pod").cumcount() + 1
    for name in ORIGINAL_METRICS:
        if name in NETWORK:
            drawn[name] = (rates * seconds).astype("Int64")
        elif CATALOGUE[name].kind == "counter":
            drawn[name] = pd.array((rng.uniform(1, 2, len(drawn)) * 1e6).astype("int64"), dtype="Int64")
            drawn[name] = drawn.groupby("pod")[name].cumsum()
        else:
            drawn[name] = rng.uniform(1, 2, len(drawn)) * 1e6
    return drawn


def test_the_metric_that_tells_the_service_is_found(told_by_network: pd.DataFrame) -> None:
    table = audit.separate_by_metric(audit.cut_windows(told_by_network, length_s=10), SETTINGS)
    assert set(table["window"]) == {"start-up", "steady state"}
    own = table[table["window"] == "start-up"].set_index("metric")
    told = own["macro_f1"] > 0.95
    assert set(own.index[told]) == set(NETWORK)
    assert (own.loc[list(NETWORK), "by_service"] > 0.99).all()
    assert own.loc["memory_rss_bytes", "by_service"] < 0.5
    assert (own["chance"] == 0.25).all()
    assert (own["low"] <= own["macro_f1"]).all()
    assert (own["macro_f1"] <= own["high"]).all()


def test_an_ablation_without_it_falls_to_chance(told_by_network: pd.DataFrame) -> None:
    by_window = audit.cut_windows(told_by_network, length_s=10)
    table = audit.ablations({"start-up": by_window["start-up"]}, SETTINGS).set_index("features")
    # Only the original's metrics are there, so that some ablations would say the same again.
    assert "further ones only" not in table.index
    assert "original" not in table.index
    for name in table.index:
        assert (table.loc[name, "macro_f1"] > 0.9) == ("rx_bytes" in ABLATIONS[name]), name
    assert (table["number"] > 0).all()


def test_no_ablation_sees_the_image_size() -> None:
    assert not [name for name, columns in ABLATIONS.items() if "image_size_bytes" in columns]


def test_metrics_that_are_not_there_are_left_out(samples: pd.DataFrame) -> None:
    by_window = audit.cut_windows(samples[[*samples.columns.difference(ORIGINAL_METRICS), "rx_bytes"]], length_s=10)
    assert set(audit.separate_by_metric(by_window, SETTINGS)["metric"]) == {"rx_bytes"}
    assert "memory only" not in set(audit.ablations(by_window, SETTINGS)["features"])


def test_shuffled_labels_are_not_learned(samples: pd.DataFrame) -> None:
    windows = audit.cut_windows(samples, length_s=10)["start-up"]
    table = audit.shuffled_scores(windows, SETTINGS, shuffles=6)
    assert table["shuffle"].to_list() == [1, 2, 3, 4, 5, 6]
    assert table["macro_f1"].mean() < 0.45
    assert audit.ablations({"start-up": windows}, SETTINGS)["macro_f1"].iloc[0] > 0.8
    pd.testing.assert_frame_equal(table, audit.shuffled_scores(windows, SETTINGS, shuffles=6))


def test_further_metrics_are_scored_beside_the_original_ones() -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=12, columns=MEASURED_METRICS)
    by_window = audit.cut_windows(samples, length_s=10)
    told = audit.separate_by_metric(by_window, audit.ForestSettings(folds=2, trees=5, jobs=1))
    assert {"threads", "sockets", "rx_packets"} <= set(told["metric"])
    kept = audit.ablations(by_window, audit.ForestSettings(folds=2, trees=5, jobs=1)).set_index("features")["number"]
    # Ratios of an original metric and a further one are in neither.
    assert 0 < kept["further ones only"] < kept["all"] - kept["original"] < kept["further ones only"] + kept["original"]


def test_what_was_drawn_does_not_tell_the_service_unless_it_was_drawn_by_service() -> None:
    samples, draws = draw_design(make_samples(deployments_per_service=10, seconds=12), sites=("alpha", "bravo"))
    windows = audit.cut_windows(samples, length_s=10, draws=draws)["start-up"]
    table = audit.predict_from_draws(windows, samples, SETTINGS, shuffles=3)
    assert table["services"].to_list() == ["as recorded", *["shuffled"] * 3]
    assert table["low"].iloc[0] < 0.45
    unfair = draws.assign(launcher=draws["service"])
    windows = audit.cut_windows(samples, length_s=10, draws=unfair)["start-up"]
    assert audit.predict_from_draws(windows, samples, SETTINGS, shuffles=1)["macro_f1"].iloc[0] > 0.8
