"""A planted confound is found, and where there is none the tests are at chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.audit.confounding import (
    ANOTHER,
    TIED,
    VISIBLE,
    WRONG,
    Confounding,
    audit_confounding,
    circumstances,
    explained_share,
    in_common,
    tied,
    visible,
)
from podlab.audit.windows import WindowTable, cut_windows
from podlab.features.features import feature_names
from tests.audit.conftest import make_window_table
from tests.support.synthetic import draw_design, make_samples

PATTERNS = ("idle", "steady", "heavy", "bursty")


def window_table_of(
    *, service_weight: float = 1.0, pattern_weight: float = 0.0, per_service: int = 20, seed: int = 0
) -> WindowTable:
    """Deployments of five services, every pattern equally often in each; features are real ones of memory."""
    rng = np.random.default_rng(seed)
    names = feature_names(("memory_rss_bytes",))
    services = np.repeat([f"service-{number}" for number in range(5)], per_service)
    patterns = np.tile(PATTERNS, len(services) // 4)
    place = {word: rng.normal(size=len(names)) for word in (*np.unique(services), *PATTERNS)}
    X = service_weight * np.array([place[word] for word in services])
    X = X + pattern_weight * np.array([place[word] for word in patterns]) + rng.normal(size=X.shape)
    return make_window_table(X, list(services), load=pd.array(patterns, dtype="str"))


def patterns_of(windows: WindowTable) -> pd.DataFrame:
    return windows.deployments[["load"]].rename(columns={"load": "load pattern"})


def test_a_pattern_that_is_not_in_the_features_is_at_chance() -> None:
    ps = [visible(windows, patterns_of(windows), permutations=200)["p"].iloc[0]
          for windows in (window_table_of(seed=seed) for seed in range(30))]  # fmt: skip
    assert np.mean(np.array(ps) < 0.05) <= 0.2
    assert 0.3 < np.mean(ps) < 0.75


def test_a_planted_pattern_is_found_with_its_excess() -> None:
    windows = window_table_of(pattern_weight=3.0)
    table = visible(windows, patterns_of(windows), permutations=500).set_index("pairs")
    found = table.loc[ANOTHER]
    assert found["observed"] > 0.9
    assert found["chance"] == pytest.approx(0.25, abs=0.03)
    assert found["low"] < 0.25 < found["high"] < found["observed"]
    assert found["p"] == pytest.approx(1 / 501)
    assert found["number"] == 100


def test_wrong_neighbours_are_only_those_of_another_service() -> None:
    apart = window_table_of(service_weight=30.0)
    assert set(visible(apart, patterns_of(apart), permutations=50)["pairs"]) == {ANOTHER}
    mixed = window_table_of(service_weight=0.0, pattern_weight=3.0)
    table = visible(mixed, patterns_of(mixed), permutations=50).set_index("pairs")
    wrong = table.loc[WRONG]
    assert 0 < wrong["number"] < 100
    assert wrong["observed"] > 0.9


def test_chance_keeps_how_often_each_service_has_a_pattern() -> None:
    """Two services of one pattern share it always: dealing within services must say so, and find no excess."""
    windows = window_table_of()
    table = visible(windows, patterns_of(windows).assign(**{"load pattern": "steady"}), permutations=50)
    assert (table["chance"] == 1).all()
    assert (table["observed"] == 1).all()
    assert (table["p"] == 1).all()


def test_numbers_are_shared_when_they_are_close() -> None:
    windows = window_table_of()
    drift = pd.Series(np.random.default_rng(1).permutation(100.0 * np.arange(100)))
    drifting = replace(windows, X=windows.X.add(np.float32(0.002) * drift.astype("float32"), axis=0))
    for own, excess in ((windows, False), (drifting, True)):
        found = visible(own, drift.to_frame("start time"), permutations=300).iloc[0]
        assert found["chance"] == pytest.approx(0.1, abs=0.05)
        assert (found["p"] < 0.01) == excess


def test_missing_values_are_left_out_of_the_pairs() -> None:
    windows = window_table_of()
    known = windows.deployments["load"].where(np.arange(100) % 2 == 0)
    table = visible(windows, known.to_frame("load pattern"), permutations=50)
    assert 0 < table["number"].iloc[0] < 60
    assert visible(windows, known.where(known.isna()).to_frame("load pattern"), permutations=50).empty
    nothing = windows.deployments[[]]
    assert list(visible(windows, nothing))[:3] == ["window", "property", "pairs"]
    assert list(tied(windows, nothing))[:4] == ["window", "property", "number", "observed"]


def test_the_service_tells_a_planted_property_and_no_crossed_one() -> None:
    windows = window_table_of()
    by_service = pd.Series(windows.services, dtype="str")
    hours = pd.Series(pd.factorize(windows.services)[0] * 3600.0) + np.arange(100)
    asked = patterns_of(windows).assign(**{"version number": by_service, "start time": hours})
    table = tied(windows, asked, permutations=200).set_index("property")
    assert table.loc["load pattern", "observed"] == pytest.approx(0, abs=1e-9)
    assert table.loc["load pattern", "p"] == 1
    for name in ("version number", "start time"):
        assert table.loc[name, "observed"] > 0.9
        assert table.loc[name, "observed"] > table.loc[name, "high"]
        assert table.loc[name, "p"] < 0.01
        assert table.loc[name, "chance"] == pytest.approx(4 / 99, abs=0.02)


def test_the_same_seed_gives_the_same_table() -> None:
    windows = window_table_of()
    first, again, other = (visible(windows, patterns_of(windows), permutations=50, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50)), min_size=2, max_size=30))
def test_explained_share_is_one_less_what_is_left_inside_groups(drawn: list[tuple[int, int]]) -> None:
    groups = pd.factorize(np.array([group for group, _ in drawn]))[0]
    values = np.array([[float(value)] for _, value in drawn])
    left = sum(((own - own.mean()) ** 2).sum() for own in (values[groups == group] for group in set(groups)))
    total = ((values - values.mean()) ** 2).sum()
    assert explained_share(groups, values) == pytest.approx(1 - left / total if total else 0.0, abs=1e-9)


def test_a_whole_recording_is_asked_about_all_it_has_labels_for() -> None:
    samples = make_samples(deployments_per_service=4, seconds=25)
    # Two versions in each service, turn about.
    number = samples["deployment"].str.rpartition("-")[2].astype(int)
    samples["version"] = np.where(number < 2, "9.1", "10.2")
    by_window = cut_windows(samples, length_s=10)
    found = audit_confounding(by_window, samples, permutations=20)
    assert isinstance(found, Confounding)
    asked = ["load pattern", "version number", "start time"]
    assert list(by_window) == ["start-up", "steady state"]
    for window in by_window:
        own = found.visible[found.visible["window"] == window]
        assert list(own["property"].unique())[:3] == asked
        assert set(found.tied.loc[found.tied["window"] == window, "property"]) >= set(asked)


def test_what_only_one_service_has_is_not_asked() -> None:
    windows = window_table_of()
    services = windows.deployments["service"]
    asked = patterns_of(windows).assign(engine=services + " engine", hours=np.arange(100.0))
    assert list(in_common(asked, services)) == ["load pattern", "hours"]


def test_what_was_drawn_is_asked_about_and_data_lie_only_where_a_service_has_any() -> None:
    samples, draws = draw_design(make_samples(deployments_per_service=6, seconds=25), sites=("alpha", "bravo"))
    draws.loc[draws["service"] == "redis", "data_in"] = "none"
    windows = cut_windows(samples, length_s=10, draws=draws)["start-up"]
    asked = in_common(circumstances(windows, samples), windows.deployments["service"])
    assert {
        "site",
        "profile number",
        "data in volume or layer",
        "launcher",
        "CPU limit",
        "payload",
        "knob workers",
    } <= set(asked)
    assert "knob engine" not in asked  # of one service
    data = asked["data in volume or layer"]
    assert data[windows.deployments["service"] == "redis"].isna().all()
    assert set(data.dropna()) == {"volume", "layer"}


def test_only_what_is_beyond_chance_is_listed_and_first_what_could_be_learned() -> None:
    both = window_table_of(pattern_weight=3.0)
    asked = patterns_of(both).assign(
        owner=both.deployments["service"].replace({"service-0": "x", "service-1": "x"}),
        coin=np.random.default_rng(5).integers(0, 2, len(both.services)).astype(str),
    )
    how = {"permutations": 300, "seed": 0}
    found = Confounding(visible(both, asked, **how), tied(both, asked, **how)).outside_of_chance()
    assert set(zip(found["property"], found["asked"], strict=True)) == {("load pattern", VISIBLE), ("owner", TIED)}
