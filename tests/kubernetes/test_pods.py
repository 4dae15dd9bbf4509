"""Containers of every kind and state are told as they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from podlab.kubernetes.objects import Pod, WatchedContainer, watched
from tests.support.kubeobjects import make_pending_pod, make_pod

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def containers_of(pod: dict[str, Any]) -> tuple[WatchedContainer, ...]:
    return watched(msgspec.convert(pod, Pod)).containers


def test_a_running_container() -> None:
    pod = make_pod("web", namespace="shop", uid="u-1")
    assert containers_of(pod) == (
        WatchedContainer(
            namespace="shop", pod="web", pod_uid="u-1", container="main", node="node-1", started_at=START,
            kind="main", state="running", reason=None, workload="Pod/web", image="nginx:1.25",
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("owners", "workload"),
    [
        (None, "Pod/web-0"),
        ([{"kind": "StatefulSet", "name": "db", "controller": True}], "StatefulSet/db"),
        ([{"kind": "ReplicaSet", "name": "web-7d4b9c6f5d", "controller": True}], "Deployment/web"),
        ([{"kind": "ReplicaSet", "name": "by-hand", "controller": True}], "ReplicaSet/by-hand"),
        ([{"kind": "Job", "name": "backup-29123460", "controller": True}], "CronJob/backup"),
        ([{"kind": "Node", "name": "node-0", "controller": True}], "Pod/web-0"),
        ([{"kind": "Garage", "name": "x"}], "Pod/web-0"),
    ],
)
def test_a_pod_belongs_to_what_controls_it_in_the_end(owners: list[dict[str, Any]] | None, workload: str) -> None:
    pod = make_pod("web-0")
    if owners is not None:
        pod["metadata"]["ownerReferences"] = owners
    assert [each.workload for each in containers_of(pod)] == [workload]


def test_a_container_that_no_kubelet_has_told_of_waits() -> None:
    (container,) = containers_of(make_pending_pod("late"))
    assert (container.state, container.reason, container.started_at, container.node) == ("waiting", None, None, None)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, ("waiting", "CrashLoopBackOff", None)),
        ({"waiting": {}}, ("waiting", None, None)),
        ({}, ("waiting", None, None)),
        ({"running": {"startedAt": "2026-01-05T08:00:00Z"}}, ("running", None, START)),
        ({"running": {}}, ("running", None, None)),
        (
            {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-01-05T08:00:00Z"}},
            ("ended", "OOMKilled", START),
        ),
        ({"terminated": {"exitCode": 1, "startedAt": None}}, ("ended", None, None)),
    ],
)
def test_states(state: dict[str, Any], expected: tuple[str, str | None, datetime | None]) -> None:
    pod = make_pod("web")
    pod["status"]["containerStatuses"][0]["state"] = state
    (container,) = containers_of(pod)
    assert (container.state, container.reason, container.started_at) == expected


def test_an_evicted_pod_has_ended_although_its_containers_never_were() -> None:
    pod = make_pod("web")
    pod["status"] = {"phase": "Failed", "reason": "Evicted"}
    (container,) = containers_of(pod)
    assert (container.state, container.reason) == ("ended", "Evicted")


def test_init_containers_sidecars_and_ephemeral_ones_are_told_apart() -> None:
    pod = make_pod("web")
    running = pod["status"]["containerStatuses"][0]["state"]
    pod["spec"]["initContainers"] = [{"name": "setup"}, {"name": "proxy", "image": "envoy", "restartPolicy": "Always"}]
    pod["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox"}]
    pod["status"]["initContainerStatuses"] = [
        {"name": "proxy", "state": running},
        {"name": "setup", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
    ]
    pod["status"]["ephemeralContainerStatuses"] = [{"name": "debug", "state": {"waiting": {"reason": "Pulling"}}}]
    found = [(c.container, c.kind, c.state, c.reason) for c in containers_of(pod)]
    assert found == [
        ("setup", "init", "ended", "Completed"),
        ("proxy", "sidecar", "running", None),
        ("main", "main", "running", None),
        ("debug", "ephemeral", "waiting", "Pulling"),
    ]


def test_a_restarted_container_has_another_start() -> None:
    before, after = make_pod("web", uid="u"), make_pod("web", uid="u", started_at="2026-01-05T08:05:00.5Z")
    assert containers_of(after)[0].started_at == datetime(2026, 1, 5, 8, 5, 0, 500_000, tzinfo=UTC)
    assert watched(msgspec.convert(before, Pod)) != watched(msgspec.convert(after, Pod))
