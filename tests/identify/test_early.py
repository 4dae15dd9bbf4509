"""Deciding in time: soon when sure, taken back when the evidence turns, unknown when the time is up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.identify import Prediction
from podlab.identify.early import (
    UNKNOWN,
    WAITING,
    Decision,
    PredictionArrays,
    TriggerPolicy,
    initial_states,
    prediction_arrays,
    to_decisions,
    update_states,
)
from tests.support.naive_decide import NaiveLook, decide_naively

SERVICES = ("mysql", "nginx", "redis")
POLICY = TriggerPolicy(confidence=0.9, consecutive=2, revise_confidence=0.9, revise_consecutive=3, timeout_s=60)


def answer(service: str, confidence: float = 0.95, *, seen_s: float = 0.0, known: bool = True) -> Prediction:
    others = [name for name in SERVICES if name != service]
    return Prediction(
        cluster="c", namespace="n", pod="p", pod_uid="u", container="main", seconds_observed=seen_s,
        service=service if known else None, confidence=confidence,
        candidates={service: confidence, **dict.fromkeys(others, (1 - confidence) / 2)},
        similar=(), known=known, novelty=0.5 if known else 1.0, model="m@d",
    )  # fmt: skip


class EarlyClassifier:
    """Decides on one container."""

    def __init__(self, services: tuple[str, ...], policy: TriggerPolicy) -> None:
        self._services, self._policy, self._state = services, policy, initial_states(1)

    def see(self, at_s: float, said: Prediction | None) -> Decision:
        nothing = PredictionArrays(np.zeros(1, dtype=np.int64), np.zeros(1), np.ones(1), np.full(1, np.nan))
        arrays = nothing if said is None else prediction_arrays([said], self._services)
        self._state = update_states(self._state, self._policy, at_s, arrays)
        return to_decisions(self._state, self._services)[0]


def watch(*answers: Prediction | None, policy: TriggerPolicy = POLICY, every_s: float = 5.0) -> list[Decision]:
    """Show a container's answers every few seconds, each from more seconds than the one before."""
    decider = EarlyClassifier(SERVICES, policy)
    told = []
    for number, said in enumerate(answers, start=1):
        at_s = number * every_s
        fresh = None if said is None else Prediction(**{**vars(said), "seconds_observed": at_s})
        told.append(decider.see(at_s, fresh))
    return told


def test_answers_as_soon_as_enough_looks_agree():
    waiting, decided = watch(answer("redis"), answer("redis"))
    assert waiting == Decision(None, False, None, 0, "waiting")
    assert decided == Decision("redis", True, 10.0, 0, "confident")


def test_an_unsure_look_or_another_service_begins_the_count_again():
    told = watch(answer("redis"), answer("redis", 0.6), answer("redis"), answer("nginx"), answer("redis"))
    assert not any(decision.decided for decision in told)


def test_a_turn_of_the_evidence_revises_but_one_contrary_look_does_not():
    told = watch(*[answer("redis")] * 2, answer("nginx"), answer("redis"), *[answer("nginx")] * 3)
    assert [decision.service for decision in told] == [None, "redis", "redis", "redis", "redis", "redis", "nginx"]
    assert told[-1] == Decision("nginx", True, 35.0, 1, "turned")


def test_evidence_that_swings_with_every_look_changes_nothing():
    told = watch(*[answer("redis")] * 2, *[answer("nginx"), answer("mysql")] * 10)
    assert {decision.service for decision in told[1:]} == {"redis"}
    assert told[-1].revisions == 0


def test_doubt_alone_takes_nothing_back():
    assert watch(*[answer("redis")] * 2, *[answer("nginx", 0.7)] * 9)[-1].service == "redis"


def test_an_answer_is_taken_back_when_the_container_stays_strange():
    told = watch(*[answer("redis")] * 2, *[answer("redis", known=False)] * 3)
    assert told[-1] == Decision(None, True, 25.0, 1, "unlike")


def test_an_answer_is_not_taken_back_by_what_a_known_container_may_look_like():
    somewhat = Prediction(**{**vars(answer("redis", known=False)), "novelty": 0.99})
    assert watch(*[answer("redis")] * 2, *[somewhat] * 9)[-1] == Decision("redis", True, 10.0, 0, "confident")
    assert watch(*[somewhat] * 12)[-1].reason == "unlike", "while it waits, it is as strange as any"


def test_a_strange_container_is_unknown_only_when_the_time_is_up():
    told = watch(*[answer("redis", known=False)] * 12)
    assert not any(decision.decided for decision in told[:11])
    assert told[-1] == Decision(None, True, 60.0, 0, "unlike")


@pytest.mark.parametrize(("last", "reason"), [(answer("redis", 0.5), "unsure"), (None, "unseen")])
def test_gives_up_at_the_timeout_and_says_why(last: Prediction | None, reason: str):
    assert watch(*[last] * 12)[-1] == Decision(None, True, 60.0, 0, reason)


def test_evidence_that_comes_after_the_timeout_still_counts():
    told = watch(*[answer("redis", 0.5)] * 12, *[answer("redis")] * 3)
    assert told[-1] == Decision("redis", True, 75.0, 1, "turned")


def test_a_look_that_saw_nothing_new_is_not_counted():
    decider = EarlyClassifier(SERVICES, POLICY)
    same = answer("redis", seen_s=10.0)
    assert not any(decider.see(at_s, same).decided for at_s in (10.0, 15.0, 20.0))
    assert decider.see(25.0, answer("redis", seen_s=20.0)).service == "redis"


def test_without_revising_the_first_decision_stays():
    final = TriggerPolicy(confidence=0.9, consecutive=1, revise_consecutive=None, timeout_s=60)
    assert watch(answer("redis"), *[answer("nginx", 1.0)] * 20, policy=final)[-1].service == "redis"


def test_an_answer_without_candidates_counts_as_nothing_seen():
    empty = Prediction(**{**vars(answer("redis")), "candidates": {}, "service": None, "known": False, "novelty": 1.0})
    assert np.isnan(prediction_arrays([empty], SERVICES).observed_s).all()
    assert watch(*[empty] * 12)[-1].reason == "unseen"


def test_containers_come_and_go():
    state = update_states(
        initial_states(3),
        TriggerPolicy(consecutive=1),
        5.0,
        prediction_arrays([answer(name) for name in SERVICES], SERVICES),
    )
    state = state.take(np.array([2, 0])).add(1)
    assert state.service.tolist() == [2, 0, WAITING]
    assert [decision.service for decision in to_decisions(state, SERVICES)] == ["redis", "mysql", None]


@pytest.mark.parametrize(
    "bad",
    [
        {"confidence": 1.1},
        {"revise_confidence": -0.1},
        {"revise_novelty": 2.0},
        {"consecutive": 0},
        {"revise_consecutive": 0},
        {"timeout_s": 0.0},
        {"timeout_s": -1.0},
        {"timeout_s": float("nan")},
    ],
)
def test_a_policy_out_of_range_is_refused(bad: dict[str, float]):
    with pytest.raises(InputError, match="policy"):
        TriggerPolicy(**bad)  # type: ignore[arg-type]


def test_the_ends_of_a_policys_range_are_valid_and_mean_what_they_say():
    any_look = TriggerPolicy(
        confidence=0.0, consecutive=1, revise_confidence=0.0, revise_consecutive=1, revise_novelty=0.0
    )
    told = watch(answer("redis", 0.0), answer("nginx", 0.0, known=False), policy=any_look)
    assert [decision.reason for decision in told] == ["confident", "unlike"]
    certain = TriggerPolicy(confidence=1.0, consecutive=1, revise_confidence=1.0, revise_novelty=1.0)
    assert [decision.decided for decision in watch(answer("redis", 0.999), answer("redis", 1.0), policy=certain)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("timeout_s", [0.001, 0.5, 1.0])
def test_a_timeout_of_less_than_a_second_is_a_timeout(timeout_s: float):
    decider = EarlyClassifier(SERVICES, TriggerPolicy(timeout_s=timeout_s))
    assert not decider.see(timeout_s / 2, None).decided
    assert decider.see(timeout_s, None) == Decision(None, True, timeout_s, 0, "unseen")


_LOOK = st.tuples(
    st.integers(0, 2),
    st.sampled_from([0.3, 0.8, 0.95]),
    st.sampled_from([0.5, 0.985, 1.0]),
    st.sampled_from([None, 0.0, 2.0, 5.0]),
)
_POLICIES = st.builds(
    TriggerPolicy,
    confidence=st.sampled_from([0.5, 0.9]),
    consecutive=st.integers(1, 3),
    revise_confidence=st.sampled_from([0.5, 0.9]),
    revise_consecutive=st.sampled_from([None, 1, 2]),
    timeout_s=st.sampled_from([20.0, 1000.0]),
    revise_novelty=st.sampled_from([0.98, 0.99, 1.0]),
)


@given(st.lists(st.lists(_LOOK, min_size=12, max_size=12), min_size=1, max_size=5), _POLICIES)
def test_many_containers_at_once_as_one_by_one(containers: list[list[tuple]], policy: TriggerPolicy):
    state = initial_states(len(containers))
    seen_s = np.zeros(len(containers))
    told: list[list[NaiveLook]] = [[] for _ in containers]
    for number in range(12):
        at_s = 5.0 * (number + 1)
        now = [looks[number] for looks in containers]
        seen_s += [more or 0.0 for *_, more in now]
        observed_s = [np.nan if more is None else float(seen) for (*_, more), seen in zip(now, seen_s, strict=True)]
        best, confidence, novelty = (np.array([look[k] for look in now]) for k in range(3))
        state = update_states(state, policy, at_s, PredictionArrays(best, confidence, novelty, np.array(observed_s)))
        for own, look, observed in zip(told, now, observed_s, strict=True):
            own.append(NaiveLook(at_s, *look[:3], None if np.isnan(observed) else observed))
    for row, looks in enumerate(told):
        decided, since_s, revisions = decide_naively(policy, looks)
        assert state.service[row] == decided
        assert (since_s is None and np.isnan(state.since_s[row])) or state.since_s[row] == since_s
        assert state.revisions[row] == revisions
        assert decided >= UNKNOWN or decided == WAITING
