"""The process that ``benchmarks.watcher`` measures: a watcher whose clock and pods come over a pipe."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path

from benchmarks.measure import status_bytes
from podlab.kubernetes.client import connect
from podlab.kubernetes.objects import Change
from podlab.sources.influxdb import InfluxSource
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.watcher import app  # noqa: F401 - it is what imports all that a watcher needs
from podlab.watcher.containers import DecisionRecord, PredictionSummary, key_of
from podlab.watcher.logs import JsonLines
from podlab.watcher.loop import Watcher
from podlab.watcher.notify import StateStore
from podlab.watcher.runtime import Clock, ReloadableModel, WatcherOptions, stay_small
from podlab.watcher.samples import SampleArrays
from podlab.watcher.sinks import EventSink, LogSink


@dataclass(frozen=True)
class Setting:
    """What the process needs to begin."""

    influxdb_url: str
    database: str
    user: str
    password: str
    kubernetes_url: str
    model: Path
    anomalies: bool = False


@dataclass(frozen=True)
class Round:
    """One tick: what time it is, and what happened to pods; ``known`` are services decided on long ago."""

    at_s: float
    changes: list[Change]
    known: list[str] | None = None


@dataclass(frozen=True)
class Cost:
    """What it took."""

    cpu_s: float
    wall_s: float
    rss_bytes: int
    peak_bytes: int
    waiting: int
    decided: int
    unsent: int
    active: int
    claims_checked: int
    error: str | None
    scoring_s: float
    watched: int


def work(pipe: Connection) -> None:
    """Do a round for each that comes; end with the pipe."""
    stay_small()
    setting: Setting = pipe.recv()
    at_s = 0.0
    store = StateStore(None)
    with Path(os.devnull).open("w") as nowhere:
        sinks = [EventSink(connect(setting.kubernetes_url), "benchmark"), LogSink(JsonLines(nowhere))]
        clock = Clock(now=lambda: at_s, steady=lambda: at_s)
        watcher = Watcher(
            lambda metrics: InfluxSource(
                InfluxDatabase(setting.influxdb_url, setting.database, setting.user, setting.password), columns=metrics
            ),
            ReloadableModel(setting.model),
            sinks,
            store,
            WatcherOptions(anomalies=setting.anomalies, all_pods=True),
            clock=clock,
        )
        scoring_s = time_scoring(watcher)
        while True:
            try:
                told: Round = pipe.recv()
            except EOFError:
                return
            at_s = told.at_s
            if told.known is not None:
                containers = [change.pod.containers[0] for change in told.changes]
                keys = [key_of(each, each.started_at) for each in containers if each.started_at is not None]
                store.record(old_entry(key, service, 0.0) for key, service in zip(keys, told.known, strict=True))
            scoring_s[0] = 0.0
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            watcher.registry.put(told.changes)
            watcher.run_round()
            cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
            decisions = [tracked.decision for tracked in watcher.registry.containers()]
            decided = sum(decision is not None for decision in decisions)
            pipe.send(
                Cost(
                    cpu_s, wall_s, status_bytes("VmRSS"), status_bytes("VmHWM"), len(decisions) - decided, decided,
                    watcher.waiting, watcher.active, count_checked(watcher), watcher.database_error, scoring_s[0],
                    count_watched(watcher),
                )
            )  # fmt: skip


def old_entry(key: str, service: str, at_s: float) -> DecisionRecord:
    """Tell of a container that was decided on long ago."""
    prediction = PredictionSummary(
        ((service, 0.95), ("second", 0.03), ("third", 0.01)), ((service, 0.4), ("second", 0.2), ("third", 0.1)),
        True, 0.3, 10.0, "default@" + "0" * 64,
    )  # fmt: skip
    return DecisionRecord(key, service, "confident", 0, at_s, 20.0, seen=prediction.pack())


def time_scoring(watcher: Watcher) -> list[float]:
    """Add up the CPU time that scoring takes, matching and fetching left out, in the list's one number."""
    spent_s = [0.0]
    if watcher.monitor is not None:
        take = watcher.monitor.take

        def timed(samples: SampleArrays) -> None:
            before_s = time.process_time()
            take(samples)
            spent_s[0] += time.process_time() - before_s

        watcher.monitor.take = timed  # type: ignore[method-assign]
    return spent_s


def count_checked(watcher: Watcher) -> int:
    """Count the workloads of which it is said whether they are what they claim to be."""
    said = watcher.workloads.claims()
    return said["consistent"] + said["mismatch"]


def count_watched(watcher: Watcher) -> int:
    """Count the containers that are scored and know their own usual."""
    monitor = watcher.monitor
    if monitor is None:
        return 0
    return sum(monitor.state(tracked) in ("watching", "anomalous") for tracked in watcher.registry.containers())


if __name__ == "__main__":
    # As a program of its own it imports what a watcher imports, and nothing of the benchmark.
    with Client(sys.argv[1]) as connection:
        import benchmarks.watcher_child

        benchmarks.watcher_child.work(connection)
