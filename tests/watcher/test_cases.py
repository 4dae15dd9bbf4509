"""Who is met and who is gone, from what a watch tells of pods."""

from __future__ import annotations

from datetime import timedelta

from podlab.kubernetes.objects import Change, WatchedPod
from podlab.watcher.cases import Roster
from tests.support.synthetic import EPOCH
from tests.support.watching import make_watched

START = EPOCH.to_pydatetime()


def take(roster: Roster, *pods: WatchedPod, kind: str = "changed") -> tuple[list[str], list[str]]:
    roster.put([Change(kind, pod) for pod in pods])  # type: ignore[arg-type]
    met, left = roster.take(0.0)
    return [case.container.pod_uid for case in met], [case.container.pod_uid for case in left]


def test_a_running_container_is_met_once() -> None:
    roster = Roster()
    assert take(roster, make_watched("web", "1", START)) == (["1"], [])
    assert take(roster, make_watched("web", "1", START)) == ([], [])
    assert take(roster) == ([], [])


def test_a_pod_that_is_gone_takes_its_containers_along() -> None:
    roster = Roster()
    take(roster, make_watched("web", "1", START))
    assert take(roster, make_watched("web", "1", START), kind="gone") == ([], ["1"])
    assert roster.cases() == []


def test_one_name_with_another_uid_is_another_pod() -> None:
    roster = Roster()
    take(roster, make_watched("web", "1", START))
    roster.put([Change("gone", make_watched("web", "1", START)), Change("added", make_watched("web", "2", START))])
    met, left = roster.take(0.0)
    assert [case.container.pod_uid for case in (*met, *left)] == ["2", "1"]


def test_a_restarted_container_is_a_new_one() -> None:
    roster = Roster()
    take(roster, make_watched("web", "1", START))
    assert take(roster, make_watched("web", "1", START + timedelta(seconds=60))) == (["1"], ["1"])


def test_who_waits_for_its_start_is_listed_with_the_reason_and_met_when_it_runs() -> None:
    roster = Roster()
    assert take(roster, make_watched("web", "1", None, state="waiting", reason="CrashLoopBackOff")) == ([], [])
    assert [container.reason for container in roster.not_started()] == ["CrashLoopBackOff"]
    assert take(roster, make_watched("web", "1", START)) == (["1"], [])
    assert roster.not_started() == []


def test_init_and_ephemeral_containers_and_those_that_ended_before_are_nobodys_business() -> None:
    roster = Roster()
    for kind in ("init", "ephemeral"):
        assert take(roster, make_watched(kind, kind, START, kind=kind)) == ([], [])
    assert take(roster, make_watched("job", "3", START, state="ended")) == ([], [])
    assert take(roster, make_watched("proxy", "4", START, kind="sidecar")) == (["4"], [])


def test_a_container_that_ends_stays_until_its_pod_is_gone() -> None:
    roster = Roster()
    take(roster, make_watched("job", "1", START))
    assert take(roster, make_watched("job", "1", START, state="ended")) == ([], [])
    assert [case.container.state for case in roster.cases()] == ["ended"]


def test_a_thousand_changes_of_one_pod_take_the_room_of_one() -> None:
    roster = Roster()
    for number in range(1000):
        roster.put([Change("changed", make_watched("web", "1", START + timedelta(seconds=number)))])
    met, left = roster.take(0.0)
    assert (len(met), len(left)) == (1, 0)
