from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import describe_evaluation, evaluate, score
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.summary import BEST_GUESS, CONTROL, MODEL, ROW_TREE
from podlab.identify import Identifier
from tests.support.synthetic import make_samples

STEPS: list[tuple[int, int, str]] = []


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    table = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=24, interval_s=2)
    lone = make_samples(("etcd",), deployments_per_service=1, seconds=24, interval_s=2, seed=5)
    unlabelled = make_samples(("nginx",), deployments_per_service=1, seconds=24, interval_s=2, seed=7)
    return pd.concat([table, lone, unlabelled.assign(service=np.nan, deployment=np.nan)], ignore_index=True)


@pytest.fixture(scope="module")
def evaluation(samples):
    return evaluate(samples, horizons_s=(20, 10), folds=2, jobs=1, progress=lambda *step: STEPS.append(step))


@pytest.fixture(scope="module")
def scores(evaluation):
    return score(evaluation[0], ["method", "horizon_s"]).set_index(["method", "horizon_s"])


def test_every_deployment_is_answered_once_at_each_horizon_by_a_model_that_never_saw_it(evaluation):
    predictions, about = evaluation
    decisions = predictions[predictions["method"] == MODEL]
    assert decisions.groupby("horizon_s").size().to_dict() == {10.0: 12, 20.0: 12}
    assert not decisions.duplicated(["position", "horizon_s"]).any()
    assert about["untested"] == ["etcd"]
    assert about["services"] == ["etcd", "mysql", "nginx", "redis"]
    assert (about["n_deployments"], about["n_containers"]) == (13, 13)


def test_separable_services_are_identified_and_shuffled_labels_are_not(scores):
    assert scores.loc[(BEST_GUESS, 20.0), "macro_f1"] > 0.8
    assert scores.loc[(CONTROL, 20.0), "macro_f1"] < 0.6
    assert scores.loc[("1-NN", 20.0), "macro_f1"] > 0.8
    assert scores.loc[("majority class", 20.0), "accuracy"] == pytest.approx(1 / 3)


def test_horizons_that_show_little_are_scored_and_those_that_show_nothing_are_left_out(caplog):
    sparse = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=60, interval_s=15)
    age_s = (sparse["time"] - sparse["started_at"]).dt.total_seconds()
    late = sparse[(age_s > 5) & ((age_s > 20) | sparse["deployment"].isin(["nginx-0", "mysql-0"]))]
    found, _ = evaluate(late, horizons_s=(4, 20, 60), folds=2, jobs=1, controls=False)
    assert found[found["method"] == MODEL].groupby("horizon_s").size().to_dict() == {20.0: 8, 60.0: 8}
    assert [record.getMessage() for record in caplog.records] == ["no container shows a sample within 4 s: left out"]


def test_the_table_holds_everyone_at_every_horizon(scores):
    methods = list(scores.index.get_level_values("method").unique())
    assert methods == [MODEL, BEST_GUESS, "majority class", "one-metric rule", "1-NN", "tree", ROW_TREE, CONTROL]
    assert len(scores) == 2 * len(methods)
    assert (scores["macro_f1_low"] <= scores["macro_f1"]).all()
    assert (scores["macro_f1"] <= scores["macro_f1_high"]).all()


def test_json_is_plain_and_complete(evaluation):
    told = json.loads(json.dumps(describe_evaluation(*evaluation), allow_nan=False))
    assert [one["horizon_s"] for one in told["scores"]] == [10.0, 20.0]
    assert set(told["scores"][0]["macro_f1"]) == {"value", "low", "high"}
    assert told["split"]["group"] == "deployment"
    assert np.sum(told["scores"][0]["confusion"]["counts"]) == told["scores"][0]["n_containers"] == 12
    assert told["idle"][0]["n_containers"] == told["loaded"][0]["n_containers"] == 6
    assert told["rule_metrics"][0]["metric"] in told["columns"]


def test_progress_counts_the_folds_of_model_and_control(evaluation):
    assert [(done, total) for done, total, _ in STEPS] == [(1, 2), (2, 2)] * 2
    assert [what for _, _, what in STEPS] == ["fold", "fold", "control", "control"]


def test_it_asks_the_real_identifier_and_hands_on_what_may_be_learned(samples, monkeypatch):
    seen = []
    asked = Identifier.identify

    def remember(self, given, **arguments):
        seen.append((self.columns, set(given["deployment"])))
        return asked(self, given, **arguments)

    monkeypatch.setattr(Identifier, "identify", remember)
    found, about = evaluate(
        samples,
        services=["nginx", "mysql"],
        columns=["memory_rss_bytes", "rx_bytes"],
        horizons_s=(10,),
        training_ratio=0.5,
        controls=False,
        jobs=1,
    )
    assert [columns for columns, _ in seen] == [("memory_rss_bytes", "rx_bytes")]
    assert len(seen[0][1]) == 4
    assert CONTROL not in set(found["method"])
    assert about["services"] == ["mysql", "nginx"]


def stop(*_):
    raise KeyboardInterrupt


def test_ctrl_c_gets_out(samples):
    with pytest.raises(KeyboardInterrupt):
        evaluate(samples, horizons_s=(10,), folds=2, jobs=1, controls=False, progress=stop)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"service": "nginx"}, {}, "only one service, 'nginx'"),
        ({"service": np.nan}, {}, "no row has a service"),
        ({}, {"services": ["nginx", "apache"]}, "no samples of service 'apache'; there are etcd, mysql"),
        ({}, {"group": "rack"}, "no 'rack' to split by"),
        ({}, {"horizons_s": ()}, "no horizon"),
        ({}, {"columns": ["image_size_bytes"]}, "none of the wanted metric columns"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(samples, change, arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(samples.assign(**change), **arguments)


def test_containers_first_seen_late_are_left_out_or_refused(samples, caplog):
    late = samples["deployment"].isin(["nginx-3"])
    shifted = samples.assign(started_at=samples["started_at"].where(~late, samples["started_at"] - pd.Timedelta("1h")))
    assert len(read_dataset(shifted, until_s=10).containers) == 12
    assert "1 containers were not seen in the first 10 s" in caplog.text
    with pytest.raises(InputError, match="no container was seen in the first 10 s"):
        read_dataset(samples.assign(started_at=samples["started_at"] - pd.Timedelta("1h")), until_s=10)


def test_one_deployment_of_each_service_is_refused():
    few = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=10)
    with pytest.raises(InputError, match=r"no service has two values of 'deployment'.*record more"):
        evaluate(few)
