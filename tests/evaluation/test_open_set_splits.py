"""Containers are predicted by models that lack their deployment, and unknown ones by models without their service."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from podlab import Identifier
from podlab.errors import InputError
from podlab.evaluation.cross_validation import FeatureClassifier, cross_validate, probabilities
from podlab.evaluation.dataset import LabelledSamples, read_dataset
from podlab.evaluation.early import timeline
from podlab.evaluation.scenarios import MID_RUN, Scenario, from_start
from podlab.evaluation.splits import plan_splits, splits_elsewhere, without_services
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis", "postgres")
ASKED = [*from_start((5.0, 15.0)), Scenario(MID_RUN, "late", segment_s=8.0, settled_s=6.0)]
FOREST = FeatureClassifier(RandomForestClassifier(20, random_state=0), horizon_s=15.0)


@pytest.fixture(scope="module")
def dataset() -> LabelledSamples:
    made = make_samples(SERVICES, deployments_per_service=4, seconds=16)
    # One that is over before the late segment begins.
    short = made["deployment"] == "nginx-0"
    age_s = (made["time"] - made["started_at"]).dt.total_seconds()
    return read_dataset(made[~short | (age_s < 6.0)].reset_index(drop=True))


@pytest.fixture(scope="module")
def found(dataset: LabelledSamples) -> pd.DataFrame:
    is_unknown = (dataset.containers["service"] == "redis").to_numpy()
    known, unknown = (dataset.part(np.flatnonzero(own)) for own in (~is_unknown, is_unknown))
    plan, model = plan_splits(known.containers, folds=2), Identifier(horizons_s=(5.0, 15.0))
    elsewhere = splits_elsewhere(plan, unknown.containers)
    parts = [
        cross_validate(known, plan, ASKED, model, jobs=1),
        cross_validate(known, elsewhere, ASKED, model, tested=unknown, jobs=1),
    ]
    return pd.concat(parts, ignore_index=True)


def test_each_container_is_predicted_once_and_unknown_ones_by_models_without_their_service(
    dataset: LabelledSamples, found: pd.DataFrame
) -> None:
    own = found[found["scenario"] == "15 s"]
    assert sorted(own["unit"]) == sorted(dataset.containers["deployment"])
    assert (own["unknown"] == (own["service"] == "redis")).all()
    assert set(own.loc[own["unknown"], "fold"]) == {0, 1}
    assert "p_redis" not in found
    known = own[~own["unknown"]]
    assert (known["best_guess"] == known["service"]).mean() > 0.8
    assert known["novelty"].mean() < own.loc[own["unknown"], "novelty"].mean()


def test_what_a_scenario_does_not_show_is_not_predicted(dataset: LabelledSamples, found: pd.DataFrame) -> None:
    late = found[found["scenario"] == "late"]
    assert set(dataset.containers["deployment"]) - set(late["unit"]) == {"nginx-0"}
    assert (late["service"] == late["unit"].str.partition("-")[0]).all()


def test_a_replay_is_made_of_the_same_predictions(found: pd.DataFrame) -> None:
    over_time = timeline(found, (15.0, 5.0))
    own = found[found["scenario"] == "15 s"]
    assert over_time.at_s.tolist() == [5.0, 15.0]
    assert (~over_time.is_known).tolist() == own["unknown"].tolist()
    best = np.array(list(probabilities(found)), dtype=object)[over_time.predictions[-1].best]
    assert best.tolist() == own["best_guess"].tolist()


@pytest.mark.parametrize("groups", [2, None])
def test_every_service_is_left_out_once_and_every_other_deployment_held_out(
    dataset: LabelledSamples, groups: int | None
) -> None:
    kinds = dict(zip(SERVICES, ("web", "database", "cache", "database"), strict=True))
    splits = without_services(dataset.containers, groups=groups, kinds=kinds)
    found = cross_validate(dataset, splits, [15.0], FOREST, jobs=1)
    number = groups or len(SERVICES)
    assert set(found["fold"]) == set(range(number))
    assert found.loc[found["unknown"], "service"].value_counts().to_dict() == dict.fromkeys(SERVICES, 4)
    for _, own in found.groupby("fold"):
        out = set(own.loc[own["unknown"], "service"])
        assert not out & set(own["best_guess"]), "a model answered a service that it must not know"
        assert not out & set(own.loc[~own["unknown"], "service"])
        assert not {"mysql", "postgres"} <= out, "relatives are left out apart"
    assert not found[~found["unknown"]].duplicated("unit").any()
    assert (~found["unknown"]).sum() >= 16 - 16 / number


def test_at_least_two_services_stay_however_few_the_groups(dataset: LabelledSamples) -> None:
    three = dataset.containers[dataset.containers["service"] != "postgres"].reset_index(drop=True)
    assert len(without_services(three, groups=2)) == 3


def test_services_cannot_be_left_out_when_there_are_too_few(dataset: LabelledSamples) -> None:
    two = dataset.containers[dataset.containers["service"].isin(["nginx", "mysql"])].reset_index(drop=True)
    with pytest.raises(InputError, match="too few to leave some out"):
        without_services(two)
    with pytest.raises(InputError, match="4 services in 1 groups"):
        without_services(dataset.containers, groups=1)
