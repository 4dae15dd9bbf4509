"""Classifiers compared on the same splits: what each is worth, and which differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from podlab.evaluation import FeatureClassifier, cross_validate, score
from podlab.evaluation.baselines import (
    benchmark_models,
    critical_difference,
    find_cliques,
    interval_quantiles,
    rank_methods,
    wilcoxon,
)
from podlab.features.windows import Windows
from tests.support.synthetic import make_samples


def test_the_methods_of_the_benchmark_tell_separable_services_apart():
    samples = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=12, interval_s=2)
    samples = samples.drop(columns="volume_used_bytes")
    models = benchmark_models(10.0, [10.0])
    quick = {name: models[name] for name in ("podlab: trees by view, start kept", "discriminant on selected features")}
    # Of one's own, a method takes part in one line.
    bayes = make_pipeline(SimpleImputer(keep_empty_features=True), GaussianNB())
    quick["naive Bayes"] = FeatureClassifier(bayes, horizon_s=10.0)
    predictions = cross_validate(samples, "deployment", [10.0], quick, jobs=1)
    scores = score(predictions, "model", "best_guess")
    assert scores["model"].to_list() == [*quick]
    assert (scores["n_containers"] == 12).all()
    assert (scores["macro_f1"] > [0.8, 0.8, 0.5]).all()
    assert (predictions["fit_cpu_s"] > 0).all()


def test_a_window_s_intervals_begin_with_quantiles_of_the_whole_and_leave_missing_series_missing():
    ramp = np.expm1(np.arange(20, dtype=np.float32))
    missing = np.full(20, np.nan, dtype=np.float32)
    windows = Windows(np.stack([ramp, missing])[None], ("rx_bytes", "tx_bytes"), pd.DataFrame({"pod": ["a"]}), None)
    described = interval_quantiles(windows).to_numpy()[0]
    assert described[:5] == pytest.approx([0, 4, 9, 14, 19])
    assert np.isnan(described[5:10]).all()


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
