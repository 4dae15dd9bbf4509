"""The process that ``benchmarks.watcher`` measures: a watcher whose clock and pods come over a pipe."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path

from benchmarks.measure import status_bytes
from podlab.cluster.connect import connect
from podlab.cluster.pods import Change
from podlab.metrics import FEATURE_METRICS
from podlab.telemetry.influxdb import InfluxSource
from podlab.watcher import run  # noqa: F401 - it is what imports all that a watcher needs
from podlab.watcher.cases import key_of
from podlab.watcher.journal import Entry, Journal
from podlab.watcher.logs import JsonLines
from podlab.watcher.loop import Clock, Watcher
from podlab.watcher.memory import stay_small
from podlab.watcher.model import ModelSlot
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


@dataclass(frozen=True)
class Round:
    """One tick: what time it is, and what happened to pods; ``known`` are told to be decided long ago."""

    at_s: float
    changes: list[Change]
    known: bool = False


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
    error: str | None


def work(pipe: Connection) -> None:
    """Do a round for each that comes; end with the pipe."""
    stay_small()
    setting: Setting = pipe.recv()
    at_s = 0.0
    journal = Journal(None)
    with Path(os.devnull).open("w") as nowhere:
        sinks = [EventSink(connect(setting.kubernetes_url), "benchmark"), LogSink(JsonLines(nowhere))]
        source = InfluxSource(
            setting.influxdb_url, setting.database, setting.user, setting.password, columns=FEATURE_METRICS
        )
        clock = Clock(now=lambda: at_s, steady=lambda: at_s)
        watcher = Watcher(source, ModelSlot(setting.model), sinks, journal, clock=clock)
        while True:
            try:
                told: Round = pipe.recv()
            except EOFError:
                return
            at_s = told.at_s
            if told.known:
                containers = [change.pod.containers[0] for change in told.changes]
                keys = [key_of(each, each.started_at) for each in containers if each.started_at is not None]
                journal.record(
                    Entry(key, watcher.model.identifier.services[0], "confident", 0, 0.0, 20.0) for key in keys
                )
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            watcher.roster.put(told.changes)
            watcher.tick()
            cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
            verdicts = [case.verdict for case in watcher.roster.cases()]
            decided = sum(verdict is not None for verdict in verdicts)
            pipe.send(
                Cost(
                    cpu_s, wall_s, status_bytes("VmRSS"), status_bytes("VmHWM"), len(verdicts) - decided, decided,
                    watcher.waiting, watcher.active, watcher.database_error,
                )
            )  # fmt: skip


if __name__ == "__main__":
    # As a program of its own it imports what a watcher imports, and nothing of the benchmark.
    with Client(sys.argv[1]) as connection:
        import benchmarks.watcher_child

        benchmarks.watcher_child.work(connection)
