"""Novelty rises with strangeness, and few known containers are called unknown."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.identify.novelty import KEPT_QUANTILES, NOVELTY_THRESHOLD, OodScore, fit_ood_score


def held_out(each: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Two services: the containers of one are close together, those of the other never."""
    rng = np.random.default_rng(0)
    answered = np.repeat([0, 1], each)
    middle = np.array([0.9, 0.4])[answered]
    return rng.normal(middle[:, None], 0.03, (2 * each, 3)), answered


def test_novelty_rises_with_strangeness() -> None:
    ood_score = fit_ood_score(held_out()[0], 2)
    steps = np.linspace(-0.5, 2.0, 60)[:, None] * np.ones(3)
    novelty = ood_score.novelty(steps, np.zeros(60, dtype=np.intp))
    assert np.all(np.diff(novelty) <= 0)
    assert novelty[0] > 0.999
    assert novelty[-1] < 0.01


def test_a_model_of_before_compares_with_the_median_of_the_service() -> None:
    ood_score = OodScore(np.array([[0.9, 0.4]]), np.linspace(-0.1, 0.1, 99)[None], np.log(np.arange(1, 100) / 100))
    loose = np.full((1, 1), 0.4)
    assert ood_score.novelty(loose, np.array([1]))[0] < 0.9
    assert ood_score.novelty(loose, np.array([0]))[0] > 0.99


def test_most_new_containers_of_known_services_stay_known() -> None:
    ood_score = fit_ood_score(held_out()[0], 2)
    rng = np.random.default_rng(1)
    answered = np.repeat([0, 1], 500)
    fresh = rng.normal(np.array([0.9, 0.4])[answered][:, None], 0.03, (1000, 3))
    kept = np.mean(ood_score.novelty(fresh, answered) <= NOVELTY_THRESHOLD)
    assert 0.95 <= kept <= 1.0


def test_few_held_out_containers_reject_nobody_like_them() -> None:
    measures, answered = held_out(3)
    ood_score = fit_ood_score(measures, 2)
    assert np.all(ood_score.novelty(measures, answered) <= NOVELTY_THRESHOLD)


def test_without_held_out_containers_nothing_is_strange() -> None:
    ood_score = fit_ood_score(np.empty((0, 3)), 2)
    assert ood_score.novelty(np.zeros((1, 3)), np.array([1])).tolist() == [0.0]


def test_what_is_kept_of_many_held_out_containers_is_little_and_says_the_same() -> None:
    measures, answered = held_out(600)
    ood_score = fit_ood_score(measures, 2)
    assert ood_score.scores.shape == (KEPT_QUANTILES,)
    assert ood_score.deviations.shape == (3, KEPT_QUANTILES)
    novelty = np.sort(ood_score.novelty(measures, answered))
    np.testing.assert_allclose(novelty, np.linspace(0, 1, 1200), atol=0.03)


def test_the_strangest_of_all_held_out_containers_is_as_strange_as_their_number_allows() -> None:
    measures = np.arange(1.0, 100.0)[:, None]
    ood_score = fit_ood_score(measures, 1)
    novelty = ood_score.novelty(np.array([[1.0], [50.0], [99.0], [-48.0]]), np.zeros(4, dtype=np.intp))
    assert abs(novelty[0] - 0.99) < 0.005
    assert abs(novelty[1] - 0.5) < 0.03
    assert novelty[2] < 0.03
    # One of a hundred, and below all that are known ever less: by exp(-1) over the distance to the median.
    assert abs(novelty[3] - (1 - 0.01 * np.exp(-1 / np.log(50)))) < 1e-4


@pytest.mark.parametrize("held_out_values", [[0.0, 1.0, 3.0, 100.0], [0.0, 1.0, 2.0, 3.0, 100.0]])
def test_below_all_held_out_values_the_tail_falls_by_their_distance_to_the_median(held_out_values: list[float]) -> None:
    """The median is 2 in both: a value of -2 has the logarithm of one in n + 1, less one."""
    tail = -np.log(len(held_out_values) + 1) - 1
    ood_score = OodScore(np.zeros((1, 1)), np.array([held_out_values]), np.array([tail - 0.01, tail + 0.01]))
    novelty = ood_score.novelty(np.array([[-2.0]]), np.zeros(1, dtype=np.intp))
    np.testing.assert_allclose(novelty, 1 - 1 / 3)


def test_where_all_held_out_values_are_one_that_value_is_usual_and_a_lower_one_is_not() -> None:
    for value, tail in ((1.0, np.log(3 / 4)), (0.5, np.log(1 / 4) - 1)):
        ood_score = OodScore(np.zeros((1, 1)), np.ones((1, 3)), np.array([tail - 0.01, tail + 0.01]))
        np.testing.assert_allclose(ood_score.novelty(np.array([[value]]), np.zeros(1, dtype=np.intp)), 1 - 1 / 3)
