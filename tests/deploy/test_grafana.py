"""The dashboard asks for metrics that the watcher has, by labels that they have."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from podlab.watcher.runtime import Metrics
from tests.deploy.conftest import DEPLOY

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "podlab.json").read_text())


def _told() -> dict[str, set[str]]:
    """Return the labels of every sample of a watcher, by its name."""
    metrics = Metrics()
    metrics.decisions.labels("redis", "identified").inc()
    metrics.containers.labels("waiting").set(1)
    metrics.anomalies.labels("redis", "anomalous").inc()
    metrics.scored_containers.labels("watching").set(1)
    metrics.errors.labels("database").inc()
    metrics.model.labels("default@0123").set(1)
    metrics.count_watch_requests("list", 1)
    metrics.claims.labels("mismatch").set(1)
    metrics.mismatch.labels("shop", "Deployment/web", "main", "nginx").set(1)
    metrics.miner_like.labels("shop", "Deployment/web", "main").set(0.95)
    metrics.workloads.labels("agreeing").set(1)
    metrics.disagreeing_replicas.labels("shop", "Deployment/web", "main").set(1)
    metrics.identified_containers.labels("redis").set(1)
    samples = [each for family in text_string_to_metric_families(metrics.text().decode()) for each in family.samples]
    return {each.name: set(each.labels) for each in samples}


def test_every_metric_and_label_asked_for_is_told() -> None:
    told = _told()
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            asked = set(re.findall(r"\b(?:podlab|process)_\w+", target["expr"]))
            assert asked
            assert asked <= set(told), panel["title"]
            known = set().union(*(told[name] for name in asked)) | {"job", "instance"}
            grouped = re.findall(r"(?:by|on) \(([\w, ]+)\)", target["expr"])
            assert {label for labels in grouped for label in labels.split(", ")} <= known
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= known


@pytest.mark.parametrize(
    "metric",
    [
        "decisions_total", "containers", "announcements_waiting", "anomalies_total", "scored_containers", "claims",
        "claim_mismatch", "miner_like", "identified_containers", "workloads", "workload_disagreeing_replicas",
    ],
)  # fmt: skip
def test_what_every_replica_counts_is_counted_once(metric: str) -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    counting = [each for each in expressions if f"podlab_{metric}{{" in each]
    assert counting
    assert all('and on (instance) podlab_leader{job=~"$job"} == 1' in each for each in counting)


def test_panels_stand_side_by_side_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert len(panel["description"].split()) >= 2
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
