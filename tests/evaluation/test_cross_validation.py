"""One cross-validation gives a table from which every score can be made, for podlab and for any classifier."""

from __future__ import annotations

import os
import signal
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.metrics import f1_score, log_loss

from podlab import Identifier
from podlab.errors import InputError, PodlabError
from podlab.evaluation import cross_validation
from podlab.evaluation.cross_validation import (
    FeatureClassifier,
    cross_validate,
    probabilities,
)
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.scenarios import MACHINE, MID_RUN, Scenario
from podlab.evaluation.splits import Split, plan_splits
from podlab.parallel import ignore_training_warnings
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis")
FOREST = FeatureClassifier(RandomForestClassifier(20, random_state=0), horizon_s=8)


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(SERVICES, deployments_per_service=4, seconds=24, interval_s=2)


@pytest.fixture(scope="module")
def predictions(samples: pd.DataFrame) -> pd.DataFrame:
    model = Identifier(horizons_s=(8.0, 16.0))
    return cross_validate(samples, plan_splits(read_dataset(samples).containers, folds=2), (8.0, 16.0), model, jobs=1)


def test_each_container_is_predicted_once_in_each_scenario_by_a_model_of_other_deployments(
    samples: pd.DataFrame, predictions: pd.DataFrame
) -> None:
    assert not predictions.duplicated(["scenario", "position"]).any()
    assert set(predictions["deployment"]) == set(samples["deployment"])
    assert predictions.groupby("horizon_s")["fold"].nunique().to_dict() == {8.0: 2, 16.0: 2}
    assert predictions.groupby("deployment")["fold"].nunique().max() == 1
    assert set(predictions["activity"]) == {"idle", "loaded"}


def test_scores_of_scikit_learn_are_one_line(predictions: pd.DataFrame) -> None:
    own = predictions[predictions["horizon_s"] == 16.0]
    assert f1_score(own["service"], own["best_guess"], average="macro") > 0.8
    assert log_loss(own["service"], probabilities(own)) < 1.0
    assert np.allclose(probabilities(own).sum(axis=1), 1.0)
    assert (probabilities(own).max(axis=1) == own["confidence"]).all()
    assert (own["predicted"].notna() == own["known"]).all()
    in_set = [service in services for service, services in zip(own["service"], own["prediction_set"], strict=True)]
    assert np.mean(in_set) > 0.6


def test_they_are_the_predictions_of_the_identifier_trained_on_the_other_side(
    samples: pd.DataFrame, predictions: pd.DataFrame
) -> None:
    dataset = read_dataset(samples)
    split = plan_splits(dataset.containers, folds=2).splits[1]
    identifier = Identifier(horizons_s=(8.0, 16.0)).fit(dataset.take(split.train))
    answers = identifier.identify(dataset.take(split.test), horizon_s=8.0)
    own = predictions[(predictions["fold"] == 1) & (predictions["horizon_s"] == 8.0)]
    assert own["novelty"].tolist() == [answer.novelty for answer in answers]
    assert own["p_redis"].tolist() == [answer.candidates["redis"] for answer in answers]
    assert own["pod"].tolist() == [answer.pod for answer in answers]


def test_any_classifier_takes_part_and_several_stand_in_one_table(samples: pd.DataFrame) -> None:
    models = {"forest": FOREST, "majority": FeatureClassifier(DummyClassifier(), horizon_s=8)}
    found = cross_validate(samples, "deployment", [8], models, jobs=1)
    right = (found["predicted"] == found["service"]).groupby(found["model"]).mean()
    assert right["forest"] > 0.8 > right["majority"]
    assert found["known"].all()


def test_services_that_training_lacks_are_marked_unknown(samples: pd.DataFrame) -> None:
    services = read_dataset(samples).containers["service"]
    split = Split(np.flatnonzero(services != "redis"), np.flatnonzero(services == "redis"))
    found = cross_validate(samples, [split], [8], FOREST, jobs=1)
    assert found["unknown"].all()
    assert "p_redis" not in found


def test_scenarios_show_later_stretches_fewer_columns_and_other_machines(samples: pd.DataFrame) -> None:
    asked = [
        Scenario(MID_RUN, "late", segment_s=8.0, settled_s=6.0),
        Scenario(MACHINE, "moved", 8.0, draws=3),
        Scenario("fewer columns", "none that the model knows", 8.0, columns=("rx_bytes",)),
    ]
    few = FeatureClassifier(RandomForestClassifier(20, random_state=0), horizon_s=8, columns=("memory_rss_bytes",))
    found = cross_validate(samples, "deployment", asked, few, jobs=1)
    assert found.groupby("scenario", sort=False).size().to_dict() == {"late": 12, "moved": 36}
    assert found["horizon_s"].isna().tolist() == (found["scenario"] == "late").tolist()


def test_containers_trained_on_are_shown_as_another_scenario_has_them(
    samples: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[pd.DataFrame] = []
    fit = FeatureClassifier.fit
    monkeypatch.setattr(FeatureClassifier, "fit", lambda own, table: seen.append(table) or fit(own, table))
    late = Scenario(MID_RUN, "late", segment_s=8.0, settled_s=6.0)
    anytime = replace(FOREST, since_start=False)
    found = cross_validate(samples, "deployment", [late], anytime, train_as=late, jobs=1)
    assert found["position"].is_unique
    assert len(found) == 12
    for table in seen:
        age_s = (table["time"] - table["started_at"]).dt.total_seconds()
        assert age_s.min() >= 6
        assert age_s.groupby(table["pod"]).agg(lambda own: own.max() - own.min()).max() < 8
    never = replace(late, settled_s=3600.0)
    assert cross_validate(samples, "deployment", [8], FOREST, train_as=never, jobs=1).empty


def test_a_container_that_shows_nothing_yet_has_no_answer(samples: pd.DataFrame) -> None:
    age_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
    late = samples[(samples["deployment"] != "nginx-0") | (age_s > 9)].reset_index(drop=True)
    found = cross_validate(late, "deployment", [8], FOREST, jobs=1).set_index("deployment")
    assert not found.loc["nginx-0", "known"]
    assert pd.isna(found.loc["nginx-0", "predicted"])
    assert found.loc["nginx-0", "confidence"] == 0


def test_what_was_trained_is_kept_until_samples_split_or_model_change(
    samples: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    fit = FeatureClassifier.fit
    monkeypatch.setattr(FeatureClassifier, "fit", lambda own, table: trained.append(1) or fit(own, table))

    def trainings(table: pd.DataFrame, scenarios: list[float], model: FeatureClassifier = FOREST) -> int:
        trained.clear()
        found = cross_validate(table, "deployment", scenarios, model, jobs=1, cache=tmp_path)
        fresh = cross_validate(table, "deployment", scenarios, model, jobs=1)
        timed = ["fit_cpu_s", "predict_cpu_s"]
        pd.testing.assert_frame_equal(found.drop(columns=timed), fresh.drop(columns=timed))
        return len(trained) - 4

    assert trainings(samples, [8]) == 4
    assert trainings(samples, [8]) == 0
    assert trainings(samples, [4, 8]) == 0, "other scenarios ask the same models"
    assert trainings(samples, [8], FeatureClassifier(RandomForestClassifier(21, random_state=0), horizon_s=8)) == 4
    assert trainings(samples.assign(rx_bytes=samples["rx_bytes"] + 1), [8]) == 4
    next(tmp_path.glob("??/*.joblib")).write_bytes(b"broken")
    trainings(samples, [8])


def test_the_kept_do_not_outgrow_their_share_of_the_disk(
    samples: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "CACHE_BYTES", 30_000)
    cross_validate(samples, "deployment", [8], FOREST, jobs=1, cache=tmp_path)
    assert 0 < sum(path.stat().st_size for path in tmp_path.glob("??/*.joblib")) <= 30_000


def test_the_same_seed_gives_the_same_table_whatever_runs_at_once(samples: pd.DataFrame) -> None:
    asked = [Scenario(MID_RUN, "late", segment_s=6.0, settled_s=8.0)]
    one, two = (
        cross_validate(samples, "deployment", asked, FOREST, seed=4, jobs=jobs).drop(
            columns=["fit_cpu_s", "predict_cpu_s"]
        )
        for jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(one, two)


@dataclass
class Dying(FeatureClassifier):
    """A model whose training is killed from outside."""

    def fit(self, samples: pd.DataFrame, /) -> Dying:
        os.kill(os.getpid(), signal.SIGKILL)
        return self


def test_a_killed_process_is_one_clear_line(samples: pd.DataFrame) -> None:
    with pytest.raises(PodlabError, match=r"was killed from outside.*; train one fold at a time"):
        cross_validate(samples, "deployment", [8], Dying(DummyClassifier()), jobs=2)


def test_a_horizon_of_nothing_is_refused(samples: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="longer than 0 s"):
        cross_validate(samples, "deployment", [0], FOREST)


def test_features_without_variance_are_no_warning_however_many() -> None:
    X = np.zeros((6, 90))  # so many that scikit-learn names them in several lines
    X[:, 0] = range(6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ignore_training_warnings():
            SelectKBest(f_classif, k=1).fit(X, list("aaabbb"))


def test_other_warnings_of_a_training_are_given_on_whatever_its_threads_do_to_the_filters() -> None:
    with warnings.catch_warnings(record=True) as given, ignore_training_warnings():
        warnings.resetwarnings()  # as scikit-learn's threads may leave them
        warnings.warn("The number of unique classes is greater than 50% of the number of samples", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert [str(each.message) for each in given] == ["something else"]


def test_models_of_smaller_column_sets_are_trained_only_where_columns_are_missing(
    samples: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[bool] = []

    def train(self: Identifier, rows: pd.DataFrame) -> Identifier:
        trained.append(self.get_params()["column_sets"])
        return self

    monkeypatch.setattr(Identifier, "fit", train)
    monkeypatch.setattr(Identifier, "predict", lambda *_, **__: pd.DataFrame())
    whole, poor = [Split(np.arange(6), np.arange(6, 12))], samples.drop(columns="rx_bytes")
    for more in ({}, {"tested": samples}, {"tested": poor}, {"scenarios": [Scenario("g", "n", columns=("rx_bytes",))]}):
        assert cross_validate(samples, whole, **{"scenarios": (8.0,)} | more, model=Identifier(), jobs=1).empty
    assert trained == [False, False, True, True]
