"""Methods that were scored in the same cases: ranks, what differs, and who stands together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from podlab.evaluation.ranks import critical_difference, find_cliques, rank_methods, wilcoxon


def test_ranks_and_critical_difference_are_those_of_a_worked_example():
    """Demsar 2006, section 3.2.2: four methods on 14 data sets differ from 1.25 mean ranks on."""
    assert critical_difference(14, 4) == pytest.approx(1.25, abs=0.01)
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


def test_one_in_the_middle_may_stand_with_both_sides():
    level = np.linspace(0.5, 0.8, 12)
    swing = np.where(np.arange(12) % 2, 0.1, -0.1)
    scores = pd.DataFrame({"best": level + 0.02, "middle": level + swing, "last": level - 0.02})
    assert set(map(frozenset, find_cliques(scores))) == {frozenset({"best", "middle"}), frozenset({"middle", "last"})}
