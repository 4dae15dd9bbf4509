"""A kubelet for tests: real HTTPS on loopback, tokens and rights, a recording to tell of, and faults on demand.

It answers ``/stats/summary`` and ``/metrics/cadvisor`` as the documentation and source of Kubernetes say (times of the
Summary API are whole seconds, cAdvisor's are milliseconds, zeros and missing values as there), and knows nothing of
podlab beyond the names of columns.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from podlab.sources.kubelet import KubeletAddress, KubeletClient, KubeletSource

TOKEN = "t0ken-of-the-reader"
STATS, METRICS = ("get", "nodes/stats"), ("get", "nodes/metrics")
#: A container whose last sample is longer ago has ended.
_GONE_S = 15.0
_MEMORY = {
    "usageBytes": "memory_usage_bytes", "workingSetBytes": "memory_working_set_bytes", "rssBytes": "memory_rss_bytes",
    "pageFaults": "memory_page_faults", "majorPageFaults": "memory_major_page_faults",
}  # fmt: skip
_CPU = {"usageNanoCores": "cpu_usage_nanocores", "usageCoreNanoSeconds": "cpu_usage_core_nanoseconds"}
_NETWORK = {"rxBytes": "rx_bytes", "txBytes": "tx_bytes", "rxErrors": "rx_errors", "txErrors": "tx_errors"}
_ROOTFS = {"usedBytes": "rootfs_used_bytes", "inodesUsed": "rootfs_inodes_used"}
#: cAdvisor's families of a container: the column, and how many of its unit are one of cAdvisor's.
_OF_CONTAINERS = {
    "container_cpu_usage_seconds_total": ("cpu_usage_core_nanoseconds", 10**9),
    "container_cpu_user_seconds_total": ("cpu_user_core_nanoseconds", 10**9),
    "container_cpu_system_seconds_total": ("cpu_system_core_nanoseconds", 10**9),
    "container_cpu_cfs_periods_total": ("cpu_periods", 1),
    "container_cpu_cfs_throttled_periods_total": ("cpu_throttled_periods", 1),
    "container_cpu_cfs_throttled_seconds_total": ("cpu_throttled_nanoseconds", 10**9),
    "container_memory_cache": ("memory_cache_bytes", 1),
    "container_memory_mapped_file": ("memory_mapped_file_bytes", 1),
    "container_memory_kernel_usage": ("memory_kernel_bytes", 1),
    "container_memory_failcnt": ("memory_limit_hits", 1),
    "container_oom_events_total": ("oom_events", 1),
    "container_processes": ("processes", 1),
    "container_threads": ("threads", 1),
    "container_file_descriptors": ("file_descriptors", 1),
    "container_sockets": ("sockets", 1),
}
#: Those of which each disk has its own.
_OF_DISKS = {
    "container_fs_reads_bytes_total": "io_read_bytes",
    "container_fs_writes_bytes_total": "io_write_bytes",
    "container_fs_reads_total": "io_read_operations",
    "container_fs_writes_total": "io_write_operations",
}
#: Those that are counted on the pod's sandbox.
_OF_PODS = {
    "container_network_receive_packets_total": "rx_packets",
    "container_network_transmit_packets_total": "tx_packets",
    "container_network_receive_packets_dropped_total": "rx_dropped",
    "container_network_transmit_packets_dropped_total": "tx_dropped",
}


#: Of each container who it is, and its newest sample.
_Now = list[tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one; ``cut_at`` bytes are sent of a body announced whole, after ``wait_s``."""

    status: int = 200
    body: bytes | None = None
    cut_at: int | None = None
    wait_s: float = 0.0
    trickle: bool = False
    path: str = "/"


class Kubelet:
    """The kubelet of one node; use it in a ``with`` block.

    Attributes
    ----------
    rights : dict
        Token -> (verb, resource) that its bearer has.
    asked : list of tuple
        (verb, resource) of each request whose sender was known.
    faults : deque of Fault
        Each takes the place of one answer to a path that begins so.
    always : Fault, optional
        Takes the place of all other answers.
    """

    def __init__(
        self, samples: pd.DataFrame, node: str, clock: Callable[[], float], certificate: Path, ahead_s: float = 0.0
    ) -> None:
        self.node, self.clock, self.ahead_s = node, clock, ahead_s
        self.rights: dict[str, Iterable[tuple[str, str]]] = {TOKEN: {STATS, METRICS}}
        self.asked: list[tuple[str, str]] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.stop = threading.Event()
        self.take(samples)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def take(self, samples: pd.DataFrame) -> None:
        """Tell of these samples from now on."""
        here = samples[samples["node"] == self.node].sort_values("time")
        instances = here.groupby(["namespace", "pod", "pod_uid", "container", "started_at"], sort=False, dropna=False)
        self._lives = []
        for key, rows in instances:
            taken_s = rows["time"].astype("int64").to_numpy() / 1e9
            self._lives.append((key, taken_s, rows.to_dict("records")))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> KubeletAddress:
        """Where it listens."""
        return KubeletAddress(self.node, "127.0.0.1", self._server.server_address[1])

    def now(self) -> _Now:
        """Each container's newest sample, of its newest start; the newest first, which tells of the pod."""
        at_s = self.clock()
        found = []
        for key, taken_s, rows in self._lives:
            last = int(taken_s.searchsorted(at_s, side="right")) - 1
            if last >= 0 and at_s <= taken_s[-1] + _GONE_S:
                found.append((key, rows[last]))
        newest = {key[:4]: (key, row) for key, row in sorted(found, key=lambda each: each[1]["time"])}
        return [*newest.values()][::-1]

    def summary(self) -> dict[str, Any]:
        """Give the answer to ``/stats/summary``."""
        pods: dict[tuple[str, str, str], dict[str, Any]] = {}
        for (namespace, pod, uid, container, started_at), row in self.now():
            taken = {"time": self._second(row["time"])}
            files = {"time": self._second(_when(row, "filesystem_age_seconds")), "capacityBytes": 10**11}
            network = {"time": self._second(_when(row, "network_age_seconds")), "name": "eth0"}
            volumes = {"time": self._second(_when(row, "volume_age_seconds"))}
            told = pods.setdefault(
                (namespace, pod, uid),
                {
                    "podRef": {"name": pod, "namespace": namespace, "uid": uid},
                    "startTime": self._second(started_at),
                    "containers": [],
                    "network": network | _told(row, _NETWORK),
                    "volume": _volumes(row, volumes),
                },
            )
            told["containers"].append(
                {
                    "name": container,
                    "startTime": self._second(started_at),
                    "cpu": taken | _told(row, _CPU) | _psi(row, "cpu"),
                    "memory": taken | _told(row, _MEMORY) | _psi(row, "memory"),
                    "io": taken | _psi(row, "io"),
                    "swap": taken | _told(row, {"swapUsageBytes": "memory_swap_bytes"}),
                    "rootfs": files | _told(row, _ROOTFS),
                    "logs": files | _told(row, {"usedBytes": "logsfs_used_bytes"}),
                }
            )
        node = {"nodeName": self.node, "systemContainers": [{"name": "kubelet", "cpu": {}}]}
        return {"node": node, "pods": list(pods.values())}

    def cadvisor(self) -> str:
        """Give the answer to ``/metrics/cadvisor``: what podlab needs among what it does not."""
        lines = ["# HELP machine_cpu_cores Number of logical CPU cores.", "# TYPE machine_cpu_cores gauge",
                 "machine_cpu_cores{boot_id=\"b\"} 2"]  # fmt: skip
        told = self.now()
        for family, (column, scale) in _OF_CONTAINERS.items():
            lines += self._family(family, column, told, lambda value, scale=scale: {"": value / scale})
        for family, column in _OF_DISKS.items():
            lines += self._family(
                family, column, told, lambda value: {"/dev/sda": value // 2, "/dev/sdb": value - value // 2}
            )
        for family, column in _OF_PODS.items():
            lines += [f"# HELP {family} Cumulative.", f"# TYPE {family} counter"]
            for group, names, row in _sandboxes(told):
                value, taken_ms = row.get(column), self._ms(_when(row, "network_age_seconds"))
                if not pd.isna(value):
                    whose = f'container="",id="{group}/pause",interface="eth0"'
                    lines.append(f"{family}{{{whose},{names}}} {int(value)!r} {taken_ms}")
        return "\n".join(lines) + "\n"

    def _family(self, family: str, column: str, told: _Now, divide: Callable[[int], dict[str, float]]) -> list[str]:
        lines = [f"# HELP {family} Cumulative.", f"# TYPE {family} counter"]
        for (namespace, pod, uid, container, _), row in told:
            value, taken_ms = row.get(column), self._ms(row["time"])
            if pd.isna(value):
                continue
            names = f'image="",name="",namespace="{_escape(namespace)}",pod="{_escape(pod)}"'
            group = f"/kubepods/burstable/pod{uid}"
            for device, part in divide(int(value)).items():
                whose = f'container="{_escape(container)}",device="{device}",id="{group}/{container}"'
                lines.append(f"{family}{{{whose},{names}}} {part!r} {taken_ms}")
            # The pod's own group holds all its containers; its sandbox is the pause container.
            lines.append(f'{family}{{container="",device="/dev/sda",id="{group}",{names}}} {value!r} {taken_ms}')
            lines.append(f'{family}{{container="POD",device="",id="{group}/pause",{names}}} 4096 {taken_ms}')
        lines.append(f'{family}{{container="",device="/dev/sda",id="/",image="",name="",namespace="",pod=""}} 1e+12')
        return lines

    def _ms(self, when: pd.Timestamp) -> int:
        return int(when.value // 10**6 + round(self.ahead_s * 1e3))

    def _second(self, when: pd.Timestamp) -> str:
        return (when + pd.Timedelta(self.ahead_s, "s")).floor("s").strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(row: dict[str, Any], names: dict[str, str]) -> dict[str, int]:
    return {name: int(row[column]) for name, column in names.items() if not pd.isna(row.get(column))}


def _when(row: dict[str, Any], age: str) -> pd.Timestamp:
    """When the values were measured whose age a row has; with the row where it does not say."""
    age_s = row.get(age)
    return row["time"] if pd.isna(age_s) else row["time"] - pd.Timedelta(age_s, "s")


def _psi(row: dict[str, Any], resource: str) -> dict[str, Any]:
    """A kubelet passes on the kernel's microseconds."""
    waited = {"some": row.get(f"{resource}_waiting_nanoseconds"), "full": row.get(f"{resource}_stalled_nanoseconds")}
    told = {
        name: {"total": int(ns) // 1000, "avg10": 0, "avg60": 0, "avg300": 0}
        for name, ns in waited.items()
        if not pd.isna(ns)
    }
    return {"psi": told} if told else {}


def _sandboxes(told: _Now) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each pod's cgroup, its names as labels, and a row of it."""
    seen = set()
    for (namespace, pod, uid, _, _), row in told:
        if (namespace, pod, uid) not in seen:
            seen.add((namespace, pod, uid))
            names = f'image="pause",name="",namespace="{_escape(namespace)}",pod="{_escape(pod)}"'
            yield f"/kubepods/burstable/pod{uid}", names, row


def _volumes(row: dict[str, Any], taken: dict[str, str]) -> list[dict[str, Any]]:
    used = row.get("volume_used_bytes")
    if pd.isna(used):
        return []
    parts = {"data": int(used) // 2, "token": int(used) - int(used) // 2}
    return [taken | {"name": name, "usedBytes": part} for name, part in parts.items()]


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _handler_for(kubelet: Kubelet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 30

        def do_GET(self) -> None:
            try:
                self._answer()
            except (OSError, ValueError):
                self.close_connection = True  # whoever asked went away

        def _answer(self) -> None:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            right = STATS if self.path.startswith("/stats") else METRICS
            if token not in kubelet.rights:
                return self._send(401, b"Unauthorized")
            kubelet.asked.append(right)
            if right not in set(kubelet.rights[token]):
                said = f"Forbidden (user=reader, verb=get, resource=nodes, subresource={right[1].partition('/')[2]})"
                return self._send(403, said.encode())
            fault = next((each for each in kubelet.faults if self.path.startswith(each.path)), None)
            if fault is not None:
                kubelet.faults.remove(fault)
            fault = fault or kubelet.always
            if fault is not None and self.path.startswith(fault.path):
                kubelet.stop.wait(fault.wait_s)
                body = self._right_answer() if fault.body is None else fault.body
                return self._send(fault.status, body, fault.cut_at, trickle=fault.trickle)
            return self._send(200, self._right_answer())

        def _right_answer(self) -> bytes:
            if self.path == "/stats/summary":
                return json.dumps(kubelet.summary()).encode()
            return kubelet.cadvisor().encode()

        def _send(self, status: int, body: bytes, cut_at: int | None = None, *, trickle: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            sent = body[:cut_at]
            if trickle:
                for start in range(len(sent)):
                    self.wfile.write(sent[start : start + 1])
                    if kubelet.stop.wait(0.05):
                        break
            else:
                self.wfile.write(sent)
            self.close_connection = self.close_connection or len(sent) < len(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output clean."""

    return Handler


@contextmanager
def running_kubelets(
    samples: pd.DataFrame, certificates: tuple[Path, Path], rights: Mapping[str, Iterable[tuple[str, str]]]
) -> Iterator[list[Kubelet]]:
    """Start a kubelet for each node of samples that happen now, for those who have rights (token -> rights)."""
    with ExitStack() as stack:
        kubelets = [
            stack.enter_context(Kubelet(samples, node, time.time, certificates[0]))
            for node in sorted(samples["node"].unique())
        ]
        for kubelet in kubelets:
            kubelet.rights = dict(rights)
        yield kubelets


@dataclass
class Cluster:
    """Kubelets of all nodes of a recording, a source that asks them, and a clock that tests turn."""

    kubelets: list[Kubelet]
    source: KubeletSource
    at_s: list[float]

    def run(self, seconds: float, *, every_s: float = 1.0) -> None:
        """Let time pass, with a round each so often."""
        until_s = self.at_s[0] + seconds
        while self.at_s[0] < until_s:
            self.at_s[0] += every_s
            self.source.poll()

    def fetch(self, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Give all samples that there are."""
        return self.source.fetch(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), pods=pods)


@contextmanager
def running_cluster(
    samples: pd.DataFrame,
    certificates: tuple[Path, Path],
    *,
    token: str = TOKEN,
    timeout_s: float = 10.0,
    max_bytes: int = 10_000_000,
    ahead_s: Mapping[str, float] | None = None,
    **options: Any,
) -> Iterator[Cluster]:
    """Start a kubelet for each node, just before each has a sample; ``ahead_s`` is by how much a node's clock is."""
    certificate, authority = certificates
    at_s = [samples.groupby("pod")["time"].min().max().timestamp() - 0.9]
    client = KubeletClient(
        lambda: {"Authorization": f"Bearer {token}"}, authority=str(authority), timeout_s=timeout_s,
        max_bytes=max_bytes,
    )  # fmt: skip
    with ExitStack() as stack:
        kubelets = [
            stack.enter_context(Kubelet(samples, node, lambda: at_s[0], certificate, (ahead_s or {}).get(node, 0.0)))
            for node in sorted(samples["node"].unique())
        ]
        source = KubeletSource(
            lambda: [each.address for each in kubelets], client.get, clock=lambda: at_s[0], **options
        )
        stack.callback(client.close)
        stack.callback(source.close)
        yield Cluster(kubelets, source, at_s)
