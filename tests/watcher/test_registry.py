"""Who is met and who is gone, from what a watch tells of pods."""

from __future__ import annotations

from datetime import timedelta

from msgspec import structs

from podlab.kubernetes.objects import Change, WatchedPod
from podlab.watcher.containers import ContainerRegistry
from tests.support.synthetic import EPOCH
from tests.support.watching import make_watched

START = EPOCH.to_pydatetime()


def take(registry: ContainerRegistry, *pods: WatchedPod, kind: str = "changed") -> tuple[list[str], list[str]]:
    registry.put([Change(kind, pod) for pod in pods])  # type: ignore[arg-type]
    met, left, _ = registry.update(0.0)
    return [tracked.view.pod_uid for tracked in met], [tracked.view.pod_uid for tracked in left]


def test_a_running_container_is_met_once() -> None:
    registry = ContainerRegistry()
    assert take(registry, make_watched("web", "1", START)) == (["1"], [])
    assert take(registry, make_watched("web", "1", START)) == ([], [])
    assert take(registry) == ([], [])


def test_a_pod_that_is_gone_takes_its_containers_along() -> None:
    registry = ContainerRegistry()
    take(registry, make_watched("web", "1", START))
    assert take(registry, make_watched("web", "1", START), kind="gone") == ([], ["1"])
    assert registry.containers() == []


def test_one_name_with_another_uid_is_another_pod() -> None:
    registry = ContainerRegistry()
    take(registry, make_watched("web", "1", START))
    registry.put([Change("gone", make_watched("web", "1", START)), Change("added", make_watched("web", "2", START))])
    met, left, _ = registry.update(0.0)
    assert [tracked.view.pod_uid for tracked in (*met, *left)] == ["2", "1"]


def test_a_restarted_container_is_a_new_one() -> None:
    registry = ContainerRegistry()
    take(registry, make_watched("web", "1", START))
    assert take(registry, make_watched("web", "1", START + timedelta(seconds=60))) == (["1"], ["1"])


def test_who_waits_for_its_start_is_listed_with_the_reason_and_met_when_it_runs() -> None:
    registry = ContainerRegistry()
    assert take(registry, make_watched("web", "1", None, state="waiting", reason="CrashLoopBackOff")) == ([], [])
    assert [container.reason for container in registry.not_started()] == ["CrashLoopBackOff"]
    assert take(registry, make_watched("web", "1", START)) == (["1"], [])
    assert registry.not_started() == []


def test_init_and_ephemeral_containers_and_those_that_ended_before_are_nobodys_business() -> None:
    registry = ContainerRegistry()
    for kind in ("init", "ephemeral"):
        assert take(registry, make_watched(kind, kind, START, kind=kind)) == ([], [])
    assert take(registry, make_watched("job", "3", START, state="ended")) == ([], [])
    assert take(registry, make_watched("proxy", "4", START, kind="sidecar")) == (["4"], [])


def test_a_container_that_ends_stays_until_its_pod_is_gone() -> None:
    registry = ContainerRegistry()
    take(registry, make_watched("job", "1", START))
    assert take(registry, make_watched("job", "1", START, state="ended")) == ([], [])
    assert [tracked.view.state for tracked in registry.containers()] == ["ended"]


def test_a_thousand_changes_of_one_pod_take_the_room_of_one() -> None:
    registry = ContainerRegistry()
    for number in range(1000):
        registry.put([Change("changed", make_watched("web", "1", START + timedelta(seconds=number)))])
    met, left, _ = registry.update(0.0)
    assert (len(met), len(left)) == (1, 0)


def test_who_belongs_to_another_workload_or_claims_something_else_is_told_with_what_it_is_now() -> None:
    registry = ContainerRegistry()
    take(registry, make_watched("web", "1", START))
    changed = make_watched("web", "1", START)
    changed = structs.replace(changed, containers=(structs.replace(changed.containers[0], app="redis"),))
    registry.put([Change("changed", changed)])
    met, left, [(tracked, view)] = registry.update(0.0)
    assert (met, left, tracked.view.app, view.app) == ([], [], "", "redis")
