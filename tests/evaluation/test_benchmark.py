"""Classifiers compared on the same splits: what each is worth, and which differ."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from podlab.errors import InputError
from podlab.evaluation import run_benchmark
from podlab.evaluation.baselines import benchmark_models, interval_quantiles
from podlab.evaluation.benchmark import critical_difference, find_cliques, rank_methods, wilcoxon
from podlab.features.windows import Windows
from tests.support.synthetic import make_samples

PODLAB, DISCRIMINANT = "podlab: trees by view, start kept", "discriminant on selected features"
QUICK = (PODLAB, DISCRIMINANT)


def quick_models(*horizons_and_columns):
    models = benchmark_models(*horizons_and_columns)
    return {name: models[name] for name in QUICK}


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    table = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=22, interval_s=2)
    return table.drop(columns="volume_used_bytes")


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture(scope="module")
def found(samples, steps):
    return run_benchmark(
        samples, models=quick_models, horizons_s=(20, 10), folds=2, jobs=1, progress=lambda *step: steps.append(step)
    )


def test_each_method_is_scored_once_at_each_horizon_on_every_deployment(found, steps):
    table = found.table
    assert table.groupby("horizon_s")["method"].apply(list).to_dict() == {10.0: [*QUICK], 20.0: [*QUICK]}
    assert set(table["n_deployments"]) == set(table["n_containers"]) == {12}
    assert ((table["low"] <= table["macro_f1"]) & (table["macro_f1"] <= table["high"])).all()
    assert (table["fit_cpu_s"] > 0).all()
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)] * 3


def test_methods_that_learn_tell_separable_services_apart_idle_ones_too(found):
    assert (found.table["macro_f1"] > 0.8).all()
    assert (found.table[["idle_macro_f1", "loaded_macro_f1"]] > 0.6).all(axis=None)


def test_shuffled_services_are_learned_by_none(found):
    control = found.control
    assert control["method"].to_list() == [*QUICK]
    assert set(control["horizon_s"]) == {20.0}
    assert (control["macro_f1"] < 0.75).all()
    assert found.chance == pytest.approx(1 / 3)


def test_methods_are_ranked_over_folds_and_horizons(found):
    assert found.cases.shape == (4, 2)
    assert found.cases.index.names == ["horizon_s", "fold"]
    assert set(found.ranks["method"]) == set(QUICK)
    assert found.ranks["mean_rank"].sum() == pytest.approx(3)
    assert found.critical_difference == pytest.approx(1.96 * np.sqrt(2 * 3 / (6 * 4)), abs=0.001)
    assert found.cliques == [tuple(found.ranks["method"])], "four cases tell nothing apart"


def test_all_of_it_is_plain_json(found):
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert len(told["table"]) == 4
    assert told["n_cases"] == 4


def test_a_window_s_intervals_begin_with_quantiles_of_the_whole_and_leave_missing_series_missing():
    ramp = np.expm1(np.arange(20, dtype=np.float32))
    missing = np.full(20, np.nan, dtype=np.float32)
    windows = Windows(np.stack([ramp, missing])[None], ("rx_bytes", "tx_bytes"), pd.DataFrame({"pod": ["a"]}), None)
    described = interval_quantiles(windows).to_numpy()[0]
    assert described[:5] == pytest.approx([0, 4, 9, 14, 19])
    assert np.isnan(described[5:10]).all()


def test_another_classifier_takes_part_in_one_line(samples):
    others = {"naive Bayes": make_pipeline(SimpleImputer(keep_empty_features=True), GaussianNB())}
    found = run_benchmark(
        samples, models=quick_models, estimators=others, horizons_s=(10,), folds=2, controls=False, jobs=1
    )
    assert set(found.ranks["method"]) == {*QUICK, "naive Bayes"}
    own = found.table.set_index("method")["macro_f1"]
    assert own["naive Bayes"] > 0.5


def test_a_comparison_needs_methods_and_horizons(samples):
    with pytest.raises(InputError, match="0 methods"):
        run_benchmark(samples, models=lambda *_: {})
    with pytest.raises(InputError, match="no horizon"):
        run_benchmark(samples, horizons_s=())


def test_ranks_and_critical_difference_are_those_of_a_worked_example():
    """Demsar 2006, section 3.2.2: four methods on 14 data sets differ from 1.25 mean ranks on."""
    assert critical_difference(14, 4) == pytest.approx(1.25, abs=0.01)
    for methods in range(2, 11):
        wanted = stats.studentized_range.ppf(0.95, methods, np.inf) / np.sqrt(2)
        found = critical_difference(14, methods) / np.sqrt(methods * (methods + 1) / (6 * 14))
        assert found == pytest.approx(wanted, abs=0.001), methods
    ranked = rank_methods(pd.DataFrame({"good": [0.9, 0.9], "bad": [0.1, 0.2], "tied": [0.9, 0.1]}))
    assert dict(zip(ranked["method"], ranked["mean_rank"], strict=True)) == {"good": 1.25, "tied": 2.25, "bad": 2.5}


def test_the_signed_rank_test_agrees_with_its_twin():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 1.0):
        one, other = pd.Series(rng.normal(shift, 1, 30)), pd.Series(rng.normal(0, 1, 30))
        twin = stats.wilcoxon(one, other, method="asymptotic", correction=False).pvalue
        assert wilcoxon(one, other) == pytest.approx(twin, rel=1e-6)


def test_methods_that_are_alike_stand_together_and_one_far_behind_stands_alone():
    rng = np.random.default_rng(1)
    level = rng.uniform(0.6, 0.9, 20)
    scores = pd.DataFrame(
        {"a": level + rng.normal(0, 0.01, 20), "b": level + rng.normal(0, 0.01, 20), "far": level - 0.3}
    )
    (clique,) = find_cliques(scores)
    assert set(clique) == {"a", "b"}
    assert find_cliques(pd.DataFrame({"a": level, "same": level})) == [("a", "same")]


def test_holm_asks_less_of_each_pair_that_follows():
    """Of three pairs the p-values are 0.011, 0.022 and 0.2: each of the first two differs by Holm's levels alone."""
    scores = pd.DataFrame(
        {
            "a": [23, 45, 38, 35, 45, 33, 40, 55, 19, 44],
            "b": [7, 39, 7, 11, 27, 38, 32, 43, 21, 43],
            "c": [32, 17, 23, 17, 7, 24, 4, 22, 8, 36],
        }
    )
    p = {pair: wilcoxon(scores[pair[0]], scores[pair[1]]) for pair in ("ac", "ab", "bc")}
    assert p["ac"] <= 0.05 / 4 < 0.05 / 3 < p["ab"] <= 0.05 / 2 < p["bc"]
    assert find_cliques(scores) == [("b", "c")]


def test_one_in_the_middle_may_stand_with_both_sides():
    level = np.linspace(0.5, 0.8, 12)
    swing = np.where(np.arange(12) % 2, 0.1, -0.1)
    scores = pd.DataFrame({"best": level + 0.02, "middle": level + swing, "last": level - 0.02})
    assert set(map(frozenset, find_cliques(scores))) == {frozenset({"best", "middle"}), frozenset({"middle", "last"})}
