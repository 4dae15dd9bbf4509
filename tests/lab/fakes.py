"""A lab without containers: its deployments live on a clock that only waiting moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.catalogue import load, select
from lab.deploy import StopReport
from lab.matrix import Deployment, PlannedFault
from lab.plan import RecordingPlan, draw
from lab.probe import ContainerDiedError
from lab.runtime import ContainerFacts, Runtime
from podlab.errors import PodlabError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def small_matrix(seed: int = 0) -> list[Deployment]:
    """Four deployments of one service, two of them idle, of five seconds each."""
    matrix = draw(select(load(), ["redis"]), RecordingPlan(("idle", "heavy"), per_service=4, seed=seed))
    return [replace(deployment, seconds=5) for deployment in matrix]


class FakeClock:
    """Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.elapsed_s)

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def wait(self, seconds: float) -> None:
        with self._lock:
            self.elapsed_s += max(0.0, seconds)


class FakeLab:
    """Starts fake deployments and notes what was started, what runs and what was stopped.

    ``before_sample`` is called with the deployment and the number of its sample, and may raise.
    """

    def __init__(
        self, clock: FakeClock, before_sample: Callable[[Deployment, int], None] = lambda *_: None, requests: int = 10
    ) -> None:
        self.clock = clock
        self.before_sample = before_sample
        self.requests = requests
        self.started: list[str] = []
        self.running: dict[int, str] = {}
        self.most_at_once = 0
        self.faults: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def start(self, deployment: Deployment, place: int) -> FakeDeployment:
        with self._lock:
            assert place not in self.running, "two deployments share a place"
            self.started.append(deployment.name)
            self.running[place] = deployment.name
            self.most_at_once = max(self.most_at_once, len(self.running))
        return FakeDeployment(self, deployment, place)


class FakeDeployment:
    """One deployment, which is its own probe."""

    def __init__(self, lab: FakeLab, deployment: Deployment, place: int) -> None:
        self.lab = lab
        self.deployment = deployment
        self.place = place
        self.samples = 0
        self.identity: dict[str, Any] = {
            "cluster": "lab",
            "namespace": "lab",
            "pod": deployment.pod,
            "pod_uid": deployment.pod_uid,
            "container": "main",
            "image": "image",
            "started_at": lab.clock.now(),
            "image_size_bytes": 1000,
            "service": deployment.service,
            "deployment": deployment.name,
            "variant": deployment.variant,
            "version": "1.0",
            "site": deployment.site,
            "profile": deployment.profile,
            "role": deployment.role,
        }

    @property
    def probe(self) -> FakeDeployment:
        return self

    def sample(self, now: datetime) -> dict[str, Any]:
        self.lab.before_sample(self.deployment, self.samples)
        self.samples += 1
        return {"time": now, "cpu_usage_core_nanoseconds": self.samples, "memory_usage_bytes": 5}

    def begin_fault(self, fault: PlannedFault) -> None:
        self.lab.faults.append(("begin", fault.kind))

    def end_fault(self, fault: PlannedFault) -> None:
        self.lab.faults.append(("end", fault.kind))

    def restart(self) -> None:
        self.identity = {**self.identity, "started_at": self.lab.clock.now()}

    def stop(self) -> StopReport:
        with self.lab._lock:
            del self.lab.running[self.place]
        requests = 0 if self.deployment.pattern == "idle" else self.lab.requests
        errors = 5 if self.deployment.pattern != "idle" and not requests else 0
        return StopReport({"ready_after_s": 0.5, "requests": requests, "errors": errors}, ["last words"])


def dies(*names: str, times: int = 99) -> Callable[[Deployment, int], None]:
    """A ``before_sample`` that lets these deployments die at their third sample, so many times."""
    left = dict.fromkeys(names, times)

    def before_sample(deployment: Deployment, number: int) -> None:
        if number == 2 and left.get(deployment.name, 0) > 0:
            left[deployment.name] -= 1
            raise ContainerDiedError("no such file")

    return before_sample


class FakeRuntime(Runtime):
    """An engine that notes what it is called with; ``refuses`` says which calls fail.

    All its containers run as long as ``pid`` is above 0.
    """

    def __init__(self, refuses: Callable[[list[str]], bool] = lambda _: False, pid: int = 77) -> None:
        super().__init__("podman")
        self.refuses = refuses
        self.pid = pid
        self.calls: list[list[str]] = []

    def call(self, arguments: Sequence[str], *, timeout_s: float = 0.0) -> str:
        self.calls.append(list(arguments))
        if self.refuses(list(arguments)):
            raise PodlabError("refused", where=f"podman {arguments[0]}")
        return "identifier\n"

    def facts(self, container: str) -> ContainerFacts:
        return ContainerFacts(self.pid, BEGIN, None, None, None)
