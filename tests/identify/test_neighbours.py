"""Closeness in the space of features, beside a naive twin."""

from __future__ import annotations

import numpy as np

from podlab.identify.classifier import service_similarity
from podlab.identify.novelty import NearestNeighbours, fit_nearest_neighbours


def space_of(features: int = 50) -> tuple[NearestNeighbours, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    service = np.repeat([0, 1, 2], 12)
    X = (rng.normal(0, 0.3, (36, features)) + service[:, None] * 2).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    return fit_nearest_neighbours(X, service, np.linspace(1, 0, features)), X, service


def naive(space: NearestNeighbours, row: np.ndarray, service: int) -> float:
    """Minus the logarithm of the distance to the nearest, one feature after the other."""
    found = []
    for point in space.points[space.service == service]:
        total = weight = 0.0
        for n, column in enumerate(space.feature):
            apart = abs(row[column] / space.scale[n] - point[n])
            if not np.isnan(apart):
                total += min(apart, 6.0) * space.weight[n]
                weight += space.weight[n]
        found.append(total / weight if weight else 6.0)
    return -np.log(max(min(found), 1e-6))


def test_the_distance_is_the_naive_one() -> None:
    space, X, service = space_of()
    rows = X + np.float32(0.2)
    wanted = [naive(space, row, one) for row, one in zip(rows, service, strict=True)]
    np.testing.assert_allclose(space.neg_log_distance(rows, service.astype(np.intp)), wanted, rtol=1e-4)
    each = space.neg_log_distances(rows, 3)
    np.testing.assert_array_equal(each[np.arange(36), service], space.neg_log_distance(rows, service.astype(np.intp)))


def test_the_own_service_is_closest() -> None:
    space, X, service = space_of()
    np.testing.assert_array_equal(space.neg_log_distances(X + np.float32(0.05), 3).argmax(axis=1), service)


def test_what_nobody_shows_is_far_away() -> None:
    space, X, _ = space_of()
    nothing = np.full((1, X.shape[1]), np.nan, dtype=np.float32)
    assert space.neg_log_distance(nothing, np.array([1])) == -np.log(6.0)


def test_features_never_seen_are_not_chosen() -> None:
    _, X, service = space_of()
    X[:, 0] = np.nan
    space = fit_nearest_neighbours(X, service, np.linspace(1, 0, X.shape[1]))
    assert 0 not in space.feature
    np.testing.assert_allclose(space.weight.sum(), 1.0, rtol=1e-5)


def test_similarity_is_symmetric_and_highest_with_oneself() -> None:
    near = np.array([[0.8, 0.4, 0.0], [0.6, 0.2, 0.0], [0.3, 0.9, 0.0], [np.nan, np.nan, np.nan]])
    alike = service_similarity([near], np.array([0, 0, 1, 2]), 3)
    np.testing.assert_array_equal(alike, alike.T)
    np.testing.assert_array_equal(np.diag(alike), 1.0)
    np.testing.assert_allclose(alike[0, 1], (0.3 + 0.3) / (0.7 + 0.9))
    assert alike[0, 2] == 0.0
