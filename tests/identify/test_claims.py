"""Claims are checked by conformal p-values, replicas together, and over the fleet with few false mismatches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import podlab
from podlab.identify import Identifier, Prediction, fit
from podlab.identify.claims import ClaimCheck, adjust_p_values, can_test_claims, check_predictions, combine_p_values
from tests.identify.test_workload import SERVICES, prediction
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def tester() -> Identifier:
    """A model of enough deployments to test claims."""
    return fit(make_samples(SERVICES, deployments_per_service=8, seconds=40), horizons_s=(30.0,), jobs=1)


@pytest.fixture(scope="module")
def fleet() -> pd.DataFrame:
    return make_samples(SERVICES, deployments_per_service=3, seconds=40, seed=5)


P_VALUES = st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12)


@given(P_VALUES, st.floats(0.0, 1.0))
def test_combined_p_values_lie_between_those_of_full_and_of_no_dependence(p: list[float], rho: float) -> None:
    ends = sorted([combine_p_values(p, 0.0), combine_p_values(p, 1.0)])
    assert ends[0] - 1e-9 <= combine_p_values(p, rho) <= ends[1] + 1e-9
    assert combine_p_values(p, rho) == pytest.approx(combine_p_values(p[::-1], rho))


@given(P_VALUES, st.floats(0.01, 0.5))
def test_adjusted_p_values_reject_what_benjamini_and_hochberg_reject(p: list[float], rate: float) -> None:
    ascending = sorted(p)
    kept = [n for n, each in enumerate(ascending, start=1) if each <= rate * n / len(p)]
    rejected = set(ascending[: max(kept, default=0)])
    assert {each for each, q in zip(p, adjust_p_values(p), strict=True) if q <= rate + 1e-15} >= rejected
    assert {each for each, q in zip(p, adjust_p_values(p), strict=True) if q <= rate - 1e-9} <= rejected


def with_p(pod: str, p_values: dict[str, float], seconds: float = 60.0) -> Prediction:
    return replace(prediction(pod), p_values=p_values, seconds_observed=seconds)


def check(*predictions: Prediction, claim: str | None = "nginx") -> list[ClaimCheck]:
    keys = [(each.cluster, each.namespace, each.pod, each.pod_uid, each.container) for each in predictions]
    claims = dict.fromkeys(keys, (claim, "image")) if claim else {}
    return check_predictions(predictions, claims, SERVICES)


def test_replicas_that_do_not_behave_like_their_claim_are_a_mismatch_together() -> None:
    one = with_p("web-0", {"nginx": 0.01, "redis": 0.6, "mysql": 0.2})
    [found] = check(one)
    assert (found.verdict, found.behaves_like, found.p_value) == ("mismatch", "redis", 0.01)
    fleet = [with_p(f"web-{n}", {"nginx": 0.4}) for n in range(5)]
    fleet = [replace(each, pod=f"other-{name}") for each, name in zip(fleet, "abcde", strict=True)]
    found, *others = check(one, *fleet)
    assert found.verdict == "consistent"  # one in six at 0.01 may be chance
    assert {each.verdict for each in others} == {"consistent"}
    more = [with_p(f"web-{n}", {"nginx": 0.01}) for n in range(4)]
    found, *_ = check(*more, *fleet)
    assert (found.verdict, len(found.replicas)) == ("mismatch", 4)
    assert found.to_json()["replicas"][0] == {"pod": "web-0", "p_value": 0.01}  # type: ignore[index]


@pytest.mark.parametrize(
    ("seen", "claim", "why"),
    [
        ({}, None, "claims nothing, or several services"),
        ({}, "shop", "the model does not know shop"),
        ({"candidates": {}}, "nginx", "no metrics"),
        ({"seconds_observed": 5.0}, "nginx", "seen for less than 20 s"),
        ({"p_values": {}}, "nginx", "the model cannot check claims; fit it again"),
    ],
)
def test_where_nothing_can_be_told_the_reason_is(seen: dict[str, object], claim: str | None, why: str) -> None:
    [found] = check(replace(with_p("web-0", {"nginx": 0.001}), **seen), claim=claim)  # type: ignore[arg-type]
    assert (found.verdict, found.why, found.behaves_like) == ("cannot tell", why, None)
    assert found.to_json()["p_value"] is None


def test_swapped_claims_are_found_and_right_ones_hold(tester: Identifier, fleet: pd.DataFrame) -> None:
    right = podlab.check_claims(fleet, tester)
    assert len(right) == fleet["pod"].nunique()
    assert {each.verdict for each in right} == {"consistent"}
    swapped = fleet.assign(image="example.test/redis:1")
    found = podlab.check_claims(swapped, tester)
    truth = fleet.drop_duplicates("pod").set_index("pod")["service"]
    pods = [each.replicas[0][0] for each in found]
    assert [each.verdict == "mismatch" for each in found] == [truth[pod] != "redis" for pod in pods]
    assert all(each.behaves_like in (None, truth[pod]) for each, pod in zip(found, pods, strict=True)
               if each.verdict == "mismatch")  # fmt: skip


def test_p_values_are_those_of_the_saved_model_and_only_where_asked_for(
    tester: Identifier, fleet: pd.DataFrame
) -> None:
    from podlab.identify.storage import from_files, to_files

    again = from_files(to_files(tester), where="here")
    first = tester.identify(fleet, p_values=True)
    for one, other in zip(first, again.identify(fleet, p_values=True), strict=True):
        assert one.p_values == other.p_values
        assert list(one.p_values) == list(tester.services)
        assert all(0 < p <= 1 for p in one.p_values.values())
    assert all(not each.p_values for each in tester.identify(fleet))
    own = np.array([each.p_values[truth] for each, truth in
                    zip(first, fleet.drop_duplicates("pod")["service"], strict=True)])  # fmt: skip
    assert own.mean() > 0.2


def test_a_model_of_few_deployments_or_of_before_says_that_it_cannot_check(identifier: Identifier) -> None:
    assert not can_test_claims(identifier)
    samples = make_samples(("nginx",), deployments_per_service=1, seconds=40)
    [found] = podlab.check_claims(samples, identifier)
    assert (found.verdict, found.why) == ("cannot tell", "the model cannot check claims; fit it again")
