"""What is usual, and how rare what is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.detect.reference import MAX_DEVIATION, fit_ecdf, fit_scaler
from podlab.detect.signals import CHANGES, SIGNALS, ObservedSignals


def observed(
    values: np.ndarray, *, change: float = 0.0, square: float = 0.0, learned_s: float = 0.0
) -> ObservedSignals:
    """Rows of which only the first signals have values."""
    now = np.full((len(values), len(SIGNALS)), np.nan)
    now[:, : values.shape[1]] = values
    return ObservedSignals(now, np.full_like(now, change), np.full_like(now, square), np.full_like(now, learned_s))


def test_each_age_has_its_own_usual() -> None:
    rng = np.random.default_rng(0)
    age_s = np.repeat([2.0, 200.0], 500)
    signals = np.where(age_s[:, None] < 5, 3.0, 0.0) + rng.normal(0, 0.5, (1000, 1))
    usual = fit_scaler(observed(signals), age_s)
    far = usual.standardise(observed(np.array([[3.0], [3.0]])), np.array([2.0, 200.0]))
    assert abs(far[0, 0]) < 0.5
    assert far[1, 0] == pytest.approx(6, abs=1)


def test_nothing_is_unusual_before_the_first_age_that_was_seen() -> None:
    rng = np.random.default_rng(0)
    age_s = np.concatenate([np.full(5, 2.0), np.repeat([20.0, 200.0], 500)])
    usual = fit_scaler(observed(rng.normal(8.0, 0.5, (age_s.size, 1))), age_s)
    young, older, between = usual.standardise(observed(np.zeros((3, 1)), change=9.0), np.array([2.0, 20.0, 90.0]))
    assert np.abs(young).max() < 1e-6
    assert older[0] < -10
    assert between[0] < -10  # an age between others borrows from all


def test_of_a_single_life_all_ages_are_taken_together() -> None:
    rng = np.random.default_rng(0)
    age_s = np.arange(400.0)
    signals = np.where(age_s[:, None] < 150, 8.0, 7.0) + rng.normal(0, 0.1, (400, 1))
    usual = fit_scaler(observed(signals), age_s, by_age=False)
    assert (usual.location == usual.location[0]).all()
    far = usual.standardise(observed(np.full((3, 1), 20.0)), np.array([1.0, 50.0, 300.0]))
    assert far[0, 0] == far[1, 0] == far[2, 0] > 5


def test_constant_missing_and_huge_signals_are_handled() -> None:
    signals = np.column_stack([np.full(100, 2.0), np.full(100, np.nan)])
    usual = fit_scaler(observed(signals), np.arange(100.0))
    far = usual.standardise(observed(np.array([[2.0, 5.0], [np.nan, np.nan], [1e9, -1e9]])), np.full(3, 70.0))
    assert np.isfinite(far).all()
    assert far[0, 0] == 0
    assert (far[1] == 0).all()
    assert far[2, 0] == MAX_DEVIATION
    assert abs(far[2, 1]) <= 1, "nothing is known of a signal that had no value"


def test_an_own_spread_replaces_the_service_s_as_it_is_known() -> None:
    usual = fit_scaler(observed(np.zeros((100, 1))), np.full(100, 200.0))
    age_s = np.array([200.0])
    first, restless, steady = (
        usual.standardise(observed(np.zeros((1, 1)), change=1.0, square=square, learned_s=learned_s), age_s)
        for square, learned_s in ((0.0, 0.0), (4.0, 3000.0), (0.0, 3000.0))
    )
    looked_at = np.concatenate([np.zeros(len(SIGNALS), dtype=bool), CHANGES])
    assert (restless[0, looked_at] < first[0, looked_at]).all()
    assert (first[0, looked_at] < steady[0, looked_at]).all()
    assert not steady[0, ~looked_at].any()


@given(st.lists(st.floats(0, 1e6), min_size=12, max_size=400))
def test_rarity_rises_with_the_value_even_beyond_all_known(values: list[float]) -> None:
    tail = fit_ecdf(np.array(values))
    asked = np.sort(np.concatenate([values, np.max(values) * np.array([1.0, 2.0, 4.0]) + [0, 1, 2]]))
    rarity = tail.rarity(asked)
    assert np.isfinite(rarity).all()
    assert (rarity >= 0).all()
    assert (np.diff(rarity) >= -1e-9).all()


def test_rarity_is_the_rank_among_normal_values() -> None:
    tail = fit_ecdf(np.arange(1.0, 10_001))
    assert tail.rarity(np.array([5000.0, 9000.0])) == pytest.approx([-np.log10(0.5), 1.0], abs=0.01)


def test_a_hundredth_of_normal_values_is_the_tail_and_ten_at_least() -> None:
    assert fit_ecdf(np.arange(1.0, 10_001)).share == pytest.approx(0.01, abs=1e-4)
    assert fit_ecdf(np.arange(1.0, 101)).share == pytest.approx(10 / 101)
    assert fit_ecdf(np.arange(1.0, 5)).share == pytest.approx(3 / 5)


def test_beyond_all_known_values_rarity_rises_as_steeply_as_the_tail_did() -> None:
    """Of a Pareto distribution the part above x is x**-2."""
    rarity = fit_ecdf(np.arange(1, 20_001) ** -0.5 * 200).rarity(np.array([20.0, 200.0, 2000.0]))
    assert rarity == pytest.approx([-np.log10(0.005), 4.3, 6.3], abs=0.25)


def test_nothing_is_rarer_than_one_in_a_trillion() -> None:
    assert fit_ecdf(np.full(1000, 1.0)).rarity(np.array([1e300])).tolist() == [12.0]


def test_a_value_that_normal_data_never_leaves_is_not_rare_but_what_is_above_it_is() -> None:
    constant, twice = fit_ecdf(np.full(1000, 3.0)).rarity(np.array([3.0, 6.0]))
    assert constant < 2.01
    assert twice > 6


def test_normal_values_stray_by_their_standard_deviation_and_constant_ones_by_a_tenth() -> None:
    rng = np.random.default_rng(0)
    signals = np.column_stack([rng.normal(4.0, 0.7, 5000), np.full(5000, 2.0)])
    far = fit_scaler(observed(signals), np.full(5000, 200.0)).standardise(
        observed(np.array([[4.7, 2.2]])), np.array([200.0])
    )
    assert far[0, 0] == pytest.approx(1.0, abs=0.08)
    assert far[0, 1] == pytest.approx(2.0)


@pytest.mark.parametrize(("age_s", "young"), [(4.9, True), (5.0, False)])
def test_a_start_is_over_after_five_seconds(age_s: float, young: bool) -> None:
    signals = np.repeat([[3.0], [0.0]], 30, axis=0)
    usual = fit_scaler(observed(signals), np.repeat([2.0, 10.0], 30))
    far = usual.standardise(observed(np.array([[3.0]])), np.array([age_s]))
    assert (abs(far[0, 0]) < 0.01) == young


def test_an_age_needs_twenty_rows_to_have_an_usual_of_its_own() -> None:
    rng = np.random.default_rng(0)
    for count, own in ((20, True), (19, False)):
        age_s = np.concatenate([np.full(100, 2.0), np.full(count, 20.0), np.full(200, 200.0)])
        signals = np.where(age_s[:, None] == 20.0, 5.0, 0.0) + rng.normal(0, 0.2, (age_s.size, 1))
        far = fit_scaler(observed(signals), age_s).standardise(observed(np.array([[5.0]])), np.array([20.0]))
        assert (abs(far[0, 0]) < 2) == own


def test_a_container_steadier_than_its_service_is_judged_by_a_twentieth_at_least() -> None:
    usual = fit_scaler(observed(np.zeros((100, 1))), np.full(100, 200.0))
    far = usual.standardise(observed(np.zeros((1, 1)), change=0.1, learned_s=1e9), np.array([200.0]))
    assert far[0, len(SIGNALS)] == pytest.approx(2.0)
