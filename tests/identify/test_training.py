"""Fitting: mistakes in one clear line, small and lopsided data, the same model from the same seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.features.rows import observation_spans, read_rows
from podlab.identify import Identifier, fit
from podlab.identify.observation import ObservationWindow, choose_windows
from podlab.identify.storage import to_files
from podlab.identify.training import assign_folds
from tests.identify.conftest import hits
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def small() -> pd.DataFrame:
    return make_samples(("nginx", "redis"), deployments_per_service=2, seconds=15)


def test_unlabelled_samples_are_refused(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="column 'service': no container is labelled"):
        fit(small.drop(columns="service"))
    with pytest.raises(InputError, match="no container is labelled"):
        fit(small.assign(service=pd.Series(pd.NA, index=small.index, dtype="str")))


def test_one_service_is_refused(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"one service only \(nginx\)"):
        fit(small[small["service"] == "nginx"])
    with pytest.raises(InputError, match=r"one service only \(redis\)"):
        fit(small, services=["redis"])


def test_a_service_that_is_not_there_is_named(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="service 'mysql' is not in the samples; there are nginx, redis"):
        fit(small, services=["nginx", "mysql"])


def test_one_deployment_is_refused(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"one deployment only, nothing can be held out; .*--group"):
        fit(small.assign(deployment="the only one"))


@pytest.mark.parametrize("group", ["time", "memory_usage_bytes"])
def test_a_group_that_changes_from_sample_to_sample_is_refused(small: pd.DataFrame, group: str) -> None:
    with pytest.raises(
        InputError, match=rf"^column '{group}': changes from sample to sample.*--group, of .*deployment"
    ):
        fit(small.assign(memory_usage_bytes=1.0), group=group)


def test_starts_in_another_time_zone_are_told(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"^column 'started_at': every sample lies before its container's start; "):
        fit(small.assign(started_at=small["started_at"] + pd.Timedelta(2, "h")))


def test_a_missing_group_is_named(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"column 'deployment': is missing.*--group"):
        fit(small.drop(columns="deployment"))
    with pytest.raises(InputError, match="column 'team': is missing"):
        fit(small, group="team")


def test_columns_without_a_value_are_refused(small: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no metric to learn from has a value"):
        fit(small.drop(columns="rx_bytes"), columns=["rx_bytes"])


@pytest.mark.parametrize("horizon_s", [0.0, -5.0])
def test_a_horizon_without_seconds_is_refused(small: pd.DataFrame, horizon_s: float) -> None:
    with pytest.raises(InputError, match="longer than 0"):
        fit(small, horizons_s=[10.0, horizon_s])


def test_a_horizon_in_which_few_show_a_sample_gets_no_model(small: pd.DataFrame) -> None:
    startup = [
        window.name for window in fit(small, horizons_s=[0.01, 1.5, 8.0], jobs=1).windows if window.kind == "startup"
    ]
    assert startup == ["birth1.5s", "birth8s"]
    default = [window.name for window in fit(small, jobs=1).windows]
    assert [window.name for window in fit(small, horizons_s=[0.01], jobs=1).windows] == default


def test_another_column_may_tell_deployments_apart(small: pd.DataFrame) -> None:
    model = fit(small.drop(columns="deployment"), group="pod", jobs=1)
    assert model.services == ("nginx", "redis")


def test_a_service_with_a_single_deployment_is_learned_all_the_same() -> None:
    samples = make_samples(("nginx", "redis", "mysql"), deployments_per_service=3, seconds=15)
    lopsided = samples[~samples["deployment"].isin(["mysql-1", "mysql-2"])]
    model = fit(lopsided, jobs=1)
    new = make_samples(("mysql",), deployments_per_service=2, seconds=15, seed=4)
    assert [next(iter(answer.candidates)) for answer in model.identify(new)] == ["mysql", "mysql"]


def test_single_deployments_only_give_a_model_that_knows_its_limits() -> None:
    model = fit(make_samples(("nginx", "redis"), deployments_per_service=1, seconds=15), jobs=1)
    answers = model.identify(make_samples(("nginx",), deployments_per_service=1, seconds=15, seed=4))
    assert answers[0].service == "nginx"
    assert answers[0].novelty == 0.0


def test_unlabelled_containers_are_left_out(small: pd.DataFrame) -> None:
    some = small.assign(service=small["service"].where(small["deployment"] != "nginx-0"))
    assert fit(some, jobs=1).scores["containers"] == 3


def test_the_same_seed_gives_the_same_bytes(small: pd.DataFrame) -> None:
    first, again, other = (to_files(fit(small, seed=seed, jobs=jobs)) for seed, jobs in ((1, 1), (1, 2), (2, 1)))
    assert first == again
    assert first != other


def test_minutes_between_samples_choose_longer_horizons() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=700, interval_s=60)
    model = fit(samples, jobs=1)
    assert [window.name for window in model.windows if window.kind == "startup"] == [
        "birth120s",
        "birth300s",
        "birth600s",
    ]
    new = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=700, interval_s=60, seed=3)
    assert hits(model.identify(new), new) == 1.0


def test_containers_met_in_mid_life_only_can_be_learned() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=400)
    old = samples[samples["time"] > samples["started_at"] + pd.Timedelta(seconds=200)]
    model = fit(old, jobs=1)
    assert {window.kind for window in model.windows} == {"steady"}
    answers = model.identify(old)
    assert hits(answers, old) == 1.0
    assert all(190 < answer.seconds_observed < 200 for answer in answers)


def test_few_long_containers_give_no_model_of_long_segments() -> None:
    short = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=130, interval_s=10)
    long = make_samples(("nginx", "redis"), deployments_per_service=1, seconds=500, interval_s=10, seed=1)
    long["deployment"] += "-long"
    mixed = read_rows(pd.concat([short, long], ignore_index=True))
    assert _segments(choose_windows(observation_spans(mixed), None)) == [60.0]
    assert _segments(choose_windows(observation_spans(read_rows(long)), None)) == [60.0, 300.0]


def _segments(looks: tuple[ObservationWindow, ...]) -> list[float]:
    return [window.length_s for window in looks if window.kind == "steady"]


def test_progress_is_told_from_start_to_end(small: pd.DataFrame) -> None:
    told: list[tuple[int, int, str]] = []
    fit(small, jobs=1, progress=lambda done, total, what: told.append((done, total, what)))
    assert [done for done, _, _ in told] == list(range(told[-1][1] + 1))
    assert told[0][2] == "startup 10 s"


def test_folds_keep_deployments_whole_and_spread_services() -> None:
    truth = np.repeat([0, 1, 2], 20)
    groups = np.array([f"{service}-{number // 2}" for number, service in enumerate(truth)])
    folds = assign_folds(groups, truth, seed=0)
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    for service in range(3):
        assert sorted(np.bincount(folds[truth == service])) == [4, 4, 4, 4, 4]


def test_scores_come_from_deployments_held_out(identifier: Identifier) -> None:
    scores = identifier.scores["macro_f1_held_out"]
    assert isinstance(scores, dict)
    assert set(scores) == {"birth10s", "birth30s", "birth10s+birth30s", "midlife60s"}
    assert scores["birth10s+birth30s"] > 0.9


def test_what_was_recorded_for_longer_than_any_horizon_is_seen_as_a_whole() -> None:
    looks = choose_windows(
        observation_spans(read_rows(make_samples(("nginx",), deployments_per_service=3, seconds=241))), None
    )
    assert [window.length_s for window in looks if window.kind == "startup"] == [10.0, 30.0, 60.0, 120.0, 240.0]
    little_more = observation_spans(read_rows(make_samples(("nginx",), deployments_per_service=3, seconds=160)))
    assert [window.length_s for window in choose_windows(little_more, None) if window.kind == "startup"][-1] == 120.0
    asked = choose_windows(
        observation_spans(read_rows(make_samples(("nginx",), deployments_per_service=3, seconds=241))), [60.0]
    )
    assert [window.length_s for window in asked if window.kind == "startup"] == [60.0]


def test_a_model_of_several_sites_may_be_surer_than_one_of_a_single_site() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=6, seconds=30)
    one = Identifier(horizons_s=[10], column_sets=False, jobs=1).fit(samples.assign(site="here"))
    number = samples["deployment"].factorize()[0] % 2
    several = Identifier(horizons_s=[10], column_sets=False, jobs=1).fit(
        samples.assign(site=np.where(number == 1, "here", "there"))
    )
    least = [min(each[0].temperature for each in fitted.calibrations.values()) for fitted in (one, several)]
    assert least == pytest.approx([0.2, 0.1])
