from __future__ import annotations

import numpy as np

from podlab.features.features import feature_names
from podlab.identify.forest import feature_subspaces, fit_subspace_forest, forest_from_arrays

NAMES = feature_names(("cpu_usage_nanocores", "memory_rss_bytes", "volume_used_bytes"))


def labelled(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two services: the volume tells them apart without fail, memory nearly without."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], 40)
    X = rng.normal(0, 1, (80, len(NAMES))).astype(np.float32)
    for number, name in enumerate(NAMES):
        if name.startswith("volume"):
            X[:, number] = 10 * y
        if "memory" in name:
            X[:, number] += 3 * y
    return X, y


def grow(trees: int, seed: int = 0):
    X, y = labelled()
    return fit_subspace_forest(X, y, np.ones(y.size), NAMES, services=2, trees=trees, seed=seed, jobs=1)


def test_each_subspace_shows_one_kind_of_evidence_and_no_two_are_alike() -> None:
    subspaces = [{NAMES[n] for n in subspace} for subspace in feature_subspaces(NAMES)]
    assert all(subspaces)
    assert len({frozenset(subspace) for subspace in subspaces}) == len(subspaces)
    assert set().union(*subspaces) == set(NAMES)
    assert subspaces[0] == {name for name in NAMES if name.startswith("volume")}
    assert not any(name.startswith("volume") for subspace in subspaces[1:] for name in subspace)
    proportions = subspaces[1]
    assert "cpu_usage_nanocores/memory_rss_bytes" in proportions
    assert "memory_rss_bytes.median" in proportions
    assert "cpu_usage_nanocores.median" not in proportions  # a load


def test_one_family_only_is_seen_whole_and_by_its_proportions() -> None:
    names = feature_names(("memory_rss_bytes", "memory_usage_bytes"))
    proportions, whole = (subspace.tolist() for subspace in feature_subspaces(names))
    assert whole == list(range(len(names)))
    assert set(proportions) < set(whole)


def test_a_recording_of_one_metric_has_a_subspace() -> None:
    names = feature_names(("rootfs_used_bytes",))
    assert [subspace.tolist() for subspace in feature_subspaces(names)] == [list(range(len(names)))]


def test_data_that_move_into_a_volume_change_one_subspace_only() -> None:
    names = feature_names(("rootfs_used_bytes", "volume_used_bytes", "memory_rss_bytes"))
    seeing = [
        {names[n].partition(".")[0] for n in subspace} & {"rootfs_used_bytes", "volume_used_bytes"}
        for subspace in feature_subspaces(names)
    ]
    assert sum(map(bool, seeing)) == 1
    assert any("disk_used_bytes.mean" in {names[n] for n in subspace} for subspace in feature_subspaces(names)[1:])


def test_a_family_that_misleads_does_not_decide_alone() -> None:
    X, y = labelled(seed=1)
    volume = [name.startswith("volume") for name in NAMES]
    X[:, volume] = 10 * (1 - y)[:, None]
    answer = grow(80).predict(X).argmax(axis=1)
    assert np.mean(answer == y) > 0.9


def test_as_many_trees_as_wanted_that_a_file_may_hold() -> None:
    forest = grow(50)
    assert forest.roots.size == 50
    again = forest_from_arrays(forest.to_arrays(), n_features=len(NAMES), n_classes=2, where="here")
    X, y = labelled(seed=2)
    np.testing.assert_array_equal(again.predict(X), forest.predict(X))
    assert np.allclose(forest.predict(X).sum(axis=1), 1)
    assert np.mean(forest.predict(X).argmax(axis=1) == y) > 0.9


def test_each_tree_s_vote_is_its_own_forest_s() -> None:
    """Joining moves nodes and leaves; trees of the first view still see exactly their features."""
    forest = grow(8)
    X, _ = labelled(seed=3)
    hidden = X.copy()
    volume = np.array([name.startswith("volume") for name in NAMES])
    hidden[:, volume] = np.nan
    same = forest.leaves(X) == forest.leaves(hidden)
    assert same[:, 2:].all()  # the first two trees see the volume, the others do not
    assert not same[:, :2].all()


def test_the_same_seed_grows_the_same_trees() -> None:
    first, again, other = (grow(8, seed).to_arrays() for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["threshold"], other["threshold"])
