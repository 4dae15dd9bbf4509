"""A watcher without a cluster: pods by hand, samples from a table that time uncovers, a clock that tests turn."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from podlab.data.catalogue import MEASURED_METRICS
from podlab.data.samples import INSTANCE_KEY
from podlab.errors import PodlabError
from podlab.kubernetes.objects import Change, WatchedContainer, WatchedPod
from podlab.sources.protocol import LiveSource, NothingThereError
from podlab.watcher.logs import JsonLines
from podlab.watcher.loop import Watcher
from podlab.watcher.notify import Announcement, Sink, StateStore
from podlab.watcher.runtime import Clock, ReloadableModel, SourceHealth, WatcherOptions
from podlab.watcher.sinks import LogSink
from tests.support.synthetic import EPOCH


@dataclass
class ManualClock:
    """A clock that only moves when told to; what it says of the time of day may be off by ``ahead_s``."""

    at_s: float
    ahead_s: float = 0.0

    def as_clock(self) -> Clock:
        return Clock(now=lambda: self.at_s + self.ahead_s, steady=lambda: self.at_s)


@dataclass
class Table:
    """A database that holds what happened until now; ``fault`` is raised, or ``other`` asked, instead of an answer.

    Rows come ``delay_s`` late, of ``delayed`` pods only where these are named. Of ``late`` columns, values come so many
    seconds after their rows.
    """

    samples: pd.DataFrame
    clock: ManualClock
    delay_s: float = 0.0
    delayed: Collection[str] = ()
    late: Mapping[str, float] = field(default_factory=dict)
    fault: PodlabError | None = None
    other: LiveSource | None = None
    asked: list[tuple[float, float, set[str]]] = field(default_factory=list)
    metrics: tuple[str, ...] = MEASURED_METRICS
    name: str = "table"

    def open(self, metrics: tuple[str, ...]) -> Table:
        """Answer with these metrics alone from now on."""
        if self.fault is not None:
            raise self.fault
        self.metrics = metrics
        return self

    def close(self) -> None:
        pass

    def fetch(self, since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        self.asked.append((since.timestamp(), until.timestamp(), set(pods or ())))
        if self.fault is not None:
            raise self.fault
        if self.other is not None:
            return self.other.fetch(since, until, pods=pods)
        time = self.samples["time"]
        written = time + pd.Timedelta(seconds=self.delay_s)
        if self.delayed:
            written = written.where(self.samples["pod"].isin(list(self.delayed)), time)
        now = pd.Timestamp(self.clock.at_s, unit="s", tz="UTC")
        here = (time >= since) & (time < until) & (written <= now)
        if pods is not None:
            here &= self.samples["pod"].isin(list(pods))
        if not here.any():
            raise NothingThereError("no rows", where=self.name)
        unread = [name for name in MEASURED_METRICS if name in self.samples and name not in self.metrics]
        found = (
            self.samples[here]
            .drop(columns=unread)
            .assign(started_at=pd.Timestamp("NaT"), pod_uid=pd.Series(dtype="str"))
        )
        for name, seconds in self.late.items():
            here = written[found.index] + pd.Timedelta(seconds=seconds) <= now
            found[name] = found[name].where(here)
        return found


@dataclass
class RecordingSink:
    """A sink that remembers what it was told, and refuses while it has a fault."""

    name: str = "event"
    repeatable: bool = True
    fault: PodlabError | None = None
    sent: list[Announcement] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def send(self, announcement: Announcement) -> bool:
        if self.fault is not None:
            raise self.fault
        if announcement.id in self.names:
            return False
        self.names.add(announcement.id)
        self.sent.append(announcement)
        return True


def starting_together(samples: pd.DataFrame) -> pd.DataFrame:
    """Move each container to a start at the epoch, so that a test of a minute sees them all."""
    shift = samples["started_at"] - EPOCH
    return samples.assign(time=samples["time"] - shift, started_at=EPOCH)


def pods_of(samples: pd.DataFrame) -> list[WatchedPod]:
    """Make the pods that samples are of, running."""
    pods = []
    for row in samples[[*INSTANCE_KEY]].drop_duplicates().itertuples():
        pods.append(make_watched(row.pod, row.pod_uid, row.started_at.floor("s"), namespace=row.namespace))
    return pods


def make_watched(
    pod: str,
    uid: str,
    started_at: datetime | None,
    *,
    namespace: str = "lab",
    container: str = "main",
    kind: Any = "main",
    state: Any = "running",
    reason: str | None = None,
) -> WatchedPod:
    """Make a pod with one container."""
    inside = WatchedContainer(namespace, pod, uid, container, "node-1", started_at, kind, state, reason)
    return WatchedPod(namespace, pod, uid, "node-1", (inside,))


@dataclass
class Bench:
    """A watcher with everything around it in reach."""

    watcher: Watcher
    clock: ManualClock
    table: Table
    out: io.StringIO

    def appear(self, *pods: WatchedPod) -> None:
        self.watcher.registry.put([Change("added", pod) for pod in pods])

    def vanish(self, *pods: WatchedPod) -> None:
        self.watcher.registry.put([Change("gone", pod) for pod in pods])

    def run(self, seconds: float, *, interval_s: float = 10.0, **options: Any) -> None:
        """Do a round each interval, the first one at once."""
        until_s = self.clock.at_s + seconds
        while self.clock.at_s <= until_s:
            self.watcher.run_round(**options)
            self.clock.at_s += interval_s

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was announced in the log."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def announced(self) -> list[tuple[str, str | None]]:
        """Pod and service of each announcement."""
        return [(line["pod"], line["service"]) for line in self.lines]


def make_bench(
    samples: pd.DataFrame,
    model: Path,
    *,
    begin_s: float | None = None,
    sinks: Collection[Sink] = (),
    store: StateStore | None = None,
    health: SourceHealth | None = None,
    **options: Any,
) -> Bench:
    """Set a watcher up, at the start of the first container unless told otherwise."""
    clock = ManualClock(samples["time"].min().timestamp() if begin_s is None else begin_s)
    table = Table(samples, clock)
    out = io.StringIO()
    lines = JsonLines(out, lambda: clock.at_s)
    watcher = Watcher(
        table.open, ReloadableModel(model), [*sinks, LogSink(lines)], StateStore(None) if store is None else store,
        WatcherOptions(**options), clock=clock.as_clock(), health=health,
    )  # fmt: skip
    return Bench(watcher, clock, table, out)
