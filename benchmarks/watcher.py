"""What watching costs: 10,000 pods of which 100 a minute are new, 5,000 pods at once, and 10,000 pods that are scored.

Run it with ``python -m benchmarks.watcher`` after ``make train``. The watcher is a process of its own, with a clock
that the benchmark turns by 10 s a round; the database is a real InfluxDB, filled as Telegraf would with recorded
containers, one sample each 10 s; events go over HTTP to a server that takes them. The watcher's CPU time counts (the
database's own is told beside it) and the most memory that its process ever had. Pods that were decided long ago have
their series in the database, and get no more points: nobody asks for them; where all are scored
(``watch_anomalies``) they all do. What the watch of pods takes is measured by
``benchmarks.watch``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection, Listener
from pathlib import Path

# Before numpy is loaded here and in the watcher, so that it has one core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import pandas as pd

from benchmarks.fetch import cpu_seconds
from benchmarks.watcher_child import Cost, Round, Setting
from podlab.data.catalogue import CATALOGUE
from podlab.data.recordings import read_recording
from podlab.data.samples import check_samples
from podlab.kubernetes.objects import Change, WatchedContainer, WatchedPod
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.sources.replay import replay
from tests.support.influxd import Influxd, running_influxd

TICK_S = 10
BEGIN = pd.Timestamp("2026-01-01T00:00:00Z")
LONGEST_S = 650
#: Until all know their own usual.
_WARM_ROUNDS = 12


class Cluster:
    """Pods that live as recorded containers did."""

    def __init__(self, recording: Path, target: InfluxDatabase, begin: pd.Timestamp = BEGIN) -> None:
        self.begin = begin
        samples = read_recording([recording])
        offset_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
        longest_s = offset_s.groupby(samples["pod_uid"]).transform("max")
        samples = samples[(longest_s >= LONGEST_S) & (offset_s >= 0)].assign(offset_s=offset_s)
        # An agent that looks each 10 s.
        step = (samples["offset_s"] // TICK_S).astype(int)
        chosen = samples.assign(step=step).groupby(["pod_uid", "step"]).first().reset_index()
        life = chosen.groupby("pod_uid").ngroup()
        self._place = np.full((life.max() + 1, step.max() + 1), -1)
        self._place[life, chosen["step"]] = np.arange(len(chosen))
        self._services = chosen.groupby("pod_uid")["service"].first().tolist()
        self._rows = chosen[["offset_s", *(name for name in CATALOGUE if name in chosen)]]
        self._target = target
        self._rng = np.random.default_rng(0)
        self._number = 0
        self.young: list[WatchedPod] = []

    def start(self, count: int, at_s: float) -> list[WatchedPod]:
        """Start pods within the last round."""
        new = []
        for _ in range(count):
            self._number += 1
            number, start_s = self._number, float(np.floor(at_s - self._rng.uniform(0, TICK_S)))
            started_at = (self.begin + pd.Timedelta(seconds=start_s)).floor("s").to_pydatetime()
            namespace, name, uid = f"team-{number % 30}", f"shop-{number:06d}-7c9f8d", f"{number:032x}"
            image = f"registry.example/{self._services[number % len(self._services)]}:1"  # so that claims are checked
            inside = WatchedContainer(
                namespace, name, uid, "main", f"node-{number % 50}", started_at, "main", "running", None, image=image
            )
            pod = WatchedPod(namespace, name, uid, inside.node, (inside,))
            new.append(pod)
        self.young += new
        return new

    def services(self, pods: list[WatchedPod]) -> list[str]:
        """Name the services that pods live the lives of."""
        return [self._services[int(pod.uid, 16) % len(self._services)] for pod in pods]

    def write(self, at_s: float) -> list[float | None]:
        """Write what the young pods' agents saw in the last round; who grew old is written of no more.

        Returns
        -------
        list of float or None
            For each young pod: how long after its start its sample was taken; None where there is none.
        """
        started = pd.DatetimeIndex([pod.containers[0].started_at for pod in self.young]).as_unit("ns")
        age_s = at_s - (started - self.begin).total_seconds().to_numpy()
        life = np.array([int(pod.uid, 16) for pod in self.young]) % len(self._place)
        place = self._place[life, np.clip(age_s // TICK_S, 0, self._place.shape[1] - 1).astype(int)]
        rows = self._rows.take(np.maximum(place, 0)).reset_index(drop=True)
        offset_s = rows["offset_s"].where(place >= 0)
        who = pd.DataFrame(
            [("local", pod.node, pod.namespace, pod.name, pod.uid, "main", "shop:1") for pod in self.young],
            columns=["cluster", "node", "namespace", "pod", "pod_uid", "container", "image"],
        )
        rows = who.assign(
            started_at=started, time=started + pd.to_timedelta(rows["offset_s"], unit="s"),
            **{name: rows[name] for name in rows if name != "offset_s"},
        )[place >= 0]  # fmt: skip
        if len(rows):
            replay(check_samples(rows, where="benchmark"), self._target)
        self.young = [pod for pod, age in zip(self.young, age_s, strict=True) if age < LONGEST_S]
        return [None if np.isnan(each) else each for each in offset_s.tolist()]


@contextmanager
def event_server() -> Iterator[str]:
    """Take events, in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_take_events, args=(there,), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{here.recv()}"
    process.terminate()
    process.join()


def _take_events(pipe: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def watcher(setting: Setting) -> Iterator[Connection]:
    """Run a watcher in a fresh process."""
    with tempfile.TemporaryDirectory() as folder, Listener(f"{folder}/socket") as listener:
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.watcher_child", str(listener.address)])
        with listener.accept() as pipe:
            pipe.send(setting)
            yield pipe
        process.wait()


def do_round(pipe: Connection, at_s: float, changes: list[Change], *, known: list[str] | None = None) -> Cost:
    pipe.send(Round((BEGIN + pd.Timedelta(seconds=at_s)).timestamp(), changes, known))
    cost: Cost = pipe.recv()
    assert cost.error is None, cost.error
    return cost


def steady(server: Influxd, setting: Setting, cluster: Cluster, options: argparse.Namespace) -> dict[str, float]:
    """Watch 10,000 pods of which 100 a minute are new and as many go."""
    at_s = 0.0
    old = cluster.start(options.pods, at_s)
    cluster.write(TICK_S)  # their series are there
    cluster.young.clear()
    costs: list[Cost] = []
    database_s = 0.0
    with watcher(setting) as pipe:
        do_round(pipe, at_s, [Change("added", pod) for pod in old], known=cluster.services(old))
        warm = LONGEST_S // TICK_S + 5
        for number in range(warm + options.rounds):
            at_s += TICK_S
            new = cluster.start(
                round(options.new * TICK_S / 60 * (number + 1)) - round(options.new * TICK_S / 60 * number), at_s
            )
            gone, old = old[: len(new)], [*old[len(new) :], *new]
            cluster.write(at_s)
            before_s = cpu_seconds(server.pid)
            cost = do_round(pipe, at_s, [*(Change("added", p) for p in new), *(Change("gone", p) for p in gone)])
            if number >= warm:
                costs.append(cost)
                database_s += cpu_seconds(server.pid) - before_s
    cpu_s = np.array([cost.cpu_s for cost in costs])
    return {
        "cpu_share_mean": float(cpu_s.mean() / TICK_S),
        "cpu_share_most": float(cpu_s.max() / TICK_S),
        "database_cpu_share": database_s / TICK_S / len(costs),
        "round_s_most": max(cost.wall_s for cost in costs),
        "rss_first_mb": costs[0].rss_bytes / 1e6,
        "rss_last_mb": costs[-1].rss_bytes / 1e6,
        "peak_mb": costs[-1].peak_bytes / 1e6,
        "looked_at": costs[-1].active,
        "claims_checked": costs[-1].claims_checked,
        "waiting": costs[-1].waiting,
    }


def at_once(setting: Setting, cluster: Cluster, options: argparse.Namespace) -> dict[str, float]:
    """Watch 5,000 pods that start within one round."""
    at_s = 100_000.0
    pods = cluster.start(options.at_once, at_s)
    costs: list[Cost] = []
    with watcher(setting) as pipe:
        for _ in range(40):
            cluster.write(at_s)
            costs.append(do_round(pipe, at_s, [Change("added", pod) for pod in pods]))
            pods = []
            if costs[-1].waiting == costs[-1].unsent == 0:
                break
            at_s += TICK_S
    return {
        "decided": costs[-1].decided,
        "seconds_until_all_decided_and_told": (len(costs) - 1) * TICK_S,
        "round_s_most": max(cost.wall_s for cost in costs),
        "cpu_s": sum(cost.cpu_s for cost in costs),
        "peak_mb": costs[-1].peak_bytes / 1e6,
    }


def scored(server: Influxd, setting: Setting, cluster: Cluster, options: argparse.Namespace) -> dict[str, float]:
    """Score every sample of 10,000 pods that were identified long ago."""
    at_s = 200_000.0
    pods = cluster.start(options.pods, at_s)
    costs: list[Cost] = []
    database_s = 0.0
    with watcher(replace(setting, anomalies=True)) as pipe:
        for number in range(_WARM_ROUNDS + options.scored_rounds):
            at_s += TICK_S
            cluster.write(at_s)
            before_s = cpu_seconds(server.pid)
            new = pods if number == 0 else []
            cost = do_round(pipe, at_s, [Change("added", pod) for pod in new], known=cluster.services(new))
            if number >= _WARM_ROUNDS:
                costs.append(cost)
                database_s += cpu_seconds(server.pid) - before_s
    cpu_s, scoring_s = (np.array([getattr(cost, name) for cost in costs]) for name in ("cpu_s", "scoring_s"))
    return {
        "watched": costs[-1].watched,
        "round_cpu_s_median": float(np.median(cpu_s)),
        "round_cpu_s_most": float(cpu_s.max()),
        "scoring_cpu_s_median": float(np.median(scoring_s)),
        "scoring_cpu_s_most": float(scoring_s.max()),
        "database_cpu_s": database_s / len(costs),
        "round_s_most": max(cost.wall_s for cost in costs),
        "rss_last_mb": costs[-1].rss_bytes / 1e6,
        "peak_mb": costs[-1].peak_bytes / 1e6,
    }


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the options of every benchmark of watching."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", type=Path, default=Path("data/models/default"))
    parser.add_argument("--recording", type=Path, default=Path("data/recordings/second.parquet"))
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=100, help="new pods a minute")
    return parser


def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="rounds measured; 360 are an hour")
    parser.add_argument("--at-once", type=int, default=5_000)
    parser.add_argument("--scored-rounds", type=int, default=30, help="rounds measured in which all are scored")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, running_influxd(Path(folder)) as server, event_server() as events:
        for name in ("steady", "at_once", "scored"):
            database = server.new_database()
            setting = Setting(server.url, database, *server.reader, events, options.model)
            cluster = Cluster(options.recording, InfluxDatabase(server.url, database, *server.admin))
            if name == "steady" and options.rounds:
                found[name] = steady(server, setting, cluster, options)
            elif name == "at_once" and options.at_once:
                found[name] = at_once(setting, cluster, options)
            elif name == "scored" and options.scored_rounds:
                found[name] = scored(server, setting, cluster, options)
    if options.json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        print(name)
        for what, value in values.items():
            print(f"  {what:36s} {value:10.4g}")


if __name__ == "__main__":
    main()
