"""Scores of strangeness against naive twins, and controls that must come out as chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from podlab.evaluation.strange import WIDTHS_S, Faults, auroc, faults_in, vus_pr


def naive_vus_pr(score: list[float], time_s: list[float], faults: Faults) -> float:
    """The same by counting, threshold by threshold."""
    areas = []
    spans = list(zip(faults.first.tolist(), faults.last.tolist(), strict=True))
    for width_s in WIDTHS_S:
        weight, inside = [0.0] * len(score), [False] * len(score)
        for row, at_s in enumerate(time_s):
            for first, last in spans:
                far_s = max(time_s[first] - at_s, at_s - time_s[last], 0.0)
                if first <= row <= last:
                    inside[row], weight[row] = True, 1.0
                elif far_s <= width_s / 2 and not inside[row]:
                    weight[row] = max(weight[row], (1 - far_s / width_s) ** 0.5 if width_s else 1.0)
        for first, last in spans:
            for row in range(first, last + 1):
                weight[row] = 1.0
        area, before = 0.0, 0.0
        for threshold in sorted(set(score), reverse=True):
            chosen = [row for row, value in enumerate(score) if value >= threshold]
            found = sum(weight[row] for row in chosen)
            outside = sum(weight[row] for row in chosen if not inside[row])
            hit = 0
            for first, last in spans:
                near = [
                    row
                    for row in chosen
                    if max(time_s[first] - time_s[row], time_s[row] - time_s[last], 0.0) <= width_s / 2
                ]
                hit += bool(near)
            recall = min(found / (sum(inside) + outside / 2), 1.0) * hit / len(spans)
            area += max(recall - before, 0.0) * found / len(chosen)
            before = recall
        areas.append(area)
    return sum(areas) / len(areas)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans(), st.integers(1, 6)), min_size=2, max_size=25
    )
)
@settings(max_examples=60, deadline=None)
def test_is_the_naive_twin(rows: list[tuple[float, bool, int]]) -> None:
    marked = np.array([row[1] for row in rows])
    marked[0] = True
    score, time_s = np.array([row[0] for row in rows]), np.cumsum([float(row[2]) for row in rows])
    faults = faults_in(marked)
    assert vus_pr(score, time_s, faults) == pytest.approx(naive_vus_pr(score.tolist(), time_s.tolist(), faults))
    if not marked.all():
        assert auroc(score, marked) == pytest.approx(roc_auc_score(marked, score))


def test_a_perfect_score_is_1_and_a_constant_one_is_the_share_of_faults() -> None:
    marked = np.zeros(1000, dtype=bool)
    marked[400:500] = True
    time_s, faults = np.arange(1000.0), faults_in(marked)
    assert vus_pr(marked.astype(float), time_s, faults) > 0.95
    assert vus_pr(np.zeros(1000), time_s, faults) == pytest.approx(0.1, abs=0.02)
    assert vus_pr(np.random.default_rng(0).random(1000), time_s, faults) == pytest.approx(0.1, abs=0.03)
    assert auroc(np.zeros(1000), marked) == 0.5
    assert np.isnan(auroc(np.zeros(3), np.zeros(3, dtype=bool)))


def test_faults_of_two_kinds_that_touch_are_two() -> None:
    marked = np.array([0, 1, 1, 1, 0, 1], dtype=bool)
    kind = np.array([None, "a", "a", "b", None, "b"], dtype=object)
    found = faults_in(marked, kind)
    assert list(zip(found.first.tolist(), found.last.tolist(), strict=True)) == [(1, 2), (3, 3), (5, 5)]
    assert faults_in(marked).first.tolist() == [1, 5]
    assert not faults_in(np.zeros(0, dtype=bool)).first.size
