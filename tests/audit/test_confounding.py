"""A planted confound is found, and where there is none the tests are at chance."""

from __future__ import annotations

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
    Property,
    audit_confounding,
    explained_share,
    properties_of,
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


def patterns_of(windows: WindowTable) -> list[Property]:
    return [Property("load pattern", windows.deployments["load"])]


def test_a_pattern_that_is_not_in_the_features_is_at_chance() -> None:
    ps = [visible(windows, patterns_of(windows), permutations=200)["p"].iloc[0]
          for windows in (window_table_of(seed=seed) for seed in range(30))]  # fmt: skip
    assert np.mean(np.array(ps) < 0.05) <= 0.2
    assert 0.3 < np.mean(ps) < 0.75


def test_a_planted_pattern_is_found_with_its_excess() -> None:
    windows = window_table_of(pattern_weight=3.0)
    table = visible(windows, patterns_of(windows), permutations=500).set_index(["features", "pairs"])
    found = table.loc["all", ANOTHER]
    assert found["shared"] > 0.9
    assert found["chance"] == pytest.approx(0.25, abs=0.03)
    assert found["low"] < 0.25 < found["high"] < found["shared"]
    assert found["excess"] == pytest.approx(found["shared"] - found["chance"])
    assert found["p"] == pytest.approx(1 / 501)
    assert found["number"] == 100
    # The planted features are memory's; nothing is left of them among processor, network and I/O.
    assert ("memory, filesystem, volume", ANOTHER) in table.index
    assert "CPU, network, I/O" not in table.index.get_level_values("features")


def test_wrong_neighbours_are_only_those_of_another_service() -> None:
    apart = window_table_of(service_weight=30.0)
    assert set(visible(apart, patterns_of(apart), permutations=50)["pairs"]) == {ANOTHER}
    mixed = window_table_of(service_weight=0.0, pattern_weight=3.0)
    table = visible(mixed, patterns_of(mixed), permutations=50).set_index(["features", "pairs"])
    wrong = table.loc["all", WRONG]
    assert 0 < wrong["number"] < 100
    assert wrong["shared"] > 0.9


def test_chance_keeps_how_often_each_service_has_a_pattern() -> None:
    """Two services of one pattern share it always: dealing within services must say so, and find no excess."""
    windows = window_table_of()
    lone = windows.deployments.assign(load="steady")
    table = visible(
        WindowTable(windows.name, windows.X, windows.names, lone),
        [Property("load pattern", lone["load"])],
        permutations=50,
    )
    assert (table["chance"] == 1).all()
    assert (table["excess"] == 0).all()
    assert (table["p"] == 1).all()


def test_numbers_are_shared_when_they_are_close() -> None:
    windows = window_table_of()
    drift = pd.Series(np.random.default_rng(1).permutation(100.0 * np.arange(100)))
    X = windows.X + np.float32(0.002) * drift.to_numpy(np.float32)[:, None]
    drifting = WindowTable(windows.name, X, windows.names, windows.deployments)
    for own, excess in ((windows, False), (drifting, True)):
        found = visible(own, [Property("start time", drift, "s")], permutations=300).iloc[0]
        assert found["chance"] == pytest.approx(0.1, abs=0.05)
        assert found["unit"] == "s"
        assert 0 < found["close"] < 2000
        assert (found["p"] < 0.01) == excess


def test_missing_values_are_left_out_of_the_pairs() -> None:
    windows = window_table_of()
    known = windows.deployments["load"].where(np.arange(100) % 2 == 0)
    table = visible(windows, [Property("load pattern", known)], permutations=50)
    assert 0 < table["number"].iloc[0] < 60
    assert visible(windows, [Property("load pattern", known.where(known.isna()))], permutations=50).empty
    nothing = Confounding(visible(windows, []), tied(windows, []))
    assert list(nothing.visible)[:3] == ["window", "features", "property"]
    assert list(nothing.tied)[:4] == ["window", "property", "number", "explained"]


def test_the_service_tells_a_planted_property_and_no_crossed_one() -> None:
    windows = window_table_of()
    by_service = pd.Series(windows.services, dtype="str")
    hours = pd.Series(pd.factorize(windows.services)[0] * 3600.0) + np.arange(100)
    table = tied(
        windows, [*patterns_of(windows), Property("version number", by_service), Property("start time", hours, "s")],
        permutations=200,
    ).set_index("property")  # fmt: skip
    assert table.loc["load pattern", "explained"] == pytest.approx(0, abs=1e-9)
    assert table.loc["load pattern", "p"] == 1
    for name in ("version number", "start time"):
        assert table.loc[name, "explained"] > 0.9
        assert table.loc[name, "explained"] > table.loc[name, "high"]
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
        own = found.visible[(found.visible["window"] == window) & (found.visible["features"] == "all")]
        assert list(own["property"].unique())[:3] == asked
        assert set(found.tied.loc[found.tied["window"] == window, "property"]) >= set(asked)


def test_what_only_one_service_has_is_not_asked() -> None:
    windows = window_table_of()
    own = windows.deployments.assign(load=windows.deployments["service"] + " load")
    beside = pd.DataFrame({"co-located containers": np.nan, "co-located cores": np.nan}, index=own.index)
    asked = properties_of(WindowTable(windows.name, windows.X, windows.names, own), beside)
    assert [each.name for each in asked] == ["start time"]


def test_what_was_drawn_is_asked_about_and_data_lie_only_where_a_service_has_any() -> None:
    samples, draws = draw_design(make_samples(deployments_per_service=6, seconds=25), sites=("alpha", "bravo"))
    draws.loc[draws["service"] == "redis", "data_in"] = "none"
    windows = cut_windows(samples, length_s=10, draws=draws)["start-up"]
    beside = pd.DataFrame(
        {"co-located containers": np.nan, "co-located cores": np.nan}, index=windows.deployments.index
    )
    asked = {each.name: each for each in properties_of(windows, beside)}
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
    data = asked["data in volume or layer"].series
    assert data[windows.deployments["service"] == "redis"].isna().all()
    assert set(data.dropna()) == {"volume", "layer"}


def test_only_what_is_beyond_chance_is_listed_and_first_what_could_be_learned() -> None:
    both = window_table_of(pattern_weight=3.0)
    properties = [
        Property("load pattern", both.deployments["load"]),
        Property("owner", both.deployments["service"].replace({"service-0": "x", "service-1": "x"})),
        Property("coin", pd.Series(np.random.default_rng(5).integers(0, 2, len(both.services)).astype(str))),
    ]
    how = {"permutations": 300, "seed": 0}
    found = Confounding(visible(both, properties, **how), tied(both, properties, **how)).outside_of_chance()
    assert set(zip(found["property"], found["asked"], strict=True)) == {("load pattern", VISIBLE), ("owner", TIED)}
