from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab import Identifier
from podlab.evaluation.baselines import NEAREST, OneRule, simple_baselines
from podlab.evaluation.cross_validation import cross_validate
from podlab.evaluation.dataset import DEFAULT_FILTER, columns_of, read_dataset
from podlab.evaluation.leakage import draw_rows, encode_rows, kinds_of, predict_rows
from podlab.evaluation.metrics import score_predictions
from podlab.evaluation.splits import plan_splits
from tests.support.synthetic import draw_design, make_samples


@pytest.fixture(scope="module")
def telling_nothing() -> pd.DataFrame:
    """Metrics that are a constant of each deployment, drawn at random: a service has nothing of its own."""
    table = make_samples(("nginx", "mysql", "redis", "etcd"), deployments_per_service=6, seconds=60)
    names = table["deployment"].unique()
    level = pd.Series(np.random.default_rng(3).permutation(len(names)) * 1e6 + 1e6, index=names)
    kept = ["service", "deployment", "variant", "time", "started_at", "pod", "pod_uid", "cluster", "namespace", "node"]
    constant = table["deployment"].map(level)
    return table[[*kept, "container"]].assign(memory_rss_bytes=constant, image_size_bytes=5e7)


def accuracy(samples: pd.DataFrame, metric_filter: str, *, by_deployment: bool) -> float:
    dataset = read_dataset(samples)
    plan = plan_splits(dataset.containers)
    rows = predict_rows(dataset, plan, columns_of(metric_filter), by_deployment=by_deployment)
    assert rows["unit"].nunique() == 24
    return score_predictions(rows).accuracy.value


def test_random_rows_find_the_deployment_again_and_the_split_by_deployment_does_not(telling_nothing):
    assert accuracy(telling_nothing, DEFAULT_FILTER, by_deployment=False) > 0.95
    assert accuracy(telling_nothing, DEFAULT_FILTER, by_deployment=True) < 0.45


def test_the_image_size_names_the_service_even_across_deployments(telling_nothing):
    size = telling_nothing["service"].map({"nginx": 1e7, "mysql": 2e7, "redis": 3e7, "etcd": 4e7})
    assert accuracy(telling_nothing.assign(image_size_bytes=size), "all", by_deployment=True) > 0.95


def test_rows_are_encoded_as_numbers_with_names_as_codes():
    samples = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=5)
    samples.loc[0, "image"] = np.nan
    X = encode_rows(samples, ("image", "rx_bytes", "absent"))
    assert list(X) == ["image", "rx_bytes"]
    assert np.isnan(X.loc[0, "image"])
    assert len(X.loc[1:, "image"].unique()) == 2
    assert X["rx_bytes"].to_list() == samples["rx_bytes"].astype(float).to_list()


@pytest.mark.parametrize(("count", "share", "trained"), [(100, 0.1, 10), (2, 0.1, 1), (3, 0.99, 2)])
def test_drawn_rows_leave_one_on_each_side(count, share, trained):
    train, test = draw_rows(count, share, seed=0)
    assert train.size == trained
    assert sorted([*train, *test]) == [*range(count)]


def test_the_one_metric_rule_finds_the_metric_that_tells():
    rng = np.random.default_rng(0)
    y = np.array(["a", "b"] * 20)
    X = pd.DataFrame({"x.mean": rng.normal(size=40), "y.mean": np.where(y == "a", 1.0, 2.0), "z.mean": np.nan})
    rule = OneRule().fit(X, y)
    assert rule.metric_ == "y"
    assert (rule.classes_[rule.predict_proba(X).argmax(axis=1)] == y).all()


def test_the_nearest_neighbour_does_not_mind_scales_and_gaps():
    X = np.array([[1e9, 0.0], [1e9 + 1, 1.0], [np.nan, 1.0]])
    model = simple_baselines()[NEAREST].fit(X, ["a", "b", "b"])
    assert model.predict(np.array([[np.nan, 0.1], [1e9 + 1, np.nan]])).tolist() == ["a", "b"]


def test_a_model_never_saw_the_kind_that_is_left_out():
    """The configuration decides all metrics: with it left out nothing can be known, by deployment everything."""
    samples = make_samples(("nginx", "mysql", "redis", "etcd"), deployments_per_service=6, seconds=20, interval_s=2)
    kept = ["service", "deployment", "time", "started_at", "pod", "pod_uid", "cluster", "namespace", "node"]
    number = samples["deployment"].str.extract(r"(\d+)$")[0].astype(int) % 2
    service = samples["service"].map({"nginx": 0, "mysql": 1, "redis": 2, "etcd": 3})
    level = 1e6 * 4.0 ** ((service * 2 + number * 3) % 8)
    table = samples[[*kept, "container"]].assign(memory_rss_bytes=level, variant="idle/" + number.astype(str))
    right = {}
    for group in ("deployment", "configuration"):
        found = cross_validate(table, group, [10.0], Identifier(horizons_s=(10.0,)), jobs=1)
        right[group] = score_predictions(found, "best_guess").macro_f1.value
    assert right["deployment"] > 0.95
    assert right["configuration"] < 0.5


def test_a_profile_stands_for_the_configuration_where_there_are_any_and_sites_are_left_out_last():
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=12)
    old = read_dataset(samples.assign(variant="idle/" + samples["deployment"].str[-1])).containers
    assert kinds_of(old) == ("configuration",)
    new, _ = draw_design(samples, sites=("alpha", "bravo"), seed=1)
    assert kinds_of(read_dataset(new).containers) == ("load", "profile", "site")
