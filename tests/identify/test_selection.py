"""Each recording decides between feature subspaces, one forest and both, and small ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.identify import Identifier, fit
from podlab.identify.classifier import TrainingSet
from podlab.identify.forest import Members
from podlab.identify.selection import _decide, choose_members
from tests.support.synthetic import make_samples

NAMES = tuple(f"{series}.mean" for series in ("rx_bytes", "tx_bytes", "memory_rss_bytes", "volume_used_bytes"))


def recorded(per_service: int) -> tuple[TrainingSet, np.ndarray, np.ndarray, np.ndarray]:
    """Services that only traffic and volumes together tell: no subspace shows both."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), per_service)
    X = rng.normal(size=(truth.size, len(NAMES))).astype(np.float32)
    X[:, 0] += 8 * (truth % 2)
    X[:, 3] += 8 * (truth // 2)
    groups = np.arange(truth.size).astype(str)
    data = TrainingSet(X, np.arange(truth.size), np.zeros(truth.size, np.intp), np.ones(truth.size), NAMES)
    return data, truth, groups, np.arange(truth.size) % 5


def test_one_forest_is_chosen_where_it_is_ahead() -> None:
    chosen, accuracy = choose_members(*recorded(20), services=4, seed=0, jobs=1)
    assert list(accuracy) == ["subspaces", "one", "both"]
    assert accuracy[chosen] >= max(accuracy.values()) - 0.05
    assert accuracy["one"] > 0.95


def test_nothing_is_chosen_where_services_have_one_group() -> None:
    data, truth, _, folds = recorded(20)
    assert choose_members(data, truth, truth.astype(str), folds, services=4, seed=0, jobs=1) == ("subspaces", {})


@pytest.mark.parametrize(("better", "chosen"), [(1, "subspaces"), (6, "one")])
def test_a_lead_within_noise_changes_nothing(better: int, chosen: Members) -> None:
    right = np.ones((3, 40))
    right[0, :better] = 0
    right[:, 30:] = 0
    right[2] = 0
    found, accuracy = _decide(right, np.repeat([0, 1], 20), np.arange(40).astype(str))
    assert (found, accuracy["one"]) == (chosen, 0.75)


def test_a_model_says_what_was_compared() -> None:
    scores = fit(make_samples(("nginx", "redis"), seconds=40), horizons_s=(10.0,), column_sets=False, jobs=1).scores
    assert scores["members"] in ("subspaces", "one", "both")
    assert set(scores["balanced_accuracy_of_members"]) == {"subspaces", "one", "both"}  # type: ignore[call-overload]
    small = make_samples(("nginx", "redis"), deployments_per_service=1, seconds=40)
    scores = Identifier(horizons_s=(10.0,), column_sets=False, jobs=1).fit(small).scores
    assert (scores["members"], scores["balanced_accuracy_of_members"]) == ("subspaces", {})
