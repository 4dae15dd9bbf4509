"""Replicas of one workload are judged together, and those that are something else are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import podlab
from podlab.identify import Prediction
from podlab.identify.workload import (
    WorkloadPrediction,
    effective_replicas,
    group_by_workload,
    judge_workloads,
    pool_replicas,
)
from tests.support.models import small_identifier
from tests.support.synthetic import make_samples

SERVICES = ("mysql", "nginx", "redis")


def prediction(pod: str, service: str | None = "redis", confidence: float = 0.8, novelty: float = 0.5) -> Prediction:
    best = service or "redis"
    others = (1 - confidence) / 2
    candidates = {best: confidence} | {name: others for name in SERVICES if name != best}
    return Prediction(
        cluster="local", namespace="shop", pod=pod, pod_uid=f"{pod}-uid", container="main", seconds_observed=60.0,
        service=service, confidence=confidence, candidates=candidates, similar=(), known=service is not None,
        novelty=novelty if service else 0.999, model="m@1",
    )  # fmt: skip


def judge(*predictions: Prediction, owners: pd.DataFrame | None = None) -> list[WorkloadPrediction]:
    return judge_workloads(group_by_workload(predictions, owners), SERVICES)


def test_replicas_that_agree_are_surer_together_and_one_that_does_not_is_named() -> None:
    [of_one] = judge(prediction("web-0"))
    assert (of_one.service, of_one.confidence, of_one.disagreeing) == ("redis", 0.8, ())
    [of_three] = judge(*(prediction(f"web-{number}") for number in range(3)))
    assert of_three.confidence > of_one.confidence
    [mixed] = judge(prediction("web-0"), prediction("web-1"), prediction("web-2", "nginx"))
    assert (mixed.workload, mixed.service, mixed.replicas) == ("StatefulSet/web", "redis", 3)
    assert mixed.confidence < of_three.confidence
    assert [each.pod for each in mixed.disagreeing] == ["web-2"]
    assert mixed.to_json()["disagreeing"] == [
        {"pod": "web-2", "pod_uid": "web-2-uid", "service": "nginx", "confidence": 0.8}
    ]


def test_a_workload_is_unknown_where_most_replicas_are_and_says_nothing_of_those_without_metrics() -> None:
    unknown = [prediction(f"web-{number}", None) for number in range(2)]
    [found] = judge(*unknown, prediction("web-2"))
    assert (found.service, found.known) == (None, False)
    assert [each.pod for each in found.disagreeing] == ["web-2"]
    silent = replace(prediction("web-3", None), candidates={})
    [found] = judge(prediction("web-0"), silent)
    assert (found.service, found.replicas, found.unseen, found.disagreeing) == ("redis", 1, 1, ())
    [found] = judge(silent)
    assert (found.service, found.confidence, found.replicas, found.novelty) == (None, 0.0, 0, 1.0)


def test_what_the_api_says_of_owners_goes_before_names() -> None:
    pods = ("a-7d4b9c6f5d-x2kzq", "a-7d4b9c6f5d-bbbbb", "b-0", "b-1")
    assert [found.workload for found in judge(*map(prediction, pods))] == ["Deployment/a", "StatefulSet/b"]
    owners = pd.DataFrame(
        {
            "namespace": "shop",
            "pod": pods,
            "owner_kind": ["ReplicaSet", "ReplicaSet", None, None],
            "owner_name": ["renamed-7d4b9c6f5d", "renamed-7d4b9c6f5d", None, None],
        }
    )
    found = judge(*map(prediction, pods), owners=owners)
    assert [each.workload for each in found] == ["Deployment/renamed", "Pod/b-0", "Pod/b-1"]


@given(
    st.lists(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda p: sum(p) > 0.1), min_size=2),
    st.floats(0.0, 1.0),
)
def test_pooling_does_not_depend_on_the_order_and_gives_probabilities(given_: list[list[float]], rho: float) -> None:
    probability = np.array(given_) / np.sum(given_, axis=1, keepdims=True)
    pooled = pool_replicas(probability, rho)
    assert pooled.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(pooled, pool_replicas(probability[::-1], rho))
    assert 1.0 <= effective_replicas(len(given_), rho) <= len(given_)


def test_a_table_in_gives_a_table() -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=15, seed=3)
    names = {pod: f"{service}-{n}" for n, (pod, service) in
             enumerate(samples[["pod", "service"]].drop_duplicates().itertuples(index=False))}  # fmt: skip
    table = podlab.identify_workloads(samples.assign(pod=samples["pod"].map(names)), small_identifier())
    table = table.sort_values("workload", ignore_index=True)
    assert table["workload"].tolist() == ["StatefulSet/nginx", "StatefulSet/redis"]
    assert table["service"].tolist() == ["nginx", "redis"]
    assert table["replicas"].tolist() == [2, 2]
    np.testing.assert_allclose(table.filter(like="p_").sum(axis=1), 1.0)
