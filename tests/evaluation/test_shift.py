"""One set of models predicts held-out deployments as other clusters would show them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import score_conditions
from podlab.evaluation.scenarios import KUBELET, MACHINE, RECORDING, START, Scenario, plan_scenarios
from podlab.evaluation.shift import FROM_OTHER, TO_OTHER, Conditions
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis")
FEW = ("memory_rss_bytes", "cpu_usage_core_nanoseconds")
SCENARIOS = plan_scenarios(
    (5.0, 12.0), main_s=12.0, long_s=24.0, segments_s=(10.0,), settled_s=8.0, interval_s=2.0, draws=2
)


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(SERVICES, deployments_per_service=4, seconds=24)


@pytest.fixture(scope="module")
def found(samples):
    other = make_samples(("nginx", "mysql", "postgres"), deployments_per_service=4, seconds=14, seed=9)
    return score_conditions(samples, scenarios=SCENARIOS, other=other, horizons_s=(5.0, 12.0), folds=2, jobs=1)


def line_of(found: Conditions, group: str, condition: str) -> pd.Series:
    """Give the line of a condition, of all containers."""
    own = found.table.set_index(["group", "condition", "containers"])
    return own.loc[(group, condition, "all")]


def test_every_condition_is_scored_on_every_deployment_that_shows_it(found):
    table = found.table
    assert not table.duplicated(["group", "condition", "containers"]).any()
    of_all = table[table["containers"] == "all"]
    assert {(each.group, each.name) for each in SCENARIOS if each.group != KUBELET} <= set(
        zip(of_all["group"], of_all["condition"], strict=True)
    )
    own = of_all[~of_all["group"].isin([RECORDING, KUBELET])]  # a kubelet may measure nothing in so few seconds
    assert set(own["n_deployments"]) == {12}
    assert own.loc[own["group"] == MACHINE, "n_decisions"].item() == 24
    starts = table[(table["group"] == START) & (table["condition"] == "12 s")].set_index("containers")
    assert starts["n_deployments"].to_dict() == {"all": 12, "loaded": 12} or "idle" in starts.index


def test_separable_services_are_identified_from_the_start_and_each_score_lies_in_its_interval(found):
    line = line_of(found, START, "12 s")
    assert line["best_guess"] > 0.9
    for name in ("macro_f1", "best_guess", "coverage", "set_size", "calibration_error"):
        assert line[f"{name}_low"] <= line[name] <= line[f"{name}_high"]


def test_what_is_lost_is_measured_on_the_same_containers(found):
    for line in found.table[found.table["lost"].notna()].itertuples():
        if TO_OTHER not in line.condition:
            own = found.predictions[found.predictions["scenario"] == line.condition]
            beside = found.predictions[found.predictions["scenario"] == line.beside]
            assert set(own["position"]) <= set(beside["position"])
        assert line.lost_low <= line.lost <= line.lost_high
        assert line.guess_lost_low <= line.guess_lost <= line.guess_lost_high
    memory = line_of(found, "fewer columns", "memory")
    start = line_of(found, START, "12 s")
    assert memory["guess_lost"] == pytest.approx(start["best_guess"] - memory["best_guess"])
    assert memory["lost"] == pytest.approx(start["macro_f1"] - memory["macro_f1"])


def test_another_recording_is_predicted_by_models_of_this_one_and_the_other_way_round(found):
    there = line_of(found, RECORDING, f"12 s, {TO_OTHER}")
    back = line_of(found, RECORDING, f"12 s, {FROM_OTHER}")
    assert there["n_deployments"] == back["n_deployments"] == 8, "only services that both have"
    assert set(found.predictions.loc[found.predictions["scenario_group"] == RECORDING, "service"]) == {"nginx", "mysql"}
    assert there["best_guess"] > 0.6


def test_sets_hold_the_truth_as_often_as_they_are_said_to(found):
    own = found.predictions[found.predictions["scenario"] == "12 s"]
    inside = [service in members for service, members in zip(own["service"], own["prediction_set"], strict=True)]
    line = line_of(found, START, "12 s")
    assert line["coverage"] == pytest.approx(np.mean(inside))
    assert line["worst_coverage"] == pytest.approx(pd.Series(inside).groupby(own["service"].to_list()).mean().min())
    assert line["set_size"] == pytest.approx(own["prediction_set"].map(len).mean())


def test_all_of_it_is_plain_json(found):
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["n_deployments"] == 12
    assert len(told["conditions"]) == len(found.table)
    assert told["conditions"][0]["condition"] == "5 s"


def test_the_same_seed_gives_the_same_answers_whatever_runs_at_once(samples):
    asked = (Scenario(START, "6 s", 6.0), Scenario("mid-run", "late", segment_s=6.0, settled_s=8.0))
    how = {"scenarios": asked, "columns": FEW, "horizons_s": (6.0,), "folds": 2, "seed": 4}
    one, two = (score_conditions(samples, **how, jobs=jobs).table for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_shuffled_services_are_not_identified_under_any_condition(samples):
    rng = np.random.default_rng(0)
    drawn = dict(zip(samples["deployment"].unique(), rng.permutation([*SERVICES] * 4), strict=True))
    shuffled = samples.assign(service=samples["deployment"].map(drawn).astype("str"))
    asked = (Scenario(START, "6 s", 6.0), Scenario(START, "all seconds"))
    found = score_conditions(shuffled, scenarios=asked, columns=FEW, horizons_s=(6.0,), folds=2, jobs=1)
    assert (found.table["best_guess"] < 0.75).all()


def test_another_recording_needs_services_in_common(samples):
    with pytest.raises(InputError, match="fewer than two of the services"):
        score_conditions(samples, other=make_samples(("postgres",), deployments_per_service=2, seconds=5))


def test_another_recording_must_be_another(samples):
    with pytest.raises(InputError, match="has containers of this one"):
        score_conditions(samples, other=samples)
