from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab import Identifier
from podlab.errors import InputError
from podlab.evaluation.baselines import NEAREST, OneRule, simple_baselines
from podlab.evaluation.cross_validation import cross_validate
from podlab.evaluation.dataset import read_dataset
from podlab.evaluation.leakage import draw_rows, encode_rows, kinds_of, leak_table, row_curve
from podlab.evaluation.splits import Plan, Split, plan_splits, thin_training
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


def test_random_rows_find_the_deployment_again_and_the_split_by_deployment_does_not(telling_nothing):
    table = leak_table(telling_nothing).set_index("protocol")
    assert table.loc["random rows, no image size", "accuracy"] > 0.95
    assert table.loc["by deployment, no image size", "accuracy"] < 0.45
    assert table.loc["by deployment, no image size", "accuracy_low"] <= table["chance"].iloc[0] + 0.1
    assert (table["n_deployments"] == 24).all()


def test_the_row_curve_rises_on_the_same_deployments_only(telling_nothing):
    curve = row_curve(telling_nothing, most=120, iterations=2, metric_filter="memory_rss_bytes")
    assert curve["rows"].max() == 120
    late = curve[curve["rows"] > 100].groupby("split")["accuracy"].mean()
    early = curve[curve["rows"] <= 5].groupby("split")["accuracy"].mean()
    assert late["same deployments"] > 0.9 > 0.5 > early["same deployments"]
    assert late["other deployments"] < 0.5


def test_the_image_size_names_the_service_even_across_deployments(telling_nothing):
    size = telling_nothing["service"].map({"nginx": 1e7, "mysql": 2e7, "redis": 3e7, "etcd": 4e7})
    table = leak_table(telling_nothing.assign(image_size_bytes=size)).set_index("protocol")
    assert table.loc["by deployment, all columns", "accuracy"] > 0.95
    assert table.loc["by deployment, no image size", "accuracy"] < 0.45


def test_rows_are_encoded_as_numbers_with_names_as_codes():
    samples = make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=5)
    samples.loc[0, "image"] = np.nan
    X, names = encode_rows(samples, ("image", "rx_bytes", "absent"))
    assert names == ("image", "rx_bytes")
    assert np.isnan(X[0, 0])
    assert len(np.unique(X[1:, 0])) == 2
    assert X[:, 1].tolist() == samples["rx_bytes"].astype(float).to_list()


@pytest.mark.parametrize(("count", "share", "trained"), [(100, 0.1, 10), (2, 0.1, 1), (3, 0.99, 2)])
def test_drawn_rows_leave_one_on_each_side(count, share, trained):
    train, test = draw_rows(count, share, seed=0)
    assert train.size == trained
    assert sorted([*train, *test]) == [*range(count)]


def test_a_point_of_the_learning_curve_trains_on_that_many_deployments_and_tests_all():
    samples = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=4, interval_s=2)
    containers = read_dataset(samples).containers
    plan = plan_splits(containers, folds=2)
    for size in (1, 2):
        splits = thin_training(plan, size)
        assert splits is not None
        for split in splits:
            train, test = containers.iloc[split.train], containers.iloc[split.test]
            assert not set(train["deployment"]) & set(test["deployment"])
            assert train.groupby("service")["deployment"].nunique().to_list() == [size] * 3
        assert sorted(row for split in splits for row in split.test) == list(range(12))
    assert thin_training(plan, 3) is None, "no fold trains on three of a service"
    with pytest.raises(InputError, match="sizes of 1 and more"):
        thin_training(plan, 0)


def test_fewer_deployments_of_a_learning_curve_are_among_more():
    services = np.repeat(np.array(["a", "b"], dtype=object), 10)
    units = np.array([f"{service}{number // 2}" for number, service in enumerate(services)], dtype=object)
    plan = Plan((Split(np.arange(20), np.arange(0)),), services, units, (), {})
    [few], [more] = (thin_training(plan, count) for count in (2, 4))
    assert set(few.train) < set(more.train)
    assert few.train.size == 2 * 2 * 2


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


def podlab_after_10_s(samples: pd.DataFrame, folds: int) -> pd.DataFrame:
    plan = plan_splits(read_dataset(samples).containers, folds=folds)
    return cross_validate(samples, plan, [10.0], Identifier(horizons_s=(10.0,)), jobs=1)


def test_whole_kinds_left_out_are_protocols_of_podlab():
    samples = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=20, interval_s=2)
    late = samples["deployment"].str.extract(r"(\d+)$")[0].astype(int) % 2
    # Redis has one variant only: it is trained on and may be answered, but is never left out.
    variant = late.map({0: "idle/small", 1: "steady/large"}).where(samples["service"] != "redis", "idle/small")
    samples = samples.assign(variant=variant, version="1")
    table = leak_table(samples, predictions=podlab_after_10_s(samples, 2), folds=2, jobs=1)
    rungs = table[table["learner"] == "podlab"].set_index("protocol")
    load, configuration = (f"{kind} left out, podlab after 10 s" for kind in ("load pattern", "configuration"))
    assert rungs.index.to_list() == ["by deployment, podlab after 10 s", load, configuration]
    assert rungs["n_deployments"].to_list() == [12, 8, 8]
    assert (rungs["best_guess"] >= rungs["macro_f1"]).all()
    assert rungs.loc[configuration, "trained_on"] == "each configuration left out in turn"


def test_a_rung_left_out_never_saw_what_it_is_asked_for():
    """The configuration decides all metrics: with it left out nothing can be known, by deployment everything."""
    samples = make_samples(("nginx", "mysql", "redis", "etcd"), deployments_per_service=6, seconds=20, interval_s=2)
    kept = ["service", "deployment", "time", "started_at", "pod", "pod_uid", "cluster", "namespace", "node"]
    number = samples["deployment"].str.extract(r"(\d+)$")[0].astype(int) % 2
    service = samples["service"].map({"nginx": 0, "mysql": 1, "redis": 2, "etcd": 3})
    level = 1e6 * 4.0 ** ((service * 2 + number * 3) % 8)
    table = samples[[*kept, "container"]].assign(memory_rss_bytes=level, variant="idle/" + number.astype(str))
    rungs = leak_table(table, predictions=podlab_after_10_s(table, 3), folds=3, jobs=1).set_index("protocol")
    assert rungs.loc["by deployment, podlab after 10 s", "best_guess"] > 0.95
    assert rungs.loc["configuration left out, podlab after 10 s", "best_guess"] < 0.5


def test_a_profile_stands_for_the_configuration_where_there_are_any_and_sites_are_left_out_last():
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=12)
    old = read_dataset(samples.assign(variant="idle/" + samples["deployment"].str[-1])).containers
    assert kinds_of(old) == ("configuration",)
    new, _ = draw_design(samples, sites=("alpha", "bravo"), seed=1)
    assert kinds_of(read_dataset(new).containers) == ("load", "profile", "site")
