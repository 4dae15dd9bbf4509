"""Replays and what rules make of them, on answers made up so that the right result is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import anytime
from podlab.evaluation.replay import Replay, replay
from podlab.identify.early import UNKNOWN, PredictionArrays, TriggerPolicy
from tests.support.synthetic import make_samples

SERVICES = ("mysql", "nginx")


def made(truth: list[int], best: list[list[int]], confidence: list[list[float]], *, known: bool = True) -> Replay:
    """Containers with what was said of each, look by look, 10 s apart; each is a deployment of its own."""
    count, looks = len(truth), len(best[0])
    at_s = 10.0 * np.arange(1, looks + 1)
    return Replay(
        services=SERVICES,
        at_s=at_s,
        looks=tuple(
            PredictionArrays(
                np.array([own[k] for own in best]), np.array([own[k] for own in confidence]),
                np.full(count, 0.5 if known else 1.0), np.full(count, at_s[k]),
            )
            for k in range(looks)
        ),
        truth=np.array(truth),
        names=np.array([SERVICES[number] if number >= 0 else "etcd" for number in truth], dtype=object),
        units=np.array([f"d{n}" for n in range(count)], dtype=object),
        load=np.array(["idle"] * count, dtype=object),
        fold=np.arange(count) % 2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def settling() -> Replay:
    """Half are right from the start; the others begin confidently wrong and turn."""
    return made(
        [0, 1] * 10,
        [[0] * 8, [0, 0, 1, 1, 1, 1, 1, 1]] * 10,
        [[0.8, 0.95] + [0.99] * 6, [0.92, 0.7] + [0.98] * 6] * 10,
    )


def test_a_policy_is_replayed_look_by_look(settling: Replay):
    outcome = anytime.decide(
        settling, TriggerPolicy(confidence=0.9, consecutive=1, revise_confidence=0.9, revise_consecutive=2)
    )
    assert outcome.first.tolist() == [0, 0] * 10
    assert outcome.final.tolist() == [0, 1] * 10
    assert outcome.decided_s.tolist() == [20.0, 10.0] * 10
    assert outcome.revised.tolist() == [False, True] * 10


def test_who_is_never_sure_counts_as_unknown_after_the_whole_time(settling: Replay):
    for timeout_s in (80.0, 1000.0):
        outcome = anytime.decide(settling, TriggerPolicy(confidence=1.0, revise_confidence=1.0, timeout_s=timeout_s))
        assert set(outcome.final) == {UNKNOWN}
        assert set(outcome.decided_s) == {80.0}


def test_a_fixed_time_takes_the_best_guess(settling: Replay):
    assert anytime.decide_at(settling, 10.0).final.tolist() == [0, 0] * 10
    assert anytime.decide_at(settling, 30.0).final.tolist() == [0, 1] * 10
    strange = replace(settling, looks=tuple(replace(look, novelty=look.novelty + 1) for look in settling.looks))
    assert set(anytime.decide_at(strange, 30.0).final) == {UNKNOWN}


def test_scores_have_intervals_over_deployments(settling: Replay):
    scores = anytime.describe(settling, anytime.decide(settling, TriggerPolicy(0.9, 1, 0.9, 2)))
    assert scores["median_s"].value == 10.0
    assert scores["p90_s"].value == 20.0
    assert scores["error"].value == 0.0
    assert 0 < scores["error"].high < 0.3
    assert scores["first_error"].value == 0.5
    assert scores["revised"].value == 0.5
    assert scores["abstained"].value == 0.0
    assert scores["right"].value == 1.0


def test_for_a_service_that_no_model_knows_unknown_is_right():
    strangers = made([UNKNOWN] * 4, [[0] * 4] * 4, [[0.99] * 4, [0.3] * 4] * 2)
    scores = anytime.describe(strangers, anytime.decide(strangers, TriggerPolicy(timeout_s=40.0)))
    assert scores["right"].value == 0.5
    assert scores["error"].value == 1.0
    assert strangers.known().truth.size == 0


def test_the_soonest_policy_that_keeps_to_the_error_is_chosen(settling: Replay):
    hasty = TriggerPolicy(confidence=0.9, consecutive=1, revise_consecutive=None)
    revocable = TriggerPolicy(confidence=0.9, consecutive=1, revise_confidence=0.9, revise_consecutive=2)
    slow = TriggerPolicy(confidence=0.97, consecutive=3, revise_confidence=0.97)
    candidates = [slow, hasty, revocable]
    assert anytime.choose(settling, candidates, target_error=0.02, target_revised=1.0) == revocable
    assert anytime.choose(settling, candidates, target_error=1.0) == hasty
    assert anytime.choose(settling, [hasty], target_error=0.0) == hasty


def test_answering_at_once_and_correcting_it_later_does_not_pay(settling: Replay):
    revocable = TriggerPolicy(confidence=0.9, consecutive=1, revise_confidence=0.9, revise_consecutive=2)
    slow = TriggerPolicy(confidence=0.97, consecutive=3, revise_confidence=0.97)
    assert anytime.choose(settling, [revocable, slow]) == slow


def test_a_fold_is_judged_by_a_policy_chosen_without_it(settling: Replay):
    # Fold 1 holds all that turn: without them the hasty policy looks as good as any, and is then found out on them.
    hasty = TriggerPolicy(confidence=0.9, consecutive=1, revise_consecutive=None)
    careful = TriggerPolicy(confidence=0.97, consecutive=3, revise_confidence=0.97)
    policies, outcome = anytime.choose_by_fold(settling, [careful, hasty])
    assert policies == [careful, hasty]
    assert outcome.final[settling.fold == 1].tolist() == [0] * 10


def test_offered_policies_differ_and_ask_more_for_revising():
    offered = anytime.policies(60.0)
    assert len(set(offered)) == len(offered)
    assert all(policy.revise_confidence >= policy.confidence and policy.timeout_s == 60.0 for policy in offered)


def test_the_curve_compares_rules_on_the_same_containers(settling: Replay):
    curve = anytime.curve(settling, TriggerPolicy(0.9, 1, 0.9, 2, timeout_s=80.0))
    assert set(curve["rule"]) == {"revocable", "plain threshold", "fixed time"}
    assert (curve["n_deployments"] == 20).all()
    at = curve.set_index(["rule", "setting"])
    assert at.loc[("plain threshold", 0.9), "error"] == 0.5
    assert at.loc[("revocable", 0.9), "error"] == 0.0
    assert at.loc[("plain threshold", 0.9), "median_s"] == at.loc[("revocable", 0.9), "median_s"]
    assert at.loc[("fixed time", 30.0), "median_s"] == 30.0
    answered = curve[curve["abstained"] < 1]
    assert (answered["error_low"] <= answered["error"]).all()
    assert curve.loc[curve["abstained"] == 1, "error"].isna().all()


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=32, interval_s=2.0)


def test_replayed_containers_are_judged_by_models_without_their_deployment(samples: pd.DataFrame):
    found = replay(
        samples, services=("nginx", "mysql"), unknown=("redis",), looks_s=(15.0, 5.0, 30.0), horizons_s=(10.0, 30.0),
        folds=2, jobs=1,
    )  # fmt: skip
    assert found.services == ("mysql", "nginx")
    assert found.at_s.tolist() == [5.0, 15.0, 30.0]
    assert sorted(found.units) == sorted(samples["deployment"].unique())
    assert (found.truth == UNKNOWN).tolist() == [name == "redis" for name in found.names]
    assert set(found.load) == {"idle", "loaded"}
    assert set(found.fold[found.truth == UNKNOWN]) == {0, 1}
    for at_s, looks in zip(found.at_s, found.looks, strict=True):
        assert (looks.observed_s < at_s).all()
    known = found.known()
    assert np.mean(known.looks[-1].best == known.truth) > 0.8


def test_a_replay_needs_looks_after_the_start(samples: pd.DataFrame):
    for looks_s in ((), (0.0, 5.0)):
        with pytest.raises(InputError, match="no look"):
            replay(samples, looks_s=looks_s)
