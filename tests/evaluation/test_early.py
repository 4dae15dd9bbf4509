"""PredictionTimelines and what rules make of them, on answers made up so that the right result is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import early
from podlab.evaluation.early import PredictionTimeline, timeline
from podlab.evaluation.metrics import Estimate, draw_row_weights
from podlab.identify.early import UNKNOWN, PredictionArrays, TriggerPolicy

SERVICES = ("mysql", "nginx")


def made(
    truth: list[int], best: list[list[int]], confidence: list[list[float]], *, known: bool = True
) -> PredictionTimeline:
    """Containers with a prediction each 10 s; each is a deployment of its own."""
    count, times = len(truth), len(best[0])
    at_s = 10.0 * np.arange(1, times + 1)
    return PredictionTimeline(
        at_s=at_s,
        predictions=tuple(
            PredictionArrays(
                np.array([own[k] for own in best]), np.array([own[k] for own in confidence]),
                np.full(count, 0.5 if known else 1.0), np.full(count, at_s[k]),
            )
            for k in range(times)
        ),
        containers=pd.DataFrame(
            {
                "truth": truth,
                "service": [SERVICES[number] if number >= 0 else "etcd" for number in truth],
                "unit": [f"d{n}" for n in range(count)],
                "fold": np.arange(count) % 2,
            }
        ),
    )  # fmt: skip


def described(predicted: PredictionTimeline, policy: TriggerPolicy) -> dict[str, Estimate]:
    weights = draw_row_weights(predicted.containers["unit"], predicted.containers["service"], seed=0)
    return early.describe(predicted, early.decide(predicted, policy), weights)


@pytest.fixture(scope="module")
def settling() -> PredictionTimeline:
    """Half are right from the start; the others begin confidently wrong and turn."""
    return made(
        [0, 1] * 10,
        [[0] * 8, [0, 0, 1, 1, 1, 1, 1, 1]] * 10,
        [[0.8, 0.95] + [0.99] * 6, [0.92, 0.7] + [0.98] * 6] * 10,
    )


def test_a_policy_decides_time_by_time(settling: PredictionTimeline):
    outcome = early.decide(
        settling, TriggerPolicy(confidence=0.9, consecutive=1, revise_confidence=0.9, revise_consecutive=2)
    )
    assert outcome.first.tolist() == [0, 0] * 10
    assert outcome.final.tolist() == [0, 1] * 10
    assert outcome.decided_s.tolist() == [20.0, 10.0] * 10
    assert outcome.revised.tolist() == [False, True] * 10


def test_a_container_without_a_confident_prediction_is_unknown_after_the_whole_time(settling: PredictionTimeline):
    for timeout_s in (80.0, 1000.0):
        outcome = early.decide(settling, TriggerPolicy(confidence=1.0, revise_confidence=1.0, timeout_s=timeout_s))
        assert set(outcome.final) == {UNKNOWN}
        assert set(outcome.decided_s) == {80.0}


def test_a_fixed_time_takes_the_best_guess(settling: PredictionTimeline):
    assert early.decide_at(settling, 10.0).final.tolist() == [0, 0] * 10
    assert early.decide_at(settling, 30.0).final.tolist() == [0, 1] * 10
    novel = tuple(replace(each, novelty=each.novelty + 1) for each in settling.predictions)
    strange = replace(settling, predictions=novel)
    assert set(early.decide_at(strange, 30.0).final) == {UNKNOWN}


def test_scores_have_intervals_over_deployments(settling: PredictionTimeline):
    scores = described(settling, TriggerPolicy(0.9, 1, 0.9, 2))
    assert scores["median_s"].value == 10.0
    assert scores["p90_s"].value == 20.0
    assert scores["error"].value == 0.0
    assert 0 < scores["error"].high < 0.3
    assert scores["first_error"].value == 0.5
    assert scores["revised"].value == 0.5
    assert scores["abstained"].value == 0.0
    assert scores["right"].value == 1.0


def test_for_a_service_that_no_model_knows_unknown_is_right():
    unknown = made([UNKNOWN] * 4, [[0] * 4] * 4, [[0.99] * 4, [0.3] * 4] * 2)
    scores = described(unknown, TriggerPolicy(timeout_s=40.0))
    assert scores["right"].value == 0.5
    assert scores["error"].value == 1.0
    assert unknown.known().containers.empty


def test_the_soonest_policy_that_keeps_to_the_error_is_chosen(settling: PredictionTimeline):
    hasty = TriggerPolicy(confidence=0.9, consecutive=1, revise_consecutive=None)
    revocable = TriggerPolicy(confidence=0.9, consecutive=1, revise_confidence=0.9, revise_consecutive=2)
    slow = TriggerPolicy(confidence=0.97, consecutive=3, revise_confidence=0.97)
    candidates = [slow, hasty, revocable]
    assert early.choose(settling, candidates, target_error=0.02, target_revised=1.0) == revocable
    assert early.choose(settling, candidates, target_error=1.0) == hasty
    assert early.choose(settling, [hasty], target_error=0.0) == hasty


def test_answering_at_once_and_correcting_it_later_does_not_pay(settling: PredictionTimeline):
    revocable = TriggerPolicy(confidence=0.9, consecutive=1, revise_confidence=0.9, revise_consecutive=2)
    slow = TriggerPolicy(confidence=0.97, consecutive=3, revise_confidence=0.97)
    assert early.choose(settling, [revocable, slow]) == slow


def test_a_fold_is_tested_with_a_policy_chosen_without_it(settling: PredictionTimeline):
    # Fold 1 holds all that turn: without them the hasty policy looks as good as any, and is then found out on them.
    hasty = TriggerPolicy(confidence=0.9, consecutive=1, revise_consecutive=None)
    careful = TriggerPolicy(confidence=0.97, consecutive=3, revise_confidence=0.97)
    policies, outcome = early.choose_by_fold(settling, [careful, hasty])
    assert policies == [careful, hasty]
    assert outcome.loc[settling.containers["fold"] == 1, "final"].tolist() == [0] * 10


def test_offered_policies_differ_and_ask_more_for_revising():
    offered = early.policies(60.0)
    assert len(set(offered)) == len(offered)
    assert all(policy.revise_confidence >= policy.confidence and policy.timeout_s == 60.0 for policy in offered)


@pytest.mark.parametrize(("at_s", "missing"), [((), "after any time"), ((5.0, 10.0), "after 5 s")])
def test_a_timeline_needs_predictions_at_its_times(at_s: tuple[float, ...], missing: str):
    predictions = pd.DataFrame({"scenario": ["10 s"], "p_nginx": [1.0]})
    with pytest.raises(InputError, match=missing):
        timeline(predictions, at_s)


def test_policies_are_scored_on_the_same_containers_and_draws(settling: PredictionTimeline):
    plain = TriggerPolicy(0.9, 1, 0.9, None, timeout_s=80.0)
    policies = {"plain": plain, "revocable": replace(plain, revise_consecutive=2), "never": TriggerPolicy(1.0)}
    outcomes = {name: early.decide(settling, policy) for name, policy in policies.items()}
    table = early.tabulate(settling, outcomes | {"fixed": early.decide_at(settling, 30.0)})
    assert list(table.index) == ["plain", "revocable", "never", "fixed"]
    assert (table["n_deployments"] == 20).all()
    assert table["error"].to_list()[:2] == [0.5, 0.0]
    assert table["median_s"].to_list() == [10.0, 10.0, 80.0, 30.0]
    assert table.loc["never", "abstained"] == 1
    assert np.isnan(table.loc["never", "error"])
    answered = table.drop(index="never")
    assert (answered["error_low"] <= answered["error"]).all()
    assert (answered["error"] <= answered["error_high"]).all()


def test_unknown_containers_are_scored_apart():
    predicted = made(
        [0, 1] * 8 + [UNKNOWN] * 4,
        [[0] * 4, [1, 1, 1, 1]] * 8 + [[0] * 4] * 4,
        [[0.95] * 4] * 16 + [[0.5] * 4] * 2 + [[0.99] * 4] * 2,
    )
    known = predicted.is_known
    outcomes = {
        "default": early.decide(predicted, TriggerPolicy(timeout_s=40.0)),
        "fixed": early.decide_at(predicted, 10.0),
    }
    own = early.tabulate(predicted.known(), {name: each[known] for name, each in outcomes.items()})
    others = early.tabulate(predicted.take(~known), {name: each[~known] for name, each in outcomes.items()})
    assert own.loc["default", "median_s"] == 20.0, "two predictions, 10 s apart"
    assert own.loc["default", "error"] == 0.0
    assert others["right"].to_list() == [0.5, 0.0], "at a fixed time all look like known ones"
    assert (own["n_deployments"].iloc[0], others["n_deployments"].iloc[0]) == (16, 4)
