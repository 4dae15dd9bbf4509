"""One set of models predicts held-out deployments as other clusters would show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation.cross_validation import cross_validate
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.scenarios import (
    COLUMNS,
    MACHINE,
    MID_RUN,
    RECORDING,
    SPARSE,
    START,
    Scenario,
    columns_of_set,
    from_start,
)  # fmt: skip
from podlab.evaluation.shift import FROM_OTHER, TO_OTHER, predict_across, read_other, tabulate_conditions
from podlab.evaluation.splits import plan_splits
from podlab.identify import Identifier
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis")
FEW = ("memory_rss_bytes", "cpu_usage_core_nanoseconds")
BESIDE = {"horizon_s": 12.0, "reference": "12 s"}
SCENARIOS = [
    *from_start((5.0, 12.0)),
    Scenario(MID_RUN, "10 s mid-run", segment_s=10.0, settled_s=8.0),
    Scenario(SPARSE, "12 s, every 2 s", interval_s=2.0, **BESIDE),
    Scenario(COLUMNS, "memory", columns=columns_of_set("memory"), **BESIDE),
    Scenario(MACHINE, "another machine", draws=2, **BESIDE),
]


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(SERVICES, deployments_per_service=4, seconds=24)


@dataclass
class Found:
    """Predictions, and what they are worth under each condition."""

    predictions: pd.DataFrame
    table: pd.DataFrame


@pytest.fixture(scope="module")
def found(samples):
    dataset = read_dataset(samples)
    plan = plan_splits(dataset.containers, folds=2)
    model = Identifier(horizons_s=(5.0, 12.0))
    other = make_samples(("nginx", "mysql", "postgres"), deployments_per_service=4, seconds=14, seed=9)
    own = cross_validate(dataset, plan, SCENARIOS, model, jobs=1)
    across, more = predict_across(dataset, plan, read_other(dataset, other), SCENARIOS, model, jobs=1)
    predictions = pd.concat([own, across], ignore_index=True)
    return Found(predictions, tabulate_conditions(predictions, [*SCENARIOS, *more]))


def line_of(found: Found, group: str, condition: str) -> pd.Series:
    """Give the line of a condition, of all containers."""
    own = found.table.set_index(["group", "condition", "containers"])
    return own.loc[(group, condition, "all")]


def test_every_condition_is_scored_on_every_deployment_that_shows_it(found):
    table = found.table
    assert not table.duplicated(["group", "condition", "containers"]).any()
    of_all = table[table["containers"] == "all"]
    asked = {(each.group, each.name) for each in SCENARIOS}
    own = of_all[of_all["group"] != RECORDING]
    assert set(zip(own["group"], own["condition"], strict=True)) == asked
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


def test_shuffled_services_are_not_identified_under_any_condition(samples):
    rng = np.random.default_rng(0)
    drawn = dict(zip(samples["deployment"].unique(), rng.permutation([*SERVICES] * 4), strict=True))
    shuffled = samples.assign(service=samples["deployment"].map(drawn).astype("str"))
    asked = (Scenario(START, "6 s", 6.0), Scenario(START, "all seconds"))
    model = Identifier(columns=FEW, horizons_s=(6.0,))
    plan = plan_splits(read_dataset(shuffled).containers, folds=2)
    found = tabulate_conditions(cross_validate(shuffled, plan, asked, model, jobs=1), asked)
    assert set(found["condition"]) == {"6 s", "all seconds"}
    assert (found["best_guess"] < 0.75).all()


def test_another_recording_needs_services_in_common(samples):
    with pytest.raises(InputError, match="fewer than two of the services"):
        read_other(read_dataset(samples), make_samples(("postgres",), deployments_per_service=2, seconds=5))


def test_another_recording_must_be_another(samples):
    with pytest.raises(InputError, match="has containers of this one"):
        read_other(read_dataset(samples), samples)
