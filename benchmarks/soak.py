"""An hour of watching, as it is in use: `podlab watch` as a process, 10,000 pods, 100 of them new each minute.

Run it with ``python -m benchmarks.soak`` after ``make train``; ``--minutes 60`` by default. The tests' API server holds
pods as large as real ones and speaks TLS, the watcher has a service account as in a pod, the database is a real
InfluxDB filled as Telegraf would each 10 s, and the clock is the real one. New pods come as Pending and then run, as
many old ones go, and as many again are changed in what the watcher does not look at. A line each minute says what the
watcher took: CPU time of its process, memory, and how long a decision took from when the last sample it rests on was
written to when its Event was received.

What else the machine does makes the same work take more CPU time, by caches and cores that are shared. A fixed piece of
work is timed beside the watcher each minute, and its mean is told as a multiple of the least that it ever took.

``benchmarks.watcher`` measures the rounds alone, with a clock that runs ahead: quicker, and without the watch of pods.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import re
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.fetch import cpu_seconds
from benchmarks.measure import status_bytes
from benchmarks.watcher import LONGEST_S, TICK_S, Cluster, make_parser
from benchmarks.watcher_child import old_entry
from podlab.kubernetes.objects import WatchedPod
from podlab.sources.influxdb_client import InfluxDatabase
from podlab.watcher.containers import key_of
from podlab.watcher.notify import StateStore
from tests.support.certificates import make_certificate
from tests.support.influxd import running_influxd
from tests.support.kubeapi import KubeApi
from tests.support.kuberealpod import make_real_pod
from tests.support.kuberequest import Request
from tests.support.watch_process import LEASE, WatchProcess, grant

#: The server forgets old versions as often.
COMPACT_S = 300
#: Reasons of decisions that rest on samples; the others are the timeout's.
EVIDENCE = ("confident", "turned", "unlike")


class Pods:
    """The pods behind the API server, made from one of full size."""

    def __init__(self, api: KubeApi) -> None:
        self._store = api.store
        self._model = make_real_pod(0)
        for part, name in (("spec", "containers"), ("status", "containerStatuses")):
            del self._model[part][name][1:]

    def put(self, pod: WatchedPod, *, pending: bool = False, touched: int = 0) -> None:
        """Let a pod be there."""
        body = copy.deepcopy(self._model)
        [container] = pod.containers
        assert container.started_at is not None
        body["metadata"] |= {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}
        body["metadata"]["annotations"]["touched"] = str(touched)
        body["spec"]["nodeName"] = pod.node
        status: dict[str, Any] = body["status"]
        if pending:
            status["phase"] = "Pending"
            status["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
        else:
            at = container.started_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            status["containerStatuses"][0]["state"] = {"running": {"startedAt": at}}
        self._store.put("pods", body)

    def remove(self, pod: WatchedPod) -> None:
        """Let a pod be gone."""
        self._store.delete("pods", pod.name, pod.namespace)


class Written:
    """When each sample of each pod was written, and when each pod's first Event was received."""

    def __init__(self) -> None:
        self._at: dict[str, list[tuple[float, float]]] = {}
        self._event_at: dict[str, float] = {}

    def write(self, cluster: Cluster, at_s: float) -> None:
        """Write a round of samples."""
        pods = list(cluster.young)
        written = cluster.write(at_s)
        done_s = time.time()
        for pod, offset_s in zip(pods, written, strict=True):
            if offset_s is not None:
                self._at.setdefault(pod.name, []).append((offset_s, done_s))

    def hear(self, request: Request) -> None:
        """Note an Event that comes in."""
        if request.verb == "create" and request.resource == "events":
            body: Any = request.json()
            self._event_at.setdefault(body["involvedObject"]["name"], time.time())

    def took_s(self, line: dict[str, Any]) -> float | None:
        """From the last sample that a decision rests on to its Event; None where it rests on none."""
        told_s = self._event_at.pop(line["pod"], None)
        writes = self._at.pop(line["pod"], [])
        if told_s is None or line["reason"] not in EVIDENCE:
            return None
        newest = [at_s for offset_s, at_s in writes if offset_s <= line["seconds_observed"] + 1e-3]
        return told_s - newest[-1] if newest else None


class Meter:
    """What two processes take, a minute at a time.

    Attributes
    ----------
    shares, memory_mb : list of float
        Of each minute: CPU time of the watcher in cores, and its memory in the end.
    told : set of str
        Pods of which something was announced.
    by_timeout : int
        Announcements that rest on no evidence.
    took_s : list of float
        From the last sample that an announcement rests on to its Event.
    """

    def __init__(self, pid: int, database_pid: int) -> None:
        self.pids = pid, database_pid
        self.shares: list[float] = []
        self.memory_mb: list[float] = []
        self.told: set[str] = set()
        self.by_timeout = 0
        self.took_s: list[float] = []
        self.yardsticks_s: list[float] = []
        self._before = self._spent()

    def measure_machine(self) -> None:
        """Time a fixed piece of work."""
        begun_s = time.process_time()
        for number in range(20):
            hashlib.sha256(str([number] * 20_000).encode()).digest()
        self.yardsticks_s.append(time.process_time() - begun_s)

    @property
    def slowness(self) -> float:
        """How much longer the same work takes, of late, than it ever took."""
        return float(np.mean(self.yardsticks_s[-60 // TICK_S :]) / min(self.yardsticks_s))

    def _spent(self) -> tuple[float, float, float]:
        return cpu_seconds(self.pids[0]), cpu_seconds(self.pids[1]), time.time()

    def take(self, minute: int, lines: list[dict[str, Any]], written: Written) -> str:
        """Take a minute in; say it in a line."""
        for line in lines:
            if "reason" not in line:
                continue  # a finding on a claim, which comes later
            took_s = written.took_s(line)
            self.told.add(line["pod"])
            self.by_timeout += line["reason"] not in EVIDENCE
            self.took_s += [] if took_s is None else [took_s]
        now = self._spent()
        share, database_share = ((now[n] - self._before[n]) / (now[2] - self._before[2]) for n in (0, 1))
        self._before = now
        self.shares.append(share)
        self.memory_mb.append(status_bytes("VmRSS", self.pids[0]) / 1e6)
        p50_s, p99_s = np.quantile(self.took_s, (0.5, 0.99)) if self.took_s else (np.nan, np.nan)
        return (
            f"{minute:3d} min: {share:5.1%} of a core (database {database_share:5.1%}, machine x{self.slowness:.1f}), "
            f"{self.memory_mb[-1]:.0f} MB (most ever {self.peak_mb:.0f}), {len(self.told)} pods told, "
            f"{self.by_timeout} by timeout, sample to Event p50 {p50_s:.1f} s, p99 {p99_s:.1f} s"
        )

    @property
    def peak_mb(self) -> float:
        """The most memory that the watcher ever had."""
        return status_bytes("VmHWM", self.pids[0]) / 1e6

    def sum_up(self) -> dict[str, float]:
        """Give the figures of the whole time; memory's slope from when the first pods have grown old."""
        settled = self.memory_mb[LONGEST_S // 60 + 1 :]
        slope_mb = np.polyfit(np.arange(len(settled)), settled, 1)[0] * 60 if len(settled) > 1 else np.nan
        return {
            "cpu_share_mean": float(np.mean(self.shares)),
            "cpu_share_most": max(self.shares),
            "machine_mean": float(np.mean(self.yardsticks_s) / min(self.yardsticks_s)),
            "memory_mb_last": self.memory_mb[-1],
            "memory_mb_per_hour": float(slope_mb),
            "peak_mb": self.peak_mb,
            "pods_told": len(self.told),
            "by_timeout": self.by_timeout,
            "sample_to_event_p99_s": float(np.quantile(self.took_s, 0.99)) if self.took_s else float("nan"),
            "sample_to_event_most_s": max(self.took_s, default=float("nan")),
        }


def main() -> None:
    """Run it and print."""
    parser = make_parser(__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        certificate, authority = make_certificate(Path(name))
        server = stack.enter_context(running_influxd(Path(name)))
        api = stack.enter_context(KubeApi(certificate))
        account = Path(name) / "account"
        account.mkdir()
        authority.rename(account / "ca.crt")
        database = server.new_database()
        target = InfluxDatabase(server.url, database, *server.admin)
        cluster = Cluster(options.recording, target, begin=pd.Timestamp.now(tz="UTC"))
        pods, folder = Pods(api), Path(name)
        old = begin(options.pods, cluster, pods, StateStore(folder / "announced"))
        grant(api)
        settings = {"watch_interval": f"{TICK_S}s", "watch_state": str(folder / "announced"), "watch_lease": LEASE}
        # As the image has it; a copy of the tree can be watched while another one is worked on.
        environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        with WatchProcess(
            api,
            folder,
            options.model.resolve(),
            server.url,
            database,
            settings=settings,
            environment=environment,
            service_account=account,
        ) as watcher:
            watcher.wait_for_log("pods at version")
            meter = Meter(watcher.process.pid, server.pid)
            soak(options, watcher, cluster, pods, old, meter)
            waiting = re.findall(r'podlab_containers{state="(?:waiting|unknown)"} (\S+)', watcher.get("/metrics").text)
            print(json.dumps({**meter.sum_up(), "waiting_or_unknown": sum(map(float, waiting))}))


def begin(count: int, cluster: Cluster, pods: Pods, store: StateStore) -> list[WatchedPod]:
    """Let pods be there that were decided on long ago; their series are in the database."""
    old = cluster.start(count, 0.0)
    cluster.write(TICK_S)
    cluster.young.clear()
    for pod in old:
        pods.put(pod)
    containers = [pod.containers[0] for pod in old]
    keys = [key_of(each, each.started_at) for each in containers if each.started_at is not None]
    store.record(old_entry(key, "nginx", time.time() - 3600) for key in keys)
    return old


def soak(
    options: argparse.Namespace,
    watcher: WatchProcess,
    cluster: Cluster,
    pods: Pods,
    old: list[WatchedPod],
    meter: Meter,
) -> None:
    """Let pods come and go for so many minutes, and print a line for each."""
    written, rng = Written(), np.random.default_rng(0)
    watcher.api.before_answer = written.hear
    begun_s = time.time()
    starting: list[WatchedPod] = []
    count = 0
    for number in range(1, options.minutes * 60 // TICK_S + 1):
        time.sleep(max(0.0, begun_s + number * TICK_S - time.time()))
        for pod in starting:
            pods.put(pod)
        at_s = time.time() - cluster.begin.timestamp()
        starting = cluster.start(round(options.new * TICK_S / 60 * number) - count, at_s)
        count += len(starting)
        gone, old = old[: len(starting)], [*old[len(starting) :], *starting]
        for pod in gone:
            pods.remove(pod)
        for pod in starting:
            pods.put(pod, pending=True)
        for place in rng.integers(0, len(old) - len(starting), len(starting)):
            pods.put(old[place], touched=number)
        written.write(cluster, at_s)
        meter.measure_machine()
        if number * TICK_S % COMPACT_S == 0:
            watcher.api.store.compact()
            watcher.api.requests.clear()
        if number * TICK_S % 60 == 0:
            print(meter.take(number * TICK_S // 60, watcher.read_announcements(), written), flush=True)


if __name__ == "__main__":
    main()
