"""The flat forest answers as scikit-learn does, and no array from a file can lead it astray."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from podlab.errors import InputError
from podlab.identify.forest import MAX_DEPTH, Forest, forest_from_arrays, forest_from_sklearn


def data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, rows)
    X = rng.normal(size=(rows, 12)).astype(np.float32)
    X[:, :3] += y[:, None]
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 5] = 1.0  # never missing and constant in training
    return X, y


@pytest.fixture(scope="module")
def forest() -> Forest:
    X, y = data(200, 0)
    return forest_from_sklearn([ExtraTreesClassifier(15, random_state=0).fit(X, y)], 4)


@pytest.mark.parametrize("kind", [ExtraTreesClassifier, RandomForestClassifier])
def test_same_answers_as_scikit_learn(kind: type[Any]) -> None:
    X, y = data(300, 1)
    model = kind(25, random_state=1, max_depth=9).fit(X, y, sample_weight=np.linspace(0.5, 2, y.size))
    new, _ = data(500, 2)
    new[:, 5] = np.where(new[:, 0] > 0, np.nan, new[:, 5])  # missing where training never missed it
    # Values on a threshold are where rounding it would show.
    thresholds = model.estimators_[0].tree_.threshold.astype(np.float32)
    thresholds = thresholds[np.isfinite(thresholds)]
    new[: thresholds.size, 0] = thresholds[: len(new)]
    flat = forest_from_sklearn([model], 4)
    np.testing.assert_allclose(flat.predict(new), model.predict_proba(new), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(flat.leaves(new) - flat.roots, model.apply(new))


def test_services_that_a_fold_lacks_get_no_votes() -> None:
    X, y = data(100, 3)
    model = ExtraTreesClassifier(5, random_state=0).fit(X[y != 2], y[y != 2])
    votes = forest_from_sklearn([model], 4).predict(X)
    assert votes.shape == (100, 4)
    assert not votes[:, 2].any()
    np.testing.assert_allclose(votes.sum(axis=1), 1.0)


@pytest.fixture(scope="module")
def joined() -> Forest:
    X, y = data(200, 0)
    models = [ExtraTreesClassifier(5 + n, random_state=n).fit(X[:, 2 * n : 2 * n + 4], y) for n in range(3)]
    return forest_from_sklearn(models, 4, [np.arange(2 * n, 2 * n + 4) for n in range(3)])


def test_subspaces_are_joined_by_their_geometric_mean(joined: Forest) -> None:
    X, _ = data(300, 1)
    votes = np.stack(
        [
            ExtraTreesClassifier(5 + n, random_state=n)
            .fit(data(200, 0)[0][:, 2 * n : 2 * n + 4], data(200, 0)[1])
            .predict_proba(X[:, 2 * n : 2 * n + 4])
            for n in range(3)
        ]
    )
    expected = np.prod(votes + 0.1, axis=0) ** (1 / 3)
    np.testing.assert_allclose(joined.predict(X), expected / expected.sum(axis=1, keepdims=True), atol=1e-12)
    again = forest_from_arrays(joined.to_arrays(), n_features=12, n_classes=4, where="a.npz")
    np.testing.assert_array_equal(joined.predict(X), again.predict(X))


def test_trees_of_a_model_from_before_are_averaged(joined: Forest) -> None:
    arrays = {name: array for name, array in joined.to_nodes().items() if name != "members"}
    before = forest_from_arrays(arrays, n_features=12, n_classes=4, where="a.npz")
    X, _ = data(50, 4)
    leaf = before.child[2 * before.leaves(X) + 1]
    np.testing.assert_allclose(before.predict(X), before.distributions[leaf].mean(axis=1), atol=1e-12)


def test_arrays_come_back_as_they_went(forest: Forest) -> None:
    arrays = forest.to_arrays()
    again = forest_from_arrays(arrays, n_features=12, n_classes=4, where="a.npz")
    for name, array in again.to_arrays().items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    X, _ = data(50, 4)
    np.testing.assert_array_equal(forest.predict(X), again.predict(X))


def changed(array: np.ndarray, at: int, value: float) -> np.ndarray:
    out = array.copy()
    out[at] = value
    return out


def test_a_crafted_forest_is_refused(forest: Forest) -> None:
    sound = forest.to_nodes()
    feature, left, right, threshold = (sound[name] for name in ("feature", "left", "right", "threshold"))
    leaf = int(np.flatnonzero(feature < 0)[0])
    chain = MAX_DEPTH + 5
    faults = {
        "a node's child lies": [
            {"left": changed(left, 0, 0)},  # a circle
            {"right": changed(right, 0, feature.size)},
        ],
        "there is no tree": [{"roots": forest.roots[:0], "members": forest.members[:0]}],
        "array 'roots' holds values out of range": [{"roots": changed(forest.roots, 0, -5)}],
        "array 'right' holds values out of range": [{"right": changed(right, 0, -1)}],
        "array 'feature' holds values out of range": [
            {"feature": changed(feature, 0, 12)},
            {"feature": changed(feature, 0, -2)},
        ],
        "its subspaces are not one after the other": [
            {"members": np.array(members, np.int32)} for members in ([], [1], [0, 3, 3])
        ],
        "array 'members' holds values out of range": [{"members": np.array([0, 15], np.int32)}],
        "a leaf has no distribution": [{"left": changed(left, leaf, len(forest.distributions))}],
        "a leaf's distribution is none": [
            {"distributions": forest.distributions * 2},
        ],
        "holds what is not a number": [
            {"threshold": changed(threshold, 0, np.nan)},
            {"distributions": forest.distributions * np.nan},
        ],
        "another type or shape": [
            {"threshold": threshold[:-1]},
            {"distributions": forest.distributions[:, :3]},
            {"feature": feature.astype(np.int64)},
            {"left": left.astype(">i4")},
            {"roots": forest.roots[None]},
        ],
        "deeper than": [
            {
                "roots": np.zeros(1, np.int32),
                "feature": np.r_[np.zeros(chain), -1].astype(np.int16),
                "threshold": np.zeros(chain + 1, np.float32),
                "left": np.r_[np.arange(1, chain + 1), 0].astype(np.int32),
                "right": np.r_[np.arange(1, chain + 1), 0].astype(np.int32),
                "missing_left": np.zeros(chain + 1, bool),
            }
        ],
    }
    stored = forest.to_arrays()
    asked, step = stored["asked"], stored["step"]
    faults_as_stored = {
        "a node's child lies": [{"step": changed(step, 0, 0)}, {"step": changed(step, 0, feature.size)}],
        "array 'asked' holds values out of range": [{"asked": changed(asked, 0, each)} for each in (24, -2)],
        "a leaf has no distribution": [{"step": changed(step, leaf, len(forest.distributions))}],
        "holds what is not a number": [{"threshold": changed(stored["threshold"], 0, np.nan)}],
        "another type or shape": [{"threshold": stored["threshold"][1:]}, {"step": step[1:]}, {"roots": step}],
        "deeper than": [
            {
                "roots": np.zeros(1, np.int32),
                "members": np.zeros(1, np.int32),
                "asked": np.r_[np.zeros(chain), -1].astype(np.int16),
                "threshold": np.zeros(chain, np.float32),
                "step": np.r_[np.ones(chain), 0].astype(np.uint16),
            }
        ],
    }
    for layout, crafts_by_fault in ((sound, faults), (stored, faults_as_stored)):
        for fault, crafts in crafts_by_fault.items():
            for craft in crafts:
                with pytest.raises(InputError, match=fault):
                    forest_from_arrays(layout | craft, n_features=12, n_classes=4, where="a.npz")


def test_a_forest_too_large_for_small_numbers_is_stored_whole(forest: Forest) -> None:
    large = replace(forest, child=forest.child.copy(), distributions=np.tile(forest.distributions, (70_000, 1)))
    large.child[1::2][~forest.inner] += 66_000
    again = forest_from_arrays(large.to_arrays(), n_features=12, n_classes=4, where="a.npz")
    np.testing.assert_array_equal(again.child, large.child)


def test_a_missing_array_is_named(forest: Forest) -> None:
    arrays = forest.to_arrays()
    del arrays["threshold"]
    with pytest.raises(InputError, match=r"a\.npz: array 'threshold' is missing"):
        forest_from_arrays(arrays, n_features=12, n_classes=4, where="a.npz")


def naive_leaf(nodes: dict[str, np.ndarray], root: int, x: np.ndarray) -> int:
    node = root
    while nodes["feature"][node] >= 0:
        value = x[nodes["feature"][node]]
        goes_left = nodes["missing_left"][node] if np.isnan(value) else value <= nodes["threshold"][node]
        node = int(nodes["left" if goes_left else "right"][node])
    return node


def test_same_leaves_as_the_naive_twin_in_blocks_of_any_size(forest: Forest, monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = data(70, 6)
    X[::7] = np.nan
    X[3::11] = np.inf
    X[5::13] = -np.inf
    nodes = forest.to_nodes()
    expected = [[naive_leaf(nodes, int(root), x) for root in nodes["roots"]] for x in X]
    votes = np.array([np.mean(nodes["distributions"][nodes["left"][leaves]], axis=0) for leaves in expected])
    for rows, walkers in ((256, 25_600), (32, 100), (7, 1)):
        monkeypatch.setattr("podlab.identify.forest._BLOCK_ROWS", rows)
        monkeypatch.setattr("podlab.identify.forest._BLOCK_WALKERS", walkers)
        np.testing.assert_array_equal(forest.leaves(X), expected)
        np.testing.assert_array_equal(forest.predict(X), votes)
    assert forest.leaves(X[:0]).shape == (0, forest.roots.size)
    assert forest.predict(X[:0]).shape == (0, 4)


def test_each_distribution_is_kept_once(forest: Forest) -> None:
    assert len(np.unique(forest.distributions, axis=0)) == len(forest.distributions)
    assert len(forest.distributions) < np.sum(~forest.inner)


def test_a_feature_counts_by_how_early_it_is_asked_for(forest: Forest) -> None:
    nodes, wanted = forest.to_nodes(), np.zeros(12)

    def count(node: int, weight: float) -> None:
        if nodes["feature"][node] >= 0:
            wanted[nodes["feature"][node]] += weight
            count(nodes["left"][node], weight / 2)
            count(nodes["right"][node], weight / 2)

    for root in nodes["roots"]:
        count(root, 1.0)
    np.testing.assert_allclose(forest.importance(12), wanted)
