"""The estimators keep to scikit-learn's rules, and any detector of its or pyod's kind is understood."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.utils.estimator_checks import check_estimator

from podlab.detect.components import outlier_scores
from podlab.detect.estimators import KMeansDistance, RobustZ, ShrunkMahalanobis


@pytest.mark.parametrize("estimator", [RobustZ(), KMeansDistance(), ShrunkMahalanobis()])
def test_is_an_estimator(estimator: Any) -> None:
    check_estimator(estimator, on_skip=None)


class Knn:
    """As pyod's detectors are: what rises is strange."""

    def fit(self, X: np.ndarray) -> Knn:
        self.known = X
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return np.sort(np.linalg.norm(X[:, None] - self.known, axis=2), axis=1)[:, 1]


@pytest.mark.parametrize(
    "detector",
    [RobustZ(), KMeansDistance(), ShrunkMahalanobis(), IsolationForest(random_state=0), Knn()],
)
def test_what_is_far_is_stranger(detector: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 6))
    detector.fit(rows)
    near, far = outlier_scores(detector, np.full((1, 6), 0.1)), outlier_scores(detector, np.full((1, 6), 8.0))
    assert 0 <= near[0] < far[0]


def test_modes_are_each_normal_but_not_what_lies_between() -> None:
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(-4, 0.1, (100, 5)), rng.normal(4, 0.1, (100, 5))])
    found = outlier_scores(KMeansDistance(2).fit(rows), np.array([[-4.0] * 5, [4.0] * 5, [0.0] * 5]))
    assert found[2] > 10 * max(found[0], found[1])


@pytest.mark.parametrize("detector", [ShrunkMahalanobis()])
def test_what_parts_that_goes_together_is_stranger_than_what_is_only_much(detector: Any) -> None:
    load = np.random.default_rng(2).normal(0, 1, (500, 1))
    rows = np.concatenate([load, load + np.random.default_rng(3).normal(0, 0.1, (500, 1))], axis=1)
    together, apart = outlier_scores(detector.fit(rows), np.array([[2.0, 2.0], [2.0, -2.0]]))
    assert apart > 1.5 * together


def test_constant_rows_are_learned_from() -> None:
    rows = np.zeros((50, 4))
    for detector in (RobustZ(), KMeansDistance(), ShrunkMahalanobis()):
        assert outlier_scores(detector.fit(rows), np.ones((1, 4)))[0] > outlier_scores(detector, rows)[0]


def test_scoring_needs_no_scikit_learn() -> None:
    asked = "import sys, podlab.model.bundle, podlab.detect.scoring; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def test_what_never_varied_may_vary_by_the_root_of_the_ridge() -> None:
    fitted = ShrunkMahalanobis(ridge=0.25).fit(np.zeros((50, 4)))
    assert outlier_scores(fitted, np.full((1, 4), 0.5))[0] == pytest.approx(1.0)


class Known:
    """A detector of pyod's kind whose training rows scored 2 and 3."""

    decision_scores_ = np.array([2.0, 3.0])

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0]


def test_what_is_more_normal_than_any_training_row_is_not_strange_at_all() -> None:
    assert outlier_scores(Known(), np.array([[1.0], [2.0], [5.0]])).tolist() == [0.0, 0.0, 3.0]
