"""Containers are judged by models that had not seen their deployment, and strangers by ones without their service."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation.judged import judge, leave_services_out
from podlab.evaluation.replay import as_replay, look_by_look
from podlab.evaluation.scenarios import MIDLIFE, Scenario
from podlab.identify.early import UNKNOWN
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis", "postgres")
ASKED = [*look_by_look((5.0, 15.0)), Scenario(MIDLIFE, "late", stretch_s=8.0, settled_s=6.0)]


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    made = make_samples(SERVICES, deployments_per_service=4, seconds=16)
    # One that is over before mid-life begins.
    short = made["deployment"] == "nginx-0"
    age_s = (made["time"] - made["started_at"]).dt.total_seconds()
    return made[~short | (age_s < 6.0)].reset_index(drop=True)


def test_each_container_is_judged_once_and_strangers_by_models_that_do_not_know_them(samples: pd.DataFrame):
    found = judge(samples, ASKED, unknown=("redis",), horizons_s=(5.0, 15.0), folds=2, jobs=1)
    assert found.services == ("mysql", "nginx", "postgres")
    assert sorted(found.units) == sorted(samples["deployment"].unique())
    assert (found.strange == (found.names == "redis")).all()
    assert set(found.fold[found.strange]) == {0, 1}
    decisions = found.decisions("15 s")
    assert "redis" not in set(decisions["best"])
    known = decisions[~decisions["strange"]]
    assert (known["best"] == known["service"]).mean() > 0.8
    assert known["novelty"].mean() < decisions.loc[decisions["strange"], "novelty"].mean()


def test_what_a_scenario_does_not_show_is_not_judged(samples: pd.DataFrame):
    found = judge(samples, ASKED, horizons_s=(5.0,), folds=2, jobs=1)
    assert len(found.decisions("5 s")) == 16
    late = found.decisions("late")
    assert set(samples["deployment"]) - set(late["unit"]) == {"nginx-0"}
    assert (late["service"] == late["unit"].str.partition("-")[0]).all()


def test_a_replay_is_made_of_the_same_answers(samples: pd.DataFrame):
    found = judge(samples, ASKED, unknown=("redis",), horizons_s=(5.0, 15.0), folds=2, jobs=1)
    replay = as_replay(found, (15.0, 5.0))
    assert replay.at_s.tolist() == [5.0, 15.0]
    assert (replay.truth == UNKNOWN).tolist() == found.strange.tolist()
    best = np.array(replay.services, dtype=object)[replay.looks[-1].best]
    assert best.tolist() == found.decisions("15 s")["best"].tolist()


@pytest.mark.parametrize("groups", [2, None])
def test_every_service_is_left_out_once_and_every_other_deployment_held_out(samples: pd.DataFrame, groups: int | None):
    kinds = dict(zip(SERVICES, ("web", "database", "cache", "database"), strict=True))
    found = leave_services_out(samples, ASKED[1:2], groups=groups, kinds=kinds, horizons_s=(15.0,), jobs=1)
    number = groups or len(SERVICES)
    assert set(found.fold) == set(range(number))
    strange = pd.Series(found.names[found.strange]).value_counts()
    assert strange.to_dict() == dict.fromkeys(SERVICES, 4)
    decisions = found.decisions("15 s").assign(model=found.fold)
    for _, own in decisions.groupby("model"):
        out = set(own.loc[own["strange"], "service"])
        assert not out & set(own["best"]), "a model answered a service that it must not know"
        assert not out & set(own.loc[~own["strange"], "service"])
        assert not {"mysql", "postgres"} <= out, "relatives are left out apart"
    assert not decisions[~decisions["strange"]].duplicated("unit").any()
    assert (~decisions["strange"]).sum() >= 16 - 16 / number


def test_two_services_are_left_to_tell_apart_however_few_the_groups(samples: pd.DataFrame):
    three = ("nginx", "mysql", "redis")
    found = leave_services_out(samples, ASKED[:1], groups=2, services=three, horizons_s=(5.0,), jobs=1)
    assert set(found.fold) == {0, 1, 2}


def test_services_cannot_be_left_out_when_there_are_too_few(samples: pd.DataFrame):
    with pytest.raises(InputError, match="too few to leave some out"):
        leave_services_out(samples, ASKED[:1], services=("nginx", "mysql"))
    with pytest.raises(InputError, match="4 services in 1 groups"):
        leave_services_out(samples, ASKED[:1], groups=1)
