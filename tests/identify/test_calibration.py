"""Probabilities that mean what they say, and what else is learned beside them."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.identify.calibration import agreement, calibrate, log_votes, measure, soften


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
    calibration = calibrate(added, truth, np.arange(truth.size).astype(str), added, added, 1)
    assert calibration.temperature > 1.5
    assert soften(added, calibration.temperature).max(axis=1).mean() == pytest.approx(0.7, abs=0.02)


def test_probabilities_add_up_and_keep_their_order() -> None:
    added, _ = overconfident(50)
    for temperature in (0.2, 1.0, 8.0):
        probability = soften(added, temperature)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0)
        np.testing.assert_array_equal(probability.argmax(axis=1), added.argmax(axis=1))


def test_measures_are_those_of_the_answered_service() -> None:
    added = np.log([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    near = np.array([[0.5, 0.9, 0.1], [0.2, 0.3, 0.4]])
    found = measure(added, near, np.array([1.5, 2.5]), 1)
    np.testing.assert_allclose(found, [[0.7, 0.5, 1.5], [0.6, 0.4, 2.5]])
    np.testing.assert_array_equal(found[:, 0], agreement(added, 1))


def test_known_containers_stay_known_and_sets_hold_them() -> None:
    rng = np.random.default_rng(2)
    added, near = np.log(rng.dirichlet([4, 1, 1], 500)), rng.uniform(0.3, 0.9, (500, 3))
    answered = added.argmax(axis=1)
    calibration = calibrate(added, answered, np.arange(500).astype(str), near, near, 1)
    measures = measure(added, near, near[np.arange(500), answered], 1)
    assert np.mean(calibration.typicality.novelty(measures, answered) > 0.98) <= 0.03
    assert calibration.bounds.promise == "each service"
    inside = calibration.bounds.shortlist(soften(added, calibration.temperature))
    assert inside[np.arange(500), answered].all()


def test_without_held_out_containers_nothing_is_strange_and_nothing_promised() -> None:
    none = np.empty((0, 3))
    calibration = calibrate(none, np.empty(0, dtype=np.intp), np.empty(0, dtype=str), none, none, 1)
    assert calibration.temperature == 1.0
    assert calibration.typicality.novelty(np.array([[0.1, 0.0, 0.0]]), np.array([0])).tolist() == [0.0]
    assert calibration.bounds.promise == "none"
