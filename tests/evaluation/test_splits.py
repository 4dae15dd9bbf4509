from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.evaluation.dataset import thin_deployments
from podlab.evaluation.splits import plan_splits


def containers_of(deployments: dict[str, int], *, per_deployment: int = 1, **labels: object) -> pd.DataFrame:
    rows = [
        {"service": service, "deployment": f"{service}-{number}", "pod": f"p{number}"}
        for service, count in deployments.items()
        for number in range(count)
        for _ in range(per_deployment)
    ]
    return pd.DataFrame(rows).assign(**labels)


# Deployments may hold containers of several services, as pods with sidecars do.
any_containers = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.sampled_from(["c1", "c2", "c3"])), min_size=2, max_size=50
).map(
    lambda rows: pd.DataFrame(rows, columns=["service", "number", "cluster"]).assign(
        deployment=lambda frame: "d" + frame["number"].astype(str), pod="p"
    )
)


@given(any_containers, st.sampled_from(["deployment", "cluster"]), st.integers(2, 6), st.integers(0, 5))
@settings(max_examples=150)
def test_no_group_and_no_deployment_stands_on_both_sides(containers, group, folds, seed):
    try:
        plan = plan_splits(containers, group=group, folds=folds, iterations=2, seed=seed)
    except InputError:
        return
    for split in plan.splits:
        for column in (group, "deployment"):
            assert not set(containers[column].iloc[split.train]) & set(containers[column].iloc[split.test])
        assert set(plan.services[split.test]) <= set(plan.services[split.train])


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=2),
    st.integers(2, 6),
    st.integers(1, 3),
    st.integers(0, 5),
)
@settings(max_examples=150)
def test_every_deployment_is_tested_once_an_iteration_unless_it_is_its_services_only_one(
    deployments, folds, iterations, seed
):
    containers = containers_of(deployments, per_deployment=2)
    if max(deployments.values()) == 1:
        with pytest.raises(InputError, match="no service has two"):
            plan_splits(containers, folds=folds)
        return
    plan = plan_splits(containers, folds=folds, iterations=iterations, seed=seed)
    times = np.bincount(np.concatenate([split.test for split in plan.splits]), minlength=len(containers))
    repeated = containers["service"].map(deployments).to_numpy() > 1
    assert (times[repeated] == iterations).all()
    assert (times[~repeated] == 0).all()
    assert set(plan.untested) == {service for service, count in deployments.items() if count == 1}
    for split in plan.splits:
        assert set(plan.services[split.train]) == set(deployments)  # the lone ones are trained on all the same


def test_folds_hold_each_service_as_evenly_as_can_be():
    plan = plan_splits(containers_of({"a": 10, "b": 7, "c": 3}), folds=5)
    for service, least, most in (("a", 2, 2), ("b", 1, 2), ("c", 0, 1)):
        counts = [int((plan.services[split.test] == service).sum()) for split in plan.splits]
        assert min(counts) == least
        assert max(counts) == most


def test_the_seed_decides_and_iterations_differ():
    containers = containers_of({"a": 8, "b": 8})
    one, again, other = (plan_splits(containers, iterations=2, seed=seed) for seed in (1, 1, 2))

    def tests(plan):
        return [split.test.tolist() for split in plan.splits]

    assert tests(one) == tests(again) != tests(other)
    assert tests(one)[:5] != tests(one)[5:]


@pytest.mark.parametrize(("ratio", "trained"), [(0.1, 1), (0.5, 4), (0.99, 7)])
def test_a_training_ratio_counts_deployments_and_leaves_one_on_each_side(ratio, trained):
    plan = plan_splits(containers_of({"a": 8, "b": 8, "lone": 1}), training_ratio=ratio, iterations=3)
    assert len(plan.splits) == 3
    for split in plan.splits:
        assert (plan.services[split.train] == "a").sum() == trained
        assert (plan.services[split.test] == "a").sum() == 8 - trained
        assert "lone" in plan.services[split.train]
    assert plan.untested == ("lone",)


def test_versions_are_left_out_one_by_one_though_services_share_their_words():
    containers = containers_of({"a": 6, "b": 6, "c": 2})
    containers["version"] = list("11223311122211")
    plan = plan_splits(containers, group="version")
    keys = (containers["service"] + containers["version"]).to_numpy()
    for split in plan.splits:
        assert not set(keys[split.train]) & set(keys[split.test])
        for service in "abc":
            assert len({key for key in keys[split.test] if key.startswith(service)}) <= 1
    assert plan.untested == ("c",)


def test_a_load_is_left_out_for_all_services_and_not_repeated():
    containers = containers_of({"a": 4, "b": 4})
    containers["load"] = ["idle", "steady"] * 4
    plan = plan_splits(containers, group="load", iterations=5)
    assert [set(containers["load"].iloc[split.test]) for split in plan.splits] == [{"idle"}, {"steady"}]


def test_a_service_that_only_one_cluster_has_is_untested():
    containers = containers_of({"a": 4, "b": 4, "c": 2})
    containers["cluster"] = ["x", "y"] * 4 + ["x", "x"]
    assert plan_splits(containers, group="cluster").untested == ("c",)


@pytest.mark.parametrize(
    ("containers", "arguments", "message"),
    [
        (containers_of({"a": 5}), {}, "only one service, 'a'"),
        (containers_of({"a": 1, "b": 1}), {}, "no service has two values of 'deployment'"),
        (containers_of({"a": 3, "b": 3}), {"group": "rack"}, "no 'rack' to split by; .*--group: deployment"),
        (containers_of({"a": 3, "b": 3}).drop(columns="deployment"), {}, "no 'deployment'"),
        (containers_of({"a": 3, "b": 3}, deployment=None), {}, "no 'deployment'"),
        (containers_of({"a": 2, "b": 2}, deployment=["1", "2", "3", None]), {}, "1 labelled containers have no"),
        (containers_of({"a": 3, "b": 3}), {"folds": 1}, "1 folds"),
        (containers_of({"a": 3, "b": 3}), {"training_ratio": 1.5}, "not between 0 and 1"),
        (containers_of({"a": 3, "b": 3}, load="x"), {"group": "load", "training_ratio": 0.5}, "one service each"),
        (containers_of({"a": 3, "b": 3}, cluster="x"), {"group": "cluster"}, "no service has two values of 'cluster'"),
    ],
)
def test_what_cannot_be_split_is_refused_in_one_line(containers, arguments, message):
    with pytest.raises(InputError, match=message) as refused:
        plan_splits(containers, **arguments)
    assert "\n" not in str(refused.value)


def test_a_site_is_left_out_of_all_services_and_a_profile_of_one():
    containers = containers_of({"a": 4, "b": 4}).assign(site=["x", "x", "y", "y"] * 2, profile=["p", "q"] * 4)
    by_site = plan_splits(containers, group="site")
    assert [set(containers["site"].iloc[split.test]) for split in by_site.splits] == [{"x"}, {"y"}]
    for split in plan_splits(containers, group="profile", folds=2).splits:
        tested = set(zip(containers["service"].iloc[split.test], containers["profile"].iloc[split.test], strict=True))
        trained = set(
            zip(containers["service"].iloc[split.train], containers["profile"].iloc[split.train], strict=True)
        )
        assert not tested & trained
        assert len(tested) == 2


def test_a_knob_is_left_out_by_value_where_a_service_has_it():
    containers = containers_of({"a": 6, "b": 6, "c": 3})
    containers["knob:workers"] = [*"112233", *"112211", None, None, None]
    plan = plan_splits(containers, group="knob:workers")
    values = (containers["service"] + containers["knob:workers"].fillna("")).to_numpy()
    for split in plan.splits:
        assert not set(values[split.train]) & set(values[split.test])
        assert (plan.services[split.train] == "c").sum() == 3
        for service in "ab":
            assert len({value for value in values[split.test] if value.startswith(service)}) <= 1
    tested = np.concatenate([split.test for split in plan.splits])
    assert sorted(tested) == list(range(12))
    assert plan.untested == ("c",)
    assert plan.description["kind"] == "each knob:workers left out in turn"


def test_a_drawn_word_that_all_services_share_is_left_out_of_all():
    containers = containers_of({"a": 4, "b": 4}).assign(launcher=["direct", "init"] * 4)
    plan = plan_splits(containers, group="launcher")
    assert [set(containers["launcher"].iloc[split.test]) for split in plan.splits] == [{"direct"}, {"init"}]


def test_some_deployments_of_each_service_are_kept_whatever_the_order_of_rows():
    samples = containers_of({"a": 6, "b": 2}, per_deployment=3)
    kept = thin_deployments(samples, 3, seed=1)
    assert kept.groupby("service")["deployment"].nunique().to_dict() == {"a": 3, "b": 2}
    assert (kept["deployment"].value_counts() == 3).all()
    assert set(thin_deployments(samples.iloc[::-1], 3, seed=1)["deployment"]) == set(kept["deployment"])
    assert thin_deployments(samples, 0) is samples


def test_sites_take_turns_when_deployments_are_drawn() -> None:
    names = [f"{service}-{number}" for service in ("nginx", "redis") for number in range(12)]
    table = pd.DataFrame({"deployment": names, "service": [name.partition("-")[0] for name in names]})
    # Ten of each service at one site, one each at two others.
    table["site"] = ["alpha"] * 10 + ["bravo", "charlie"] + ["bravo"] * 10 + ["alpha", "charlie"]
    for seed in range(5):
        kept = thin_deployments(table, 4, seed=seed)
        assert kept.groupby("service")["site"].value_counts().to_dict() == {
            ("nginx", "alpha"): 2, ("nginx", "bravo"): 1, ("nginx", "charlie"): 1,
            ("redis", "bravo"): 2, ("redis", "alpha"): 1, ("redis", "charlie"): 1,
        }  # fmt: skip
