"""Samples straight from the kubelets, for a cluster without a database of metrics: those since it was opened."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import urllib3

from podlab.data.catalogue import AGES, CATALOGUE, MEASURED_METRICS
from podlab.data.samples import check_samples
from podlab.errors import InputError, PodlabError
from podlab.http import KUBELET, HttpClient, one_line
from podlab.sources.kubelet_answers import (
    CADVISOR,
    MISSING,
    NS_PER_S,
    SUMMARY,
    Instance,
    Reading,
    add_cadvisor,
    needs_cadvisor,
    read_summary,
    stored_columns,
)
from podlab.sources.protocol import NothingThereError, span_ns
from podlab.sources.time_join import Ints, instants

log = logging.getLogger(__name__)

#: 250 pods, four devices each, with all of cAdvisor's families take about 20 MB.
_MAX_BYTES: Final = 128_000_000
_RIGHTS: Final = {SUMMARY: "nodes/stats", CADVISOR: "nodes/metrics"}
#: Connections kept open, the least used closed first: one to each node of a large cluster.
_MAX_CONNECTIONS: Final = 1024


class KubeletAddress(NamedTuple):
    """Where a node's kubelet listens."""

    node: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class KubeletClient:
    """Asks kubelets directly, each at its node's own address; threads may share it.

    A kubelet checks the caller's token and rights with the API server: ``get`` on ``nodes/stats`` for ``/stats/*`` and
    on ``nodes/metrics`` for ``/metrics/*``
    (https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/). The way through the API server would
    need ``nodes/proxy``, which also lets its holder run commands in every container.

    Parameters
    ----------
    headers : callable
        Gives the headers that say who asks, anew for each request: tokens are renewed.
    authority : str, optional
        File with the certificates that sign the kubelets' own; the system's by default.
    verify : bool
        False: accept any certificate, which exposes the token to a man in the middle.
    certificate, key : str, optional
        Files with the caller's own certificate.
    timeout_s : float
        Longest time for a whole answer.
    max_bytes : int
        A longer answer is not read to its end.
    """

    def __init__(
        self,
        headers: Callable[[], Mapping[str, str]],
        authority: str | None = None,
        verify: bool = True,
        certificate: str | None = None,
        key: str | None = None,
        timeout_s: float = 10.0,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        options: dict[str, Any] = {"ca_certs": authority} if verify else {"assert_hostname": False}
        pool = urllib3.PoolManager(
            num_pools=_MAX_CONNECTIONS, maxsize=1, cert_reqs="CERT_REQUIRED" if verify else "CERT_NONE",
            cert_file=certificate, key_file=key, **options,
        )  # fmt: skip
        if not verify:
            # The user chose it; no warning for each answer.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._http = HttpClient(KUBELET, pool, timeout_s=timeout_s)
        self._headers, self._max_bytes = headers, max_bytes

    def close(self) -> None:
        """Close the open connections."""
        self._http.close()

    def get(self, address: KubeletAddress, path: str) -> bytes:
        """Read one answer.

        Raises InputError if the kubelet is not trusted, or refuses the caller; PodlabError if it cannot be reached,
        fails, takes too long, or answers at too great length.
        """
        where = f"node {address.node} ({address.url})"
        answer = self._http.send(
            "GET", address.url + path, where=where, headers=self._headers(), max_bytes=self._max_bytes
        )
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer.status, path, one_line(answer.body[:300].decode("utf-8", "replace")), where)
        return answer.body


def _refusal(status: int, path: str, message: str, where: str) -> PodlabError:
    if status == HTTPStatus.UNAUTHORIZED:
        hint = "renew the token; the kubelet must check tokens with the API server (authentication.webhook.enabled)"
        return InputError("the kubelet does not accept the credentials (401)", where=where, hint=hint)
    if status == HTTPStatus.FORBIDDEN:
        hint = f"grant the verb get on {_RIGHTS.get(path, path)} (deploy/overlays/kubelet/rbac.yaml)"
        return InputError(f"no right to {path} (403): {message}", where=where, hint=hint)
    return PodlabError(f"the kubelet answered {path} with {status}: {message}", where=where)


#: Each takes 16 bytes and 8 a column: 10,000 containers each 10 s for 16 minutes.
_MOST_ROWS: Final = 1_000_000
_NOBODY: Final = np.zeros(0, dtype=np.int64)


class _Block(NamedTuple):
    came_s: float
    code: Ints
    time_ns: Ints
    numbers: Ints


class ReadingBuffer:
    """Samples that came within the last ``window_s``, by our clock whatever the nodes' say; threads may share it.

    Beyond ``most_rows`` the oldest are dropped early. ``columns`` are those of all readings.
    """

    def __init__(self, window_s: float, columns: tuple[str, ...], most_rows: int = _MOST_ROWS) -> None:
        self.window_s = window_s
        self.columns = columns
        self.most_rows = most_rows
        self._blocks: deque[_Block] = deque()
        self._codes: dict[Instance, int] = {}
        self._newest_ns: dict[int, int] = {}
        self._next = 0
        self._rows = 0
        self._dropped = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._rows

    def add(self, readings: Sequence[Reading], came_s: float) -> int:
        """Add the readings of some nodes, which came ``came_s`` after 1970; return how many samples were new.

        A sample that is not newer than its container's last one is left out: a kubelet measures each 10 s or so and
        gives the same sample until then.
        """
        with self._lock:
            parts = [part for reading in readings if (part := self._fresh(reading)) is not None]
            if parts:
                code, time_ns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
                self._blocks.append(_Block(came_s, code, time_ns, values))
                self._rows += len(code)
            self._forget(came_s)
            return sum(len(code) for code, _, _ in parts)

    def _fresh(self, reading: Reading) -> tuple[Ints, Ints, Ints] | None:
        code = np.empty(len(reading.instances), dtype=np.int64)
        new = np.zeros(len(reading.instances), dtype=bool)
        for row, (instance, at_ns) in enumerate(zip(reading.instances, reading.time_ns.tolist(), strict=True)):
            number = self._codes.get(instance)
            if number is None:
                number = self._codes[instance] = self._next
                self._next += 1
            code[row] = number
            # A kubelet measures no more often; the same sample may come with and without its milliseconds.
            if at_ns // NS_PER_S > self._newest_ns.get(number, MISSING) // NS_PER_S:
                self._newest_ns[number] = at_ns
                new[row] = True
        return (code[new], reading.time_ns[new], reading.numbers[new]) if new.any() else None

    def _forget(self, now_s: float) -> None:
        forgotten = False
        while self._blocks and (self._blocks[0].came_s < now_s - self.window_s or self._rows > self.most_rows):
            if self._rows > self.most_rows and not self._dropped:
                log.warning("more than %d samples in %g s: the oldest are dropped early", self.most_rows, self.window_s)
                self._dropped = True
            self._rows -= len(self._blocks.popleft().code)
            forgotten = True
        if forgotten:
            # Whoever has no sample left is gone.
            live = set(np.unique(np.concatenate([block.code for block in self._blocks] or [_NOBODY])).tolist())
            self._codes = {instance: code for instance, code in self._codes.items() if code in live}
            self._newest_ns = {code: at_ns for code, at_ns in self._newest_ns.items() if code in live}

    def select(self, since_ns: int, until_ns: int, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Give the samples with ``since_ns <= time < until_ns``, of all pods or of those with one of these names.

        The table is not checked yet and has no ``cluster``; columns of which nothing is known are absent.
        """
        with self._lock:
            blocks, instances = list(self._blocks), {code: each for each, code in self._codes.items()}
        wanted = np.array([c for c, each in instances.items() if pods is None or each.pod in pods], dtype=np.int64)
        parts = []
        for block in blocks:
            keep = (block.time_ns >= since_ns) & (block.time_ns < until_ns)
            if pods is not None:
                keep &= np.isin(block.code, wanted)
            if keep.any():
                parts.append((block.code[keep], block.time_ns[keep], block.numbers[keep]))
        if not parts:
            return pd.DataFrame({"time": pd.Series(dtype="datetime64[ns, UTC]")})
        code, time_ns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
        known, row = np.unique(code, return_inverse=True)
        return _to_frame([instances[number] for number in known], row, time_ns, values, self.columns)


def _to_frame(
    instances: Sequence[Instance], row: Ints, time_ns: Ints, values: Ints, columns: Sequence[str]
) -> pd.DataFrame:
    def text(name: str) -> pd.Series:
        given = pd.Series([getattr(each, name) or None for each in instances], dtype="str")
        return given.take(row).reset_index(drop=True)

    started_ns = np.array([each.started_ns for each in instances], dtype=np.int64)[row]
    names = ("node", "namespace", "pod", "pod_uid", "container")
    table = {"time": instants(time_ns), **{name: text(name) for name in names}}
    table["started_at"] = instants(started_ns).where(started_ns != MISSING)
    for number, name in enumerate(columns):
        known = values[:, number] != MISSING
        if known.any():
            if name in AGES.values():
                age_s = (time_ns - values[:, number]) / NS_PER_S
                table[name] = pd.Series(np.where(known, age_s.round(3), np.nan))
            elif CATALOGUE[name].kind == "counter":
                table[name] = pd.Series(pd.arrays.IntegerArray(np.ascontiguousarray(values[:, number]), ~known))
            else:
                table[name] = pd.Series(np.where(known, values[:, number].astype(np.float64), np.nan))
    return pd.DataFrame(table)


#: Nodes come and go more seldom than pods.
_RENEW_NODES_S: Final = 60.0
#: How far a node's clock may be off before it is reported.
_SKEW_S: Final = 30.0


class KubeletSource:
    """The kubelets of a cluster as a source of samples: asked again and again, the last minutes kept in memory.

    All nodes are asked in parallel. One that is slow or fails does not delay the others: it is reported once, and asked
    again in each round.

    Parameters
    ----------
    nodes : callable
        Gives the kubelets' addresses; asked again each minute.
    get : callable
        Reads one path of one kubelet, such as :meth:`KubeletClient.get`.
    cluster : str
        The cluster's name in samples.
    interval_s : float
        From one round to the next. A kubelet measures each 10 s or so, and gives the same sample until then; asking
        more often finds a new one sooner.
    window_s : float
        How long samples are kept.
    columns : collection of str, optional
        The metrics to fetch; without any that only cAdvisor has (block I/O, processes, throttling, packets) a node is
        asked once instead of twice.
    parallel : int
        How many nodes are asked at the same time.
    clock : callable
        The present in seconds since 1970.
    let_go : callable
        Called at the end, to close what ``nodes`` and ``get`` hold.
    """

    #: What was before it was opened is not known.
    has_past = False

    def __init__(
        self,
        nodes: Callable[[], Sequence[KubeletAddress]],
        get: Callable[[KubeletAddress, str], bytes],
        *,
        cluster: str = "local",
        interval_s: float = 5.0,
        window_s: float = 600.0,
        columns: Collection[str] | None = None,
        parallel: int = 16,
        clock: Callable[[], float] = time.time,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self.cluster = cluster
        self.interval_s = interval_s
        self.columns = stored_columns(MEASURED_METRICS if columns is None else columns)
        self.buffer = ReadingBuffer(window_s, self.columns)
        #: What is wrong with a node just now, by its name.
        self.failures: dict[str, PodlabError] = {}
        self._list_nodes, self._get, self._clock, self._let_go = nodes, get, clock, let_go
        self._nodes: Sequence[KubeletAddress] = ()
        self._listed_s = float("-inf")
        self._listing: PodlabError | None = None
        self._pending: dict[str, Future[Reading]] = {}
        self._skewed: set[str] = set()
        #: Why a node gives no answer to :data:`CADVISOR`, by its name.
        self.without_cadvisor: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="kubelet")
        self._round = threading.Lock()
        self._polled = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """How many kubelets of which cluster."""
        return f"kubelets of {len(self._nodes)} nodes of cluster {self.cluster!r}"

    def start(self) -> KubeletSource:
        """Ask again and again from now on, in a thread of its own, until it is closed."""
        self._thread = threading.Thread(target=self._run, name="kubelets", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """End the thread; answers under way are not waited for."""
        self._stop.set()
        self._polled.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._thread is not None:
            self._thread.join(self.interval_s)
        self._let_go()

    def _run(self) -> None:
        while not self._stop.is_set():
            begun_s = time.monotonic()
            try:
                self.poll()
            except Exception:
                if self._stop.is_set():
                    return  # what was under way found everything closed
                # The next round may do better.
                log.exception("a round over the kubelets failed")
                self._polled.set()
            self._stop.wait(max(0.0, begun_s + self.interval_s - time.monotonic()))

    def poll(self) -> int:
        """Ask each node once and add what arrives within an interval; what arrives later is added in the next round.

        Returns
        -------
        int
            How many samples were new.
        """
        with self._round:
            self._renew_nodes()
            for address in self._nodes:
                if address.node not in self._pending and not self._stop.is_set():
                    self._pending[address.node] = self._pool.submit(self._read, address)
            wait(self._pending.values(), timeout=self.interval_s)
            readings = []
            for node in [node for node, future in self._pending.items() if future.done()]:
                future = self._pending.pop(node)
                try:
                    readings.append(future.result())
                except PodlabError as error:
                    self._report(node, error)
                except Exception as error:
                    if self._stop.is_set():
                        raise  # it was given up
                    # A broken answer of one node must not lose the others' samples.
                    log.debug("node %s", node, exc_info=True)
                    what = f"its answer cannot be read: {type(error).__name__}: {error}"
                    self._report(node, PodlabError(what, where=f"node {node}"))
                else:
                    self._report(node, None)
                    self._check_clock(node, readings[-1])
            new = self.buffer.add(readings, self._clock())
            self._polled.set()
            return new

    def _renew_nodes(self) -> None:
        if self._clock() - self._listed_s < _RENEW_NODES_S and self._listing is None:
            return
        try:
            self._nodes = list(self._list_nodes())
        except PodlabError as error:
            if self._listing is None and not self._stop.is_set():
                log.warning("the nodes cannot be listed: %s", error)
            self._listing = error
            return
        self._listing, self._listed_s = None, self._clock()
        there = {address.node for address in self._nodes}
        self.failures = {node: error for node, error in self.failures.items() if node in there}
        self._skewed &= there
        for node in set(self.without_cadvisor) - there:
            self.without_cadvisor.pop(node, None)

    def _read(self, address: KubeletAddress) -> Reading:
        reading = read_summary(self._get(address, SUMMARY), address.node, self.columns)
        if needs_cadvisor(self.columns):
            try:
                # Less than half a kubelet's own interval away, or it is of another moment.
                add_cadvisor(reading, self._get(address, CADVISOR), address.node, tolerance_s=self.interval_s)
            except PodlabError as error:
                if self.without_cadvisor.get(address.node) != error.message:
                    log.warning("no block I/O, nor the other metrics that only %s has: %s", CADVISOR, error)
                self.without_cadvisor[address.node] = error.message
            else:
                self.without_cadvisor.pop(address.node, None)
        return reading

    def _report(self, node: str, error: PodlabError | None) -> None:
        """Log once when a node starts to fail, and when it recovers."""
        before = self.failures.pop(node, None)
        if error is not None:
            self.failures[node] = error
            if before is None or before.message != error.message:
                log.warning("%s", error)
        elif before is not None:
            log.warning("node %s answers again", node)

    def _check_clock(self, node: str, reading: Reading) -> None:
        if not len(reading.time_ns):
            return
        ahead_s = int(reading.time_ns.max()) / NS_PER_S - self._clock()
        # Behind by less than a kubelet's interval and a round is no fault of the clock.
        if abs(ahead_s) <= _SKEW_S:
            self._skewed.discard(node)
        elif node not in self._skewed:
            self._skewed.add(node)
            word = "ahead of" if ahead_s > 0 else "behind"
            log.warning(
                "node %s: its newest sample is %.0f s %s our clock; set its time (NTP)", node, abs(ahead_s), word
            )

    def fetch(self, since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        """Give the samples with ``since <= time < until``; see :class:`podlab.sources.protocol.LiveSource`.

        The first time waits until the nodes were asked once. Raises NothingThereError if nothing is known of the pods
        asked for, InputError or PodlabError if the nodes cannot be listed, or none of them answers.
        """
        since_ns, until_ns = span_ns(since, until)
        if self._thread is None and not self._polled.is_set():
            self.poll()
        self._polled.wait()
        found = self.buffer.select(since_ns, until_ns, pods=pods)
        if len(found):
            return check_samples(found.assign(cluster=self.cluster), where=self.name)
        if self._listing is not None:
            raise self._listing
        if not self._nodes:
            raise InputError("the cluster has no node with an address", where=self.name)
        if len(self.failures) == len(self._nodes):
            raise next(iter(self.failures.values()))
        if pods is not None:
            raise NothingThereError(f"no sample of the {len(pods)} pods asked for", where=self.name)
        what = f"no sample from {since:%H:%M:%S} to {until:%H:%M:%S} UTC"
        raise InputError(what, where=self.name, hint="a kubelet keeps no past: collect for longer")
