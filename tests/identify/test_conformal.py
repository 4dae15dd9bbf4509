"""Sets that hold the right service as often as they coverage."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.identify.calibration import FEWEST_DEPLOYMENTS, fit_claim_score, fit_conformal_quantiles


def drawn(number: int, seed: int, services: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deployments of which service 0 is much harder than the others."""
    rng = np.random.default_rng(seed)
    truth = np.arange(number) % services
    votes = rng.normal(0, 1, (number, services))
    votes[np.arange(number), truth] += np.where(truth == 0, 1.0, 4.0)
    odds = np.exp(votes)
    return odds / odds.sum(axis=1, keepdims=True), truth, np.arange(number).astype(str)


def test_each_service_is_covered_where_it_has_enough_deployments() -> None:
    bounds = fit_conformal_quantiles(*drawn(2000, 0))
    probability, truth, _ = drawn(20_000, 1)
    inside = bounds.prediction_sets(probability)[np.arange(truth.size), truth]
    assert bounds.coverage == "class-conditional"
    for service in range(4):
        assert inside[truth == service].mean() >= 0.93


@pytest.mark.parametrize("each", [5, 19, 20, 38, 39])
def test_coverage_holds_on_average_over_trainings(each: int) -> None:
    covered = []
    for seed in range(60):
        bounds = fit_conformal_quantiles(*drawn(4 * each, seed))
        probability, truth, _ = drawn(400, 1000 + seed)
        covered.append(bounds.prediction_sets(probability)[np.arange(truth.size), truth].mean())
    assert np.mean(covered) >= 0.94


def test_what_few_deployments_cannot_promise_is_said() -> None:
    assert fit_conformal_quantiles(*drawn(4 * FEWEST_DEPLOYMENTS, 0)).coverage == "class-conditional"
    assert fit_conformal_quantiles(*drawn(4 * FEWEST_DEPLOYMENTS - 4, 0)).coverage == "marginal"
    assert fit_conformal_quantiles(*drawn(FEWEST_DEPLOYMENTS - 1, 0)).coverage == "none"
    probability, truth, groups = drawn(4 * FEWEST_DEPLOYMENTS, 0)
    one_short = fit_conformal_quantiles(probability[1:], truth[1:], groups[1:])
    assert one_short.coverage == "marginal"
    assert one_short.basis.tolist() == [1, 2, 2, 2]
    nothing = fit_conformal_quantiles(np.empty((0, 4)), np.empty(0, dtype=np.intp), np.empty(0, dtype=str))
    assert nothing.coverage == "none"
    assert nothing.lowest.tolist() == [0.0] * 4


def test_nineteen_deployments_are_enough_for_a_promise() -> None:
    """The least n for which one in n + 1 is no more than 5 %."""
    assert [fit_conformal_quantiles(*drawn(4 * each, 0)).coverage for each in (18, 19)] == [
        "marginal",
        "class-conditional",
    ]
    assert [fit_conformal_quantiles(*drawn(number, 0)).coverage for number in (18, 19)] == ["none", "marginal"]


@pytest.mark.parametrize(("deployments", "bound"), [(19, 0.01), (38, 0.01), (39, 0.02), (58, 0.02), (59, 0.03)])
def test_at_most_one_in_twenty_may_be_below_the_bound(deployments: int, bound: float) -> None:
    own = np.arange(1, deployments + 1)[::-1] / 100
    probability, truth = np.column_stack([own, 1 - own]), np.zeros(deployments, dtype=np.intp)
    bounds = fit_conformal_quantiles(probability, truth, np.arange(deployments).astype(str))
    assert bounds.lowest[0] == bound
    at_the_edge, below = np.array([[bound, 1 - bound], [np.nextafter(bound, 0), 1 - bound]])
    assert bounds.prediction_sets(at_the_edge[None])[0, 0]
    assert not bounds.prediction_sets(below[None])[0, 0]


def test_containers_of_one_deployment_are_one_case() -> None:
    probability, truth, groups = drawn(4 * FEWEST_DEPLOYMENTS, 0)
    few = np.array([str(number // 40 * 4 + service) for number, service in enumerate(truth)])
    assert fit_conformal_quantiles(probability, truth, groups).coverage == "class-conditional"
    assert fit_conformal_quantiles(probability, truth, few).coverage == "none"


def test_the_most_probable_service_is_always_in_its_set() -> None:
    bounds = fit_conformal_quantiles(*drawn(400, 0))
    assert np.all(bounds.prediction_sets(np.full((1, 4), 0.25))[:, 0])
    assert bounds.prediction_sets(np.array([[0.0, 0.0, 0.01, 0.99]])).tolist() == [[False, False, False, True]]


def test_the_p_value_of_a_claim_is_its_rank_among_held_out_deployments() -> None:
    probability = np.linspace(0.02, 0.98, 49)
    table = np.stack([probability, 1 - probability], axis=1)
    truth, groups = np.zeros(49, dtype=np.intp), np.arange(49).astype(str)
    score = fit_claim_score(table, truth, groups)
    assert score is not None
    found = score.p_values(np.array([[0.01, 0.03], [0.5, 1.0]]))
    assert 0.01 / 50 <= found[0, 0] < 1 / 50  # below all: extrapolated, to a hundredth at most
    assert found[0, 1] == 2 / 50
    assert 25 / 50 <= found[1, 0] <= 27 / 50
    assert found[1, 1] == 1.0
    assert score.p_values(np.array([[0.0, 0.0]])) == pytest.approx(0.01 / 50)
    # Of the containers of one deployment the least probable one counts; with few deployments nothing is promised.
    assert fit_claim_score(table, truth, np.repeat("one", 49)) is None
