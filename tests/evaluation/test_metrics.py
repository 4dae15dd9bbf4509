from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from podlab.evaluation.metrics import Scores, draw_weights, interval, score_predictions, wilson

TRUTH = ["a", "a", "a", "b", "b", "c"]
ANSWERS = ["a", "a", "b", "b", None, "a"]


def score_answers(
    truth: Sequence[str], answers: Sequence[str | None], units: Sequence[int], columns: dict[str, Any] | None = None,
    **how: Any,
) -> Scores:  # fmt: skip
    table = pd.DataFrame({"service": truth, "predicted": answers, "unit": units} | (columns or {}))
    return score_predictions(table, **how)


def test_a_known_confusion_matrix():
    scores = score_answers(TRUTH, ANSWERS, range(6))
    assert scores.services == ("a", "b", "c")
    assert scores.confusion.tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]]
    assert scores.accuracy.value == pytest.approx(3 / 6)
    assert scores.balanced_accuracy.value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert scores.macro_f1.value == pytest.approx((4 / 6 + 2 / 4 + 0) / 3)
    assert scores.share_answered.value == pytest.approx(5 / 6)
    table = scores.per_service.set_index("service")
    assert table.loc["a", ["precision", "recall", "support"]].tolist() == pytest.approx([2 / 3, 2 / 3, 3])
    assert np.isnan(table.loc["c", "precision"])  # never answered


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.choice(list("abcde"), 300)
    answers = np.where(rng.random(300) < 0.6, truth, rng.choice(list("abcde"), 300))
    scores = score_answers(list(truth), list(answers), range(300), resamples=10)
    assert scores.macro_f1.value == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
    assert scores.macro_precision.value == pytest.approx(metrics.precision_score(truth, answers, average="macro"))
    assert scores.balanced_accuracy.value == pytest.approx(metrics.balanced_accuracy_score(truth, answers))


def test_a_service_that_was_only_answered_takes_no_part_in_the_mean():
    scores = score_answers(["a", "b"], ["a", "z"], range(2), services=["a", "b", "z"])
    assert scores.macro_f1.value == pytest.approx(0.5)
    assert scores.per_service["service"].to_list() == ["a", "b"]


def test_intervals_are_over_deployments_not_rows():
    # 10 deployments of 2 services, one of each wrong in all of its rows: more rows do not tell more.
    def spread(rows: int) -> float:
        truth = np.repeat(["a", "b"], 5 * rows).tolist()
        units = np.repeat(np.arange(10), rows).tolist()
        answers = ["b" if unit in (0, 5) else service for unit, service in zip(units, truth, strict=True)]
        accuracy = score_answers(truth, answers, units).accuracy
        return accuracy.high - accuracy.low

    assert spread(200) == pytest.approx(spread(1))
    assert spread(1) > 0.2


def test_the_interval_covers_the_true_accuracy_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        right = rng.random(40) < 0.7
        truth = ["a", "b"] * 20
        answers = [t if ok else None for t, ok in zip(truth, right, strict=True)]
        estimate = score_answers(truth, answers, range(40), seed=seed, resamples=300).accuracy
        covered += estimate.low <= 0.7 <= estimate.high
    assert 0.89 <= covered / 200 <= 0.99


def test_weights_keep_every_stratum_and_have_the_variance_of_a_mean():
    strata = ["a"] * 3 + ["b"] * 5 + ["lone"]
    weights = draw_weights(strata, seed=0, resamples=4000)
    assert weights.sum(axis=1) == pytest.approx(len(strata))
    assert (weights[:, -1] == 1).all()
    values = np.array([1.0, 2.0, 6.0])
    expected = values.var(ddof=1) / 3
    assert (weights[:, :3] @ values / 3).var() == pytest.approx(expected, rel=0.1)


def test_the_seed_decides():
    one, again, other = (draw_weights(["a"] * 9, seed=seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_calibration_error_of_calibrated_and_overconfident_predictions():
    kept = score_answers(["a"] * 10, ["a"] * 8 + ["b"] * 2, range(10), {"confidence": [0.8] * 10})
    assert kept.calibration_error.value == pytest.approx(0.0, abs=1e-9)
    broken = score_answers(["a"] * 10, ["a"] * 5 + ["b"] * 5, range(10), {"confidence": [0.95] * 10})
    assert broken.calibration_error.value == pytest.approx(0.45)
    assert broken.reliability.to_dict("records") == [
        {"confidence": pytest.approx(0.95), "accuracy": 0.5, "decisions": 10}
    ]


def test_without_confidence_there_is_no_calibration_and_json_says_null():
    told = score_answers(TRUTH, ANSWERS, range(6)).to_json()
    assert told["calibration_error"] == {"value": None, "low": None, "high": None}
    assert told["confusion"]["services"] == ["a", "b", "c", None]
    json.dumps(told, allow_nan=False)


def test_repeated_decisions_count_their_containers_once():
    scores = score_answers(TRUTH * 2, ANSWERS * 2, [*range(6)] * 2, {"position": [*range(6)] * 2})
    assert (scores.n_deployments, scores.n_containers, scores.n_decisions) == (6, 6, 12)


def test_wilson_has_a_width_where_all_agree_and_stays_within_bounds():
    assert wilson(1.0, 8).low == pytest.approx(0.676, abs=1e-3)
    assert wilson(1.0, 8).high == 1.0
    assert wilson(0.0, 8).low == 0.0
    assert wilson(0.5, 10**6).high == pytest.approx(0.501, abs=1e-3)
    assert np.isnan(wilson(np.nan, 0).low)


def test_a_perfect_score_of_few_deployments_is_no_proof():
    few, many = (score_answers(["a", "b"] * n, ["a", "b"] * n, range(2 * n)).macro_f1 for n in (4, 100))
    assert few.value == many.value == few.high == 1.0
    assert few.low < 0.7 < 0.97 < many.low < 1.0


@pytest.mark.parametrize("rounding", [0.0, 1e-15])
def test_rounding_of_weights_does_not_make_a_perfect_score_certain(rounding):
    assert interval(1.0, 1.0 - rounding * np.arange(3), 8) == wilson(1.0, 8)


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="nothing to score"):
        score_answers([], [], [])
