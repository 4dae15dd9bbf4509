"""Growth of costs: what was put in comes out, the interval holds it, and it widens where nothing was measured."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.notebook.scaling import fit_growth

SIZES = np.repeat([100.0, 300.0, 1000.0, 3000.0], 2)


@pytest.mark.parametrize("fixed", [0.0, 0.3, 50.0])
def test_an_exact_law_is_found(fixed: float) -> None:
    growth = fit_growth(SIZES, fixed + 0.25 * SIZES)
    assert growth.fixed == pytest.approx(fixed, abs=1e-6)
    assert (growth.smallest, growth.largest) == (100, 3000)
    for size in (1.0, 1000.0, 1e9):
        at = growth.at(size)
        assert (at.value, at.low, at.high) == pytest.approx((fixed + 0.25 * size,) * 3, rel=1e-3)
    assert growth.exponent <= 1 + 1e-9


def test_it_is_the_line_of_plain_weighted_least_squares() -> None:
    cost = (2 + 0.01 * SIZES) * np.random.default_rng(0).lognormal(0, 0.05, len(SIZES))
    growth = fit_growth(SIZES, cost)
    fitted = growth.fixed + growth.each.value * SIZES
    each, fixed = np.polyfit(SIZES, cost, 1, w=1 / fitted)
    assert (growth.fixed, growth.each.value) == pytest.approx((fixed, each), rel=1e-4)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held, far = 0, []
    for _ in range(400):
        growth = fit_growth(SIZES, (2 + 0.01 * SIZES) * (1 + 0.1 * rng.normal(size=len(SIZES))))
        at = growth.at(1e9)
        held += at.low <= 2 + 0.01 * 1e9 <= at.high
        far.append((at.high - at.low) / at.value > (growth.at(1000).high - growth.at(1000).low) / growth.at(1000).value)
    assert 0.92 <= held / 400 <= 0.98
    assert np.mean(far) > 0.95


def test_a_negative_fixed_cost_is_none() -> None:
    growth = fit_growth(SIZES, 1e-4 * SIZES**1.5)
    assert growth.fixed == 0
    assert growth.each.low <= growth.each.value <= growth.each.high
    assert growth.exponent == pytest.approx(1.5)  # whoever reads it sees that the law does not hold


@pytest.mark.parametrize(
    ("size", "cost"), [([1, 2], [1, 2]), ([5, 5, 5], [1, 1, 1]), ([1, 2, 3], [1, 0, 1]), ([0, 2, 3], [1, 1, 1])]
)
def test_what_cannot_be_fitted_is_refused(size: list[float], cost: list[float]) -> None:
    with pytest.raises(ValueError, match="three costs of two sizes"):
        fit_growth(size, cost)
