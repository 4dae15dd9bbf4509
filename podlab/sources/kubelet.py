"""Samples straight from the kubelets, for a cluster without a database of metrics: those since it was opened."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import pandas as pd
import urllib3

from podlab.data.catalogue import MEASURED_METRICS
from podlab.data.samples import check_samples
from podlab.errors import InputError, PodlabError
from podlab.http import KUBELET, HttpClient, one_line
from podlab.sources.kubelet_answers import (
    CADVISOR,
    NS_PER_S,
    SUMMARY,
    Reading,
    add_cadvisor,
    needs_cadvisor,
    read_summary,
    stored_columns,
)
from podlab.sources.protocol import NothingThereError, span_ns
from podlab.sources.reading_buffer import ReadingBuffer

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

        Raises
        ------
        InputError
            If the kubelet is not trusted, or refuses the caller.
        PodlabError
            If it cannot be reached, fails, takes too long, or answers at too great length.
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

        The first time waits until the nodes were asked once.

        Raises
        ------
        NothingThereError
            If nothing is known of the pods asked for.
        InputError, PodlabError
            If the nodes cannot be listed, or none of them answers.
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
        raise InputError(
            f"no sample from {since:%H:%M:%S} to {until:%H:%M:%S} UTC",
            where=self.name,
            hint="a kubelet keeps no past: collect for longer",
        )
