from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.audit.confounding import distances, nearest_known, nearest_pairs
from tests.audit.conftest import make_window_table


def test_distances_are_in_standard_deviations_whatever_the_scale() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    found = distances(pd.DataFrame(X))
    scaled = distances(pd.DataFrame(X * np.array([1, 10, 100, 1e3, 1e4, 1e5]) + 5))
    np.testing.assert_allclose(found, scaled, rtol=1e-3)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    assert found[3, 7] == pytest.approx(np.sqrt(np.mean((standard[3] - standard[7]) ** 2)), rel=1e-4)
    assert np.isinf(np.diag(found)).all()


def test_missing_values_and_constants_tell_nothing() -> None:
    X = np.array([[0.0, 7, np.nan], [1, 7, np.nan], [2, 7, 1.0]])
    found = distances(pd.DataFrame(X))
    assert np.isfinite(found[~np.eye(3, dtype=bool)]).all()
    assert found[0, 1] < found[0, 2]


def test_a_copy_is_suspicious_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 10))
    X[41] = X[7] + 1e-4 * rng.normal(size=10)
    pairs = nearest_pairs(make_window_table(X, [f"service-{number % 3}" for number in range(60)]))
    assert set(pairs.loc[pairs["suspicious"], "deployment"]) == {"d7", "d41"}
    first = pairs.iloc[0]
    assert {first["deployment"], first["neighbour"]} == {"d7", "d41"}
    assert not first["same service"]
    assert first["times the usual"] < 0.01
    assert pairs["distance"].is_monotonic_increasing


def test_an_exact_copy_among_copies_is_suspicious() -> None:
    assert nearest_pairs(make_window_table(np.ones((4, 3)), ["a"] * 4))["suspicious"].all()


def test_an_unknown_relative_is_named_and_an_unrelated_service_is_far() -> None:
    rng = np.random.default_rng(2)
    known = make_window_table(
        np.repeat([[0.0] * 8, [10.0] * 8], 10, axis=0) + rng.normal(size=(20, 8)), ["a"] * 10 + ["b"] * 10
    )
    strange = np.concatenate([10 + rng.normal(size=(4, 8)), 200 + rng.normal(size=(3, 8))])
    table = nearest_known(known, make_window_table(strange, ["relative"] * 4 + ["unrelated"] * 3)).set_index("service")
    assert table.loc["relative", "most like"] == "b"
    assert table.loc["relative", "of them %"] == 100
    assert table.loc["relative", "deployments"] == 4
    assert table.loc["relative", "times the usual"] < 3
    assert table.loc["unrelated", "times the usual"] > 20
