"""Proximity to services, against counting shared leaves one by one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import GaussianNB

from podlab.identify import classifier, fit
from podlab.identify.classifier import service_proximity


def naive_proximity(leaves: np.ndarray, known: np.ndarray, service: np.ndarray, n_services: int) -> np.ndarray:
    """Compare every row with every training container, tree by tree."""
    out = np.zeros((len(leaves), n_services))
    for row, own in enumerate(leaves):
        for other, number in zip(known, service, strict=True):
            shared = np.float32(sum(a == b for a, b in zip(own, other, strict=True))) / np.float32(own.size)
            out[row, number] = max(out[row, number], shared)
    return out


@pytest.fixture(params=["few rows", "many rows", "many rows in small blocks", "leaves that most share"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "few rows":
        monkeypatch.setattr(classifier, "_MANY_ROWS", 1)
        monkeypatch.setattr(classifier, "_LOOK_UP_COST", 10**6 if request.param == "leaves that most share" else 0)
    if request.param == "many rows in small blocks":
        monkeypatch.setattr(classifier, "_BLOCK_RUNS", 40)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(("rows", "known"), [(70, 20), (1, 20), (0, 20), (5, 1), (5, 0)])
def test_same_as_counting_one_by_one(rows: int, known: int) -> None:
    rng = np.random.default_rng(0)
    # Each tree has leaves of its own; rows fall into some that no training container is in.
    first = 5 * np.arange(9)
    leaves = (first + rng.integers(0, 5, (rows, 9))).astype(np.int32)
    theirs = (first + rng.integers(0, 4, (known, 9))).astype(np.int32)
    service = np.sort(rng.choice([0, 1, 3], known)).astype(np.int16)
    found = service_proximity(leaves, theirs, service, 5)
    np.testing.assert_array_equal(found, naive_proximity(leaves, theirs, service, 5))


class Onlooker(GaussianNB):
    """Keeps what it was fitted to."""

    shown: ClassVar[list[np.ndarray]] = []

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Onlooker:
        self.shown.append(np.array(X))
        return super().fit(X, y, sample_weight)


def test_a_classifier_of_ones_own_gets_features_of_one_scale(training: pd.DataFrame) -> None:
    """Whatever their units: a nearest-neighbour classifier, say, would look at the largest numbers only."""
    Onlooker.shown.clear()
    fit(training, horizons_s=(10.0,), estimator=Onlooker(), jobs=1)
    for X in Onlooker.shown:
        spread = X.std(axis=0)
        varies = spread > 1e-6
        assert varies.any()
        # Below 1 where values are missing, which the median stands in for.
        assert ((spread[varies] > 0.5) & (spread[varies] < 1.01)).all()
        assert np.abs(X.mean(axis=0)).max() < 1.0
