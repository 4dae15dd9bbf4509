"""Probabilities that mean what they say, and what else is learned beside them."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.identify.calibration import agreement, calibrate, combine_logits, measure, softmax, to_logits


def overconfident(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Votes that claim 95 % and are right in 70 %."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, rows)
    said = np.where(rng.random(rows) < 0.7, truth, (truth + rng.integers(1, 3, rows)) % 3)
    probability = np.full((rows, 3), 0.025)
    probability[np.arange(rows), said] = 0.95
    return to_logits(probability), truth


def test_temperature_makes_confidence_mean_what_it_says() -> None:
    added, truth = overconfident()
    calibration = calibrate(added, truth, np.arange(truth.size).astype(str), added, added, 1)
    assert calibration.temperature > 1.5
    assert softmax(added, calibration.temperature).max(axis=1).mean() == pytest.approx(0.7, abs=0.02)


def test_probabilities_add_up_and_keep_their_order() -> None:
    added, _ = overconfident(50)
    for temperature in (0.2, 1.0, 8.0):
        probability = softmax(added, temperature)
        np.testing.assert_allclose(probability.sum(axis=1), 1.0)
        np.testing.assert_array_equal(probability.argmax(axis=1), added.argmax(axis=1))


def test_measures_are_those_of_the_answered_service() -> None:
    added = np.log([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    near = np.array([[0.5, 0.9, 0.1], [0.2, 0.3, 0.4]])
    found = measure(added, near, np.array([1.5, 2.5]), 1)
    np.testing.assert_allclose(found, [[0.7, 0.5, 1.5], [0.6, 0.4, 2.5]])
    np.testing.assert_array_equal(found[:, 0], agreement(added, 1))


def test_two_models_with_the_same_prediction_agree_as_much_as_each_is_sure() -> None:
    one = np.log([[0.7, 0.2, 0.1]])
    assert agreement(combine_logits([one, one]), 2) == pytest.approx([0.7])
    assert agreement(combine_logits([one, np.log([[0.1, 0.2, 0.7]])]), 2)[0] < 0.7


def test_the_longest_look_has_twice_the_vote_of_the_one_before() -> None:
    before, last = np.log([[0.8, 0.2]]), np.log([[0.4, 0.6]])
    np.testing.assert_allclose(combine_logits([before, last]), last + before / 2)
    np.testing.assert_array_equal(combine_logits([last]), last)


def test_a_vote_of_none_is_no_proof_of_absence() -> None:
    votes = np.exp(to_logits(np.array([[1.0, 0.0, 0.0]])))
    assert votes.sum() == pytest.approx(1.0)
    assert 0.005 < votes[0, 1] < 0.02
    assert votes[0, 0] > 0.95


def test_timid_votes_are_sharpened_and_wild_ones_blunted() -> None:
    truth = np.zeros(1000, dtype=np.intp)
    timid = np.log(np.tile([0.4, 0.3, 0.3], (1000, 1)))
    assert calibrate(timid, truth, truth.astype(str), timid, timid, 1).temperature == pytest.approx(0.2)
    surer = calibrate(timid, truth, truth.astype(str), timid, timid, 1, least_temperature=0.1)
    assert surer.temperature == pytest.approx(0.1)
    assert surer.claim_temperature == pytest.approx(0.2)
    wrong = 1 + truth % 2
    wild = to_logits(np.tile([1.0, 0.0, 0.0], (1000, 1)))
    assert calibrate(wild, wrong, truth.astype(str), wild, wild, 1).temperature == pytest.approx(8.0)


def test_copies_on_other_machines_count_for_what_is_known_but_not_for_probabilities() -> None:
    added, truth = overconfident(800)
    groups = np.arange(truth.size).astype(str)
    near = np.full((1600, 3), 0.9)
    near[800:] = 0.5
    twice = np.concatenate([added, added])
    both = calibrate(twice, np.tile(truth, 2), np.tile(groups, 2), near, near, 1, as_recorded=800)
    alone = calibrate(added, truth, groups, near[:800], near[:800], 1)
    assert both.temperature == alone.temperature
    np.testing.assert_array_equal(both.quantiles.lowest, alone.quantiles.lowest)
    far = measure(added[:1], np.full((1, 3), 0.5), np.array([0.5]), 1)
    answered = added[:1].argmax(axis=1)
    assert both.ood_score.novelty(far, answered) < alone.ood_score.novelty(far, answered)


def test_known_containers_stay_known_and_sets_hold_them() -> None:
    rng = np.random.default_rng(2)
    added, near = np.log(rng.dirichlet([4, 1, 1], 500)), rng.uniform(0.3, 0.9, (500, 3))
    answered = added.argmax(axis=1)
    calibration = calibrate(added, answered, np.arange(500).astype(str), near, near, 1)
    measures = measure(added, near, near[np.arange(500), answered], 1)
    assert np.mean(calibration.ood_score.novelty(measures, answered) > 0.98) <= 0.03
    assert calibration.quantiles.coverage == "class-conditional"
    inside = calibration.quantiles.prediction_sets(softmax(added, calibration.temperature))
    assert inside[np.arange(500), answered].all()


def test_without_held_out_containers_nothing_is_strange_and_nothing_promised() -> None:
    none = np.empty((0, 3))
    calibration = calibrate(none, np.empty(0, dtype=np.intp), np.empty(0, dtype=str), none, none, 1)
    assert calibration.temperature == 1.0
    assert calibration.ood_score.novelty(np.array([[0.1, 0.0, 0.0]]), np.array([0])).tolist() == [0.0]
    assert calibration.quantiles.coverage == "none"
