"""Who announces: one watcher at a time, whatever their clocks say, and another soon after the first is gone."""

from __future__ import annotations

import threading

import pytest

from podlab.errors import InputError, PodlabError
from podlab.kubernetes.client import ApiConnection
from podlab.watcher.leader import LeaderElection
from podlab.watcher.runtime import Clock
from tests.support.kubeapi import Fault, KubeApi
from tests.support.watch_process import LEASE
from tests.support.watching import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_767_600_000.0)


class Health:
    well = True


def make(connection: ApiConnection, clock: ManualClock, identity: str, *, ahead_s: float = 0.0) -> LeaderElection:
    own = Clock(now=lambda: clock.at_s + ahead_s, steady=lambda: clock.at_s)
    return LeaderElection(connection, LEASE, identity, healthy=lambda: Health.well, clock=own)


def holder(api: KubeApi) -> str:
    return str(api.store.get("leases", "podlab-watcher", "podlab")["spec"]["holderIdentity"])


def test_the_first_takes_it_and_keeps_it(
    watch_api: KubeApi, watch_connection: ApiConnection, clock: ManualClock
) -> None:
    first, second = make(watch_connection, clock, "first"), make(watch_connection, clock, "second", ahead_s=3600.0)
    for _ in range(30):
        first.attempt()
        second.attempt()
        assert (first.leading, second.leading) == (True, False)
        assert second.leader_alive_s == clock.at_s
        clock.at_s += 2.0
    spec = watch_api.store.get("leases", "podlab-watcher", "podlab")["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("first", 0)


def test_when_the_first_is_gone_the_second_takes_it_and_never_are_there_two(
    watch_api: KubeApi, watch_connection: ApiConnection, clock: ManualClock
) -> None:
    first, second = make(watch_connection, clock, "first", ahead_s=-3600.0), make(watch_connection, clock, "second")
    first.attempt()
    second.attempt()
    gone_s = clock.at_s
    while not second.leading:
        clock.at_s += 1.0
        second.attempt()
        assert not (first.leading and second.leading)
    assert 15.0 < clock.at_s - gone_s <= 17.0
    assert second.leader_alive_s == gone_s
    first.attempt()
    assert not first.leading
    assert holder(watch_api) == "second"


def test_who_gives_it_up_need_not_be_waited_for(watch_connection: ApiConnection, clock: ManualClock) -> None:
    first, second = make(watch_connection, clock, "first"), make(watch_connection, clock, "second")
    first.attempt()
    first.release()
    assert not first.leading
    second.attempt()
    assert second.leading


def test_who_is_cut_off_stops_before_another_may_begin(
    watch_api: KubeApi, watch_connection: ApiConnection, clock: ManualClock
) -> None:
    first = make(watch_connection, clock, "first")
    first.attempt()
    clock.at_s += 9.0
    watch_api.faults.append(Fault(500, b"{}"))
    with pytest.raises(PodlabError):
        first.attempt()
    assert first.leading
    clock.at_s += 1.0
    assert not first.leading


def test_who_does_no_rounds_lets_it_go(
    watch_connection: ApiConnection, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make(watch_connection, clock, "first"), make(watch_connection, clock, "second")
    first.attempt()
    monkeypatch.setattr(Health, "well", False)
    for _ in range(8):
        clock.at_s += 2.0
        first.attempt()
    assert not first.leading
    monkeypatch.setattr(Health, "well", True)
    second.attempt()
    clock.at_s += 16.0
    second.attempt()
    assert second.leading


def test_two_that_ask_at_once_are_not_both_told_yes(
    watch_api: KubeApi, watch_connection: ApiConnection, clock: ManualClock
) -> None:
    first, second = make(watch_connection, clock, "first"), make(watch_connection, clock, "second")

    def before_answer(request: object) -> None:
        if getattr(request, "verb", "") == "create":
            watch_api.before_answer = None
            second.attempt()

    watch_api.before_answer = before_answer
    first.attempt()
    assert (first.leading, second.leading) == (False, True)


def test_what_others_wrote_into_it_stays(
    watch_api: KubeApi, watch_connection: ApiConnection, clock: ManualClock
) -> None:
    watch_api.store.put(
        "leases",
        {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "podlab-watcher", "namespace": "podlab", "labels": {"team": "a"}},
        },
    )  # fmt: skip
    first = make(watch_connection, clock, "first")
    first.attempt()
    assert first.leading
    assert watch_api.store.get("leases", "podlab-watcher", "podlab")["metadata"]["labels"] == {"team": "a"}


@pytest.mark.parametrize("place", ["podlab", "/name", "namespace/", "a/b/c"])
def test_no_place_is_refused(watch_connection: ApiConnection, clock: ManualClock, place: str) -> None:
    with pytest.raises(InputError, match="write namespace/name"):
        LeaderElection(watch_connection, place, "first", healthy=lambda: True, clock=clock.as_clock())


@pytest.mark.parametrize(
    "body", [b"[]", b'{"spec": 7}', b'{"metadata": null, "spec": {"holderIdentity": "x"}}', b"<html>Log in</html>"]
)
def test_an_answer_that_makes_no_sense_does_not_end_the_election(
    watch_api: KubeApi, watch_connection: ApiConnection, clock: ManualClock, body: bytes
) -> None:
    watch_api.faults.append(Fault(200, body))
    lease, stop = make(watch_connection, clock, "first"), threading.Event()
    pauses = iter([False, True])
    lease.run(stop, lambda event, _: next(pauses) and event.set())
    assert lease.leading
