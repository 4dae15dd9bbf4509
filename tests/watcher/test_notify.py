"""Each announcement reaches every sink once, whatever a sink does meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

import pytest

from podlab.errors import PodlabError
from podlab.identify.early import Reason
from podlab.watcher.containers import DecisionRecord, TrackedContainer
from podlab.watcher.notify import Announcement, Notifier, StateStore, announce_decision
from tests.support.synthetic import EPOCH
from tests.support.watching import RecordingSink, make_watched

START = EPOCH.to_pydatetime()
FAULT = PodlabError("out of order", where="the sink")


@dataclass
class Desk:
    """An notifier, its clock, and what it recorded and complained of."""

    events: RecordingSink = field(default_factory=lambda: RecordingSink("event"))
    log: RecordingSink = field(default_factory=lambda: RecordingSink("log", repeatable=False))
    at_s: float = 0.0
    store: StateStore = field(default_factory=lambda: StateStore(None))
    complaints: list[str] = field(default_factory=list)
    per_s: float = inf

    def __post_init__(self) -> None:
        self.notifier = Notifier(
            [self.events, self.log],
            self.store,
            failed=lambda name, error: self.complaints.append(f"{name}: {error}"),
            steady=lambda: self.at_s,
            per_s=self.per_s,
        )

    def put(self, pod: str, service: str | None = "redis", revisions: int = 0, start: datetime = START) -> None:
        tracked = TrackedContainer(make_watched(pod, f"{pod}-uid", start).containers[0], start, 1, 0.0, 0.0)
        reason: Reason = "confident" if service else "unseen"
        decision = DecisionRecord(tracked.key, service, reason, revisions, 1e9, 20.0)
        self.notifier.put(announce_decision(tracked, decision, cluster="local", decided_s=self.at_s))

    def recorded(self, pod: str) -> bool:
        return self.store.get(f"{pod}-uid/main/2026-01-05T08:00:00+00:00") is not None

    def deliver(self) -> None:
        self.notifier.deliver(lambda: True)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def pods(sink: RecordingSink) -> list[str]:
    return [announcement.view.pod for announcement in sink.sent]


def test_every_sink_is_told_and_it_is_recorded(desk: Desk) -> None:
    desk.put("a")
    desk.deliver()
    desk.deliver()
    assert pods(desk.events) == pods(desk.log) == ["a"]
    assert (desk.store.size, desk.recorded("a")) == (1, True)


def test_a_sink_that_fails_is_tried_again_later_and_holds_nobody_up(desk: Desk) -> None:
    desk.events.fault = FAULT
    for pod in "abc":
        desk.put(pod)
    desk.deliver()
    assert pods(desk.log) == ["a", "b", "c"]
    assert desk.complaints == ["sink event: the sink: out of order"]  # asked once, then left alone
    assert desk.store.size == 0
    desk.events.fault = None
    desk.deliver()
    assert pods(desk.events) == []
    desk.at_s = 5.0
    desk.deliver()
    assert pods(desk.events) == ["b", "c", "a"]
    assert pods(desk.log) == ["a", "b", "c"]
    assert desk.store.size == 3


def test_one_that_a_sink_never_takes_holds_nobody_up() -> None:
    class Picky(RecordingSink):
        def send(self, announcement: Announcement) -> bool:
            if announcement.view.pod == "never":
                raise FAULT
            return super().send(announcement)

    desk = Desk(events=Picky())
    for pod in ("never", *"abc"):
        desk.put(pod)
    for desk.at_s in (0.0, 5.0, 15.0):
        desk.deliver()
    assert pods(desk.events) == ["a", "b", "c"]
    assert desk.notifier.waiting == 1


def test_what_started_last_is_told_first() -> None:
    desk = Desk(per_s=1.0)
    for number in range(100):
        desk.put(f"old-{number}", start=START - timedelta(hours=1, seconds=number))
    desk.deliver()
    assert len(desk.events.sent) == 10
    desk.at_s = 5.0
    desk.put("new")
    desk.deliver()
    assert pods(desk.events)[10] == "new"


def test_what_started_last_is_told_first_when_a_sink_is_back() -> None:
    desk = Desk(per_s=1.0)
    desk.events.fault = FAULT
    for number in range(100):
        desk.put(f"old-{number}", start=START - timedelta(hours=1, seconds=number))
    for desk.at_s in (0.0, 100.0, 200.0):
        desk.deliver()
    desk.events.fault, desk.at_s = None, 300.0
    desk.put("new")
    desk.deliver()
    assert pods(desk.events)[0] == "new"
    assert len(desk.events.sent) == 10


def test_pauses_grow_to_a_minute(desk: Desk) -> None:
    desk.events.fault = FAULT
    desk.put("a")
    for second in range(600):
        desk.at_s = float(second)
        desk.deliver()
    assert len(desk.complaints) == 1 + 4 + 8  # at 0; 5, 15, 35, 75 s; then each minute


def test_of_a_container_that_waits_only_the_last_word_is_told(desk: Desk) -> None:
    desk.events.fault = FAULT
    desk.put("a", "redis")
    desk.deliver()
    desk.put("a", "nginx", revisions=1)
    desk.deliver()
    desk.events.fault = None
    desk.at_s = 60.0
    desk.deliver()
    assert [announcement.service for announcement in desk.events.sent] == ["nginx"]
    assert [announcement.service for announcement in desk.log.sent] == ["redis", "nginx"]
    assert desk.notifier.waiting == 0


def test_what_was_told_before_is_not_logged_again(desk: Desk) -> None:
    desk.put("a")
    desk.deliver()
    again = Desk(events=desk.events)
    again.put("a")
    again.deliver()
    assert pods(again.log) == []
    assert again.store.size == 1


def test_a_container_that_is_gone_is_not_told_of(desk: Desk) -> None:
    desk.events.fault = FAULT
    desk.put("a")
    desk.deliver()
    desk.notifier.forget("a-uid/main/2026-01-05T08:00:00+00:00")
    assert desk.notifier.waiting == 0


def test_the_rest_is_for_the_next_time(desk: Desk) -> None:
    for pod in "abc":
        desk.put(pod)
    answers = iter([True, True, False])
    desk.notifier.deliver(lambda: next(answers))
    assert pods(desk.log) == ["a", "b"]
    desk.deliver()
    assert pods(desk.log) == ["a", "b", "c"]


def test_who_does_not_lead_leaves_what_the_leader_has_told(desk: Desk) -> None:
    desk.put("a")
    desk.at_s = 100.0
    desk.put("b")
    desk.notifier.leave_to_others(50.0)
    assert (desk.store.size, desk.recorded("a")) == (1, True)
    desk.deliver()
    assert pods(desk.events) == pods(desk.log) == ["b"]


def test_a_decision_has_one_name_and_another_decision_another(desk: Desk) -> None:
    for service, revisions in (("redis", 0), ("redis", 0), ("nginx", 0), ("redis", 2), (None, 0)):
        desk.put("a", service, revisions)
        desk.deliver()
    assert len({announcement.id for announcement in desk.events.sent}) == len(desk.events.sent) == 4


@pytest.mark.parametrize(
    ("service", "revisions", "kind", "words"),
    [
        ("redis", 0, "identified", "main is redis (confidence 0%)"),
        ("redis", 1, "revised", "main is now identified as redis (confidence 0%)"),
        (None, 0, "no-metrics", "main: no metrics came within 20 s, so it cannot be identified"),
    ],
)
def test_words(desk: Desk, service: str | None, revisions: int, kind: str, words: str) -> None:
    desk.put("a", service, revisions)
    desk.deliver()
    assert (desk.log.sent[0].kind, desk.log.sent[0].message) == (kind, words)


def test_many_are_told_bit_by_bit_and_none_is_lost() -> None:
    desk = Desk(per_s=2.0)
    for number in range(50):
        desk.put(f"pod-{number}")
    desk.deliver()
    assert len(pods(desk.events)) == desk.store.size == 20  # ten seconds' worth at once
    for desk.at_s in (1.0, 2.0, 2.0):
        desk.deliver()
    assert len(pods(desk.events)) == 24
    assert desk.notifier.waiting == 26
    desk.at_s = 1000.0  # a long pause saves no more up than ten seconds
    desk.deliver()
    assert len(pods(desk.events)) == 44
    desk.at_s = 1003.0
    desk.deliver()
    assert pods(desk.events) == pods(desk.log) == [f"pod-{number}" for number in range(50)]


def test_what_a_sink_could_not_take_counts_when_it_is_offered_again() -> None:
    desk = Desk(per_s=1.0)
    desk.events.fault = FAULT
    for number in range(30):
        desk.put(f"pod-{number}")
    desk.deliver()
    desk.events.fault = None
    desk.at_s = 6.0
    desk.deliver()
    assert len(pods(desk.events)) == 6
