"""One deployment's life: its faults begin, end and are marked when they were; what they kill is started again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from lab.life import FaultEvent, RecordedLife, Stopped, mark_faults, record_life
from lab.matrix import Deployment, PlannedFault
from lab.probe import ContainerDiedError
from tests.lab.fakes import BEGIN, FakeClock, FakeDeployment, FakeLab, small_matrix

SLOW = PlannedFault("cpu-hog", 10.0, 20.0, 0.5)
CRASH = PlannedFault("crash", 40.0, 10.0, 1.0)
DEPLOYMENT = replace(small_matrix()[0], seconds=60, faults=(SLOW, CRASH))


class AtOnce(Executor):
    """Calls when it is asked, so that a test knows when."""

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(call(*arguments, **named))
        return done


def _live(lab: FakeLab, deployment: Deployment = DEPLOYMENT) -> RecordedLife:
    return record_life(deployment, 0, lab.start, lab.clock, threading.Event(), AtOnce())


def test_faults_begin_and_end_in_their_order_and_are_marked_where_they_were() -> None:
    lab = FakeLab(FakeClock())
    life = _live(lab)
    assert lab.faults == [("begin", "cpu-hog"), ("end", "cpu-hog"), ("begin", "crash"), ("end", "crash")]
    assert [event.fault for event in life.events] == [SLOW, CRASH]
    assert len(life.samples) == 60
    marked = life.samples[life.samples["anomaly"]]
    assert set(marked["anomaly_kind"]) == {"cpu-hog", "crash"}
    for event in life.events:
        inside = life.samples["time"].between(event.begin, event.end)
        assert inside.sum() > 5
        assert (life.samples.loc[inside, "anomaly_kind"] == event.fault.kind).all()
    assert not life.samples["anomaly"].iloc[:10].any()


def test_a_service_that_a_fault_kills_is_a_new_instance_of_the_same_deployment() -> None:
    def die_once(_: Deployment, number: int) -> None:
        if number == 42 and not died:
            died.append(number)
            raise ContainerDiedError("killed")

    died: list[int] = []
    lab = FakeLab(FakeClock(), die_once)
    life = _live(lab)
    assert life.restarts == 1
    starts = life.samples["started_at"].unique()
    assert len(starts) == 2
    assert set(life.samples["deployment"]) == {DEPLOYMENT.name}
    assert (life.samples["time"] >= life.samples["started_at"]).all()
    assert lab.started == [DEPLOYMENT.name]
    assert not lab.running


def test_a_service_that_dies_before_any_fault_is_dead() -> None:
    def die(_: Deployment, number: int) -> None:
        if number == 5:
            raise ContainerDiedError("gone")

    lab = FakeLab(FakeClock(), die)
    with pytest.raises(ContainerDiedError, match="after 5 samples: gone"):
        _live(lab)
    assert not lab.running


def test_a_service_that_dies_again_and_again_is_given_up() -> None:
    def die(_: Deployment, number: int) -> None:
        if number >= 20:
            raise ContainerDiedError("gone")

    lab = FakeLab(FakeClock(), die)
    with pytest.raises(ContainerDiedError, match="gone"):
        _live(lab)
    assert not lab.running


def test_what_a_fault_starts_does_not_inherit_the_samplers_priority() -> None:
    seen: list[int] = []

    class Noting(FakeLab):
        def start(self, deployment: Deployment, place: int) -> FakeDeployment:
            running = super().start(deployment, place)
            running.begin_fault = lambda _: seen.append(_priority())  # type: ignore[method-assign]
            return running

    usual = _priority()
    lab = Noting(FakeClock())
    record_life(DEPLOYMENT, 0, lab.start, lab.clock, threading.Event())
    assert len(seen) == 2
    assert min(seen) >= 0
    assert _priority() == usual


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_stop_in_the_middle_of_a_fault_ends_it() -> None:
    stopping = threading.Event()

    def stop(_: Deployment, number: int) -> None:
        if number == 15:
            stopping.set()

    lab = FakeLab(FakeClock(), stop)
    with pytest.raises(Stopped):
        record_life(DEPLOYMENT, 0, lab.start, lab.clock, stopping, AtOnce())
    assert lab.faults == [("begin", "cpu-hog"), ("end", "cpu-hog")]
    assert not lab.running


def test_a_deployment_without_faults_is_marked_normal_throughout() -> None:
    samples = _live(FakeLab(FakeClock()), replace(DEPLOYMENT, faults=())).samples
    assert samples["anomaly"].eq(False).all()
    assert samples["anomaly_kind"].isna().all()


def test_both_ends_of_an_interval_belong_to_it() -> None:
    times = pd.DataFrame({"time": [BEGIN + timedelta(seconds=second) for second in range(5)]})
    event = FaultEvent(SLOW, BEGIN + timedelta(seconds=1), BEGIN + timedelta(seconds=3))
    assert mark_faults(times, [event])["anomaly"].tolist() == [False, True, True, True, False]
