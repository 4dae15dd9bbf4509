"""Probabilities that mean what they say, and novelty that rises with strangeness."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.identify.calibration import agreement, calibrate, log_votes, soften


def overconfident(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Votes that claim 95 % and are right in 70 %."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, rows)
    said = np.where(rng.random(rows) < 0.7, truth, (truth + rng.integers(1, 3, rows)) % 3)
    probability = np.full((rows, 3), 0.025)
    probability[np.arange(rows), said] = 0.95
    return log_votes(probability), truth


def test_temperature_makes_confidence_mean_what_it_says() -> None:
    added, truth = overconfident()
    calibration = calibrate(added, truth, np.linspace(0, 1, truth.size), 1)
    assert calibration.temperature > 1.5
    assert soften(added, calibration.temperature).max(axis=1).mean() == pytest.approx(0.7, abs=0.02)


def test_probabilities_add_up_and_keep_their_order() -> None:
    added, _ = overconfident(50)
    for temperature in (0.2, 1.0, 8.0):
        probability = soften(added, temperature)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0)
        np.testing.assert_array_equal(probability.argmax(axis=1), added.argmax(axis=1))


def test_novelty_rises_with_strangeness() -> None:
    rng = np.random.default_rng(1)
    added = np.log(rng.dirichlet([4, 1, 1], 300))
    calibration = calibrate(added, np.zeros(300, dtype=np.intp), rng.uniform(0.3, 0.9, 300), 1)
    strange, familiar = calibration.novelty(np.array([0.0, 0.999]), np.array([0.0, 0.95]))
    assert strange == 1.0
    assert familiar < 0.01
    steps = calibration.novelty(np.linspace(0, 1, 50), np.linspace(0, 1, 50))
    assert np.all(np.diff(steps) <= 0)


def test_most_held_out_containers_stay_known() -> None:
    rng = np.random.default_rng(2)
    added, near = np.log(rng.dirichlet([4, 1, 1], 500)), rng.uniform(0.3, 0.9, 500)
    calibration = calibrate(added, added.argmax(axis=1), near, 1)
    assert np.mean(calibration.novelty(agreement(added, 1), near) > 0.98) <= 0.02


def test_without_held_out_containers_nothing_is_strange() -> None:
    calibration = calibrate(np.empty((0, 3)), np.empty(0, dtype=np.intp), np.empty(0), 1)
    assert calibration.temperature == 1.0
    assert calibration.novelty(np.array([0.1]), np.array([0.0])).tolist() == [0.0]
