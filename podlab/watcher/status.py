"""The watcher's status, for probes, programs and people, and the small read-only web server that serves it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from podlab.errors import InputError
from podlab.kubernetes.informer import InformerStatus
from podlab.watcher.anomalies import AnomalyMonitor
from podlab.watcher.containers import DecisionRecord, TrackedContainer, describe
from podlab.watcher.loop import Watcher
from podlab.watcher.workloads import WorkloadVerdict

#: After this long without a round that is due, or without an attempt to follow the pods, a restart may help.
STUCK_S: Final = 300.0
#: After this long without an open watch the pods are not followed: a watch ends and is reopened sooner.
_UNWATCHED_S: Final = 120.0
_ROWS: Final = 200
_WORKLOAD_ROWS: Final = 50

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>podlab watch</title><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #8884; vertical-align: top }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem }} dd {{ margin: 0 }}
.bad {{ color: #b00020 }}
@media (prefers-color-scheme: dark) {{ .bad {{ color: #ff8a80 }} }}
</style></head><body><main><h1>podlab watch</h1>
<dl>{facts}</dl>
{workloads}
<table><thead><tr><th>namespace</th><th>pod</th><th>container</th><th>service</th><th>confidence</th><th>waited</th>
<th>most similar</th><th>decided (UTC)</th><th>anomaly detection</th></tr></thead><tbody>{rows}</tbody></table>
<p>{shown}</p></main></body></html>
"""


@dataclass(frozen=True)
class WatcherStatus:
    """What a running watcher reports, from any thread.

    Attributes
    ----------
    watcher : Watcher
    informer : InformerStatus
    began_s : float
        When the watcher was started, on the steady clock.
    steady : callable
        The clock of watcher and informer.
    leading : callable
        Whether this watcher announces.
    now : callable
        Seconds since 1970.
    """

    watcher: Watcher
    informer: InformerStatus
    began_s: float
    steady: Callable[[], float]
    leading: Callable[[], bool] = lambda: True
    now: Callable[[], float] = time.time

    def stuck(self) -> list[str]:
        """Why the watcher should be restarted; empty while it is alive."""
        # An unreachable API server is not a reason: a restart would lose what is known, and bring nothing back.
        now_s, reasons = self.steady(), []
        for what, at_s, most_s in (
            ("round", self.watcher.last_round_s, self.watcher.options.interval_s + STUCK_S),
            ("attempt to follow the pods", self.informer.last_attempt_s, STUCK_S),
        ):
            since_s = now_s - (self.began_s if at_s is None else at_s)
            if since_s > most_s:
                reasons.append(f"no {what} for {since_s:.0f} s")
        return reasons

    def not_ready(self) -> list[str]:
        """Why the watcher does not do its work; empty when it does."""
        informer, reasons = self.informer, []
        why = f": {informer.last_error}" if informer.last_error else ""
        if not informer.synced:
            reasons.append(f"the pods were not listed yet{why}")
        elif informer.last_watch_s is None:
            reasons.append(f"the pods are not watched yet{why}")
        elif (since_s := self.steady() - informer.last_watch_s) > _UNWATCHED_S:
            reasons.append(f"the pods have not been watched for {since_s:.0f} s{why}")
        if self.watcher.last_round_s is None:
            reasons.append("no round was done yet")
        if self.watcher.health.trouble is not None:
            reasons.append(f"no metrics come: {self.watcher.health.trouble}")
        return reasons

    def metrics(self) -> bytes:
        """Write the metrics in Prometheus' text format."""
        metrics, informer = self.watcher.metrics, self.informer
        metrics.watch_synced.set(informer.synced)
        if informer.last_contact_s is not None:
            metrics.watch_contact.set(self.now() - self.steady() + informer.last_contact_s)
        for what, count in (("list", informer.lists), ("watch", informer.watches), ("error", informer.errors)):
            metrics.count_watch_requests(what, count)
        return metrics.text()

    def containers(self) -> Iterator[dict[str, object]]:
        """Describe every container."""
        monitor, cluster = self.watcher.monitor, self.watcher.options.cluster
        for tracked in self.watcher.registry.containers():
            decision = tracked.decision
            state = "waiting" if decision is None else "unknown" if decision.service is None else "decided"
            watched = monitor.describe(tracked) if monitor else {"watched": "off"}
            running = tracked.view.state == "running"
            yield {**tracked.describe(cluster), "state": state, "running": running, **watched}
        for view in self.watcher.registry.not_started():
            found = describe(view, cluster, None, None)
            yield {**found, "state": "not started", "running": False, "reason": view.reason}

    def workloads(self) -> Iterator[dict[str, object]]:
        """Describe every workload."""
        return (verdict.to_json() for verdict in self.watcher.workloads.verdicts.values())

    def page(self) -> str:
        """Write the status page: read-only, no script, nothing from elsewhere."""
        watcher, monitor = self.watcher, self.watcher.monitor
        containers = watcher.registry.containers()
        decided = [(tracked, tracked.decision) for tracked in containers if tracked.decision is not None]
        anomalous = {each.number for each in containers if monitor and monitor.state(each) == "anomalous"}
        # The newest decisions first, and before them what is anomalous.
        decided.sort(key=lambda each: (each[0].number in anomalous, each[1].at_s), reverse=True)
        known = sum(decision.service is not None for _, decision in decided)
        bad = [*self.stuck(), *self.not_ready()]
        no_metrics = watcher.health.trouble or watcher.database_error
        name, _, digest = watcher.model.name.partition("@")
        facts = [
            ("status", "; ".join(bad) or "ok", bool(bad)),
            ("announces", "yes" if self.leading() else "no, another watcher does", False),
            ("model", f"{name}@{digest[:12]}", False),
            ("refused model", watcher.model.refused or "none", watcher.model.refused is not None),
            ("metrics", no_metrics or "arriving", no_metrics is not None),
            ("containers", f"{known} identified, {len(decided) - known} unknown, {len(containers) - len(decided)} "
             f"waiting, {len(watcher.registry.not_started())} not started", False),
            ("workloads", ", ".join(f"{count} {state}" for state, count in watcher.workloads.counts().items()), False),
            ("claims", ", ".join(f"{count} {said}" for said, count in watcher.workloads.claims().items())
             if watcher.options.claims else "not checked", bool(watcher.workloads.mismatches)),
            ("anomalies", f"in {len(anomalous)} containers" if monitor else "not looked for", bool(anomalous)),
        ]  # fmt: skip
        listed = "".join(
            f"<dt>{label}</dt><dd{' class=bad' if is_bad else ''}>{escape(value)}</dd>"
            for label, value, is_bad in facts
        )
        rows = "".join(_row(tracked, decision, monitor) for tracked, decision in decided[:_ROWS])
        shown = (
            f"The newest {min(len(decided), _ROWS)} of {len(decided)} decisions, anomalous containers first; all are "
        )
        shown += 'at <a href="/containers">/containers</a>, workloads at <a href="/workloads">/workloads</a>, '
        shown += 'metrics at <a href="/metrics">/metrics</a>.'
        workloads = _workload_table(
            "Workloads that do not behave like what they claim to be", watcher.workloads.mismatching(_WORKLOAD_ROWS)
        ) + _workload_table("Workloads whose replicas disagree", watcher.workloads.disagreeing(_WORKLOAD_ROWS))
        return _PAGE.format(facts=listed, workloads=workloads, rows=rows, shown=shown)


def _workload_table(title: str, verdicts: Sequence[WorkloadVerdict]) -> str:
    """Write some workloads; nothing where there are none."""
    if not verdicts:
        return ""
    rows = "".join(
        _cells(*each.key, each.claim or "", each.service or "unknown", f"{each.confidence:.0%}", str(each.replicas),
               ", ".join(f"{pod} ({service})" for pod, service in each.named)
               + f", {each.disagreeing - len(each.named)} more" * (each.disagreeing > len(each.named)))
        for each in verdicts
    )  # fmt: skip
    names = ("namespace", "workload", "container", "claims to be", "behaves like", "confidence", "replicas",
             "disagreeing replicas")  # fmt: skip
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(tracked: TrackedContainer, decision: DecisionRecord, monitor: AnomalyMonitor | None) -> str:
    view, prediction = tracked.view, decision.prediction
    similar = ", ".join(service for service, _ in prediction.similar) if prediction else ""
    service = decision.service or ("unknown: no metrics" if decision.reason == "unseen" else "unknown")
    watched: str = monitor.state(tracked) if monitor else "off"
    if watched != "off" and tracked.source_detectors:
        watched += f" ({', '.join(name for name, _ in tracked.source_detectors)})"
    return _cells(
        view.namespace, view.pod, view.container, service, f"{decision.confidence:.0%}", f"{decision.waited_s:.0f} s",
        similar, datetime.fromtimestamp(decision.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S"), watched,
    )  # fmt: skip


def _cells(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


#: Requests answered at once; a further one is rejected.
_MOST_REQUESTS: Final = 16
#: A slower client is disconnected, in seconds.
_TIMEOUT_S: Final = 10.0
_PIECE: Final = 500


class StatusServer:
    """Serves a status; use it in a ``with`` block.

    ``/metrics``, ``/containers`` and ``/workloads`` (JSON), ``/healthz``, ``/readyz``, and ``/``, a page for people.

    Parameters
    ----------
    listen : str
        ``host:port``; port 0 takes a free one.
    status : WatcherStatus

    Raises
    ------
    InputError
        If it is not an address, or in use.
    """

    def __init__(self, listen: str, status: WatcherStatus) -> None:
        host, colon, port = listen.rpartition(":")
        host = host.strip("[]")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise InputError(f"{listen!r} is not an address to listen at", where="watch_listen", hint="write host:port")
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, int(port)), _handler_for(status))
        except OSError as error:
            hint = "choose another watch_listen"
            raise InputError(f"cannot listen at {listen}: {error.strerror or error}", hint=hint) from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self._server.server_address[1])

    def __enter__(self) -> StatusServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(_MOST_REQUESTS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler_for(status: WatcherStatus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S
        server_version = "podlab"
        sys_version = ""

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path in ("/healthz", "/readyz"):
                reasons = status.stuck() if path == "/healthz" else status.not_ready()
                text = "ok\n" if not reasons else "".join(f"{reason}\n" for reason in reasons)
                self._answer("text/plain; charset=utf-8", [text.encode()], 503 if reasons else 200)
            elif path == "/metrics":
                self._answer("text/plain; version=0.0.4; charset=utf-8", [status.metrics()])
            elif path == "/containers":
                self._answer("application/json", _as_array(status.containers()))
            elif path == "/workloads":
                self._answer("application/json", _as_array(status.workloads()))
            elif path == "/":
                self._answer("text/html; charset=utf-8", [status.page().encode()])
            else:
                self._answer("text/plain; charset=utf-8", [b"not found\n"], 404)

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, kind: str, pieces: Iterable[bytes], code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            for piece in pieces if self.command == "GET" else ():
                self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing: probes come every few seconds."""

    return Handler


def _as_array(objects: Iterator[dict[str, object]]) -> Iterator[bytes]:
    """Write a JSON array piece by piece, so that 10,000 containers need no memory of their own."""
    piece: list[str] = []
    opening = "["
    for number, each in enumerate(objects):
        piece.append((opening if number == 0 else ",\n") + json.dumps(each, ensure_ascii=False, allow_nan=False))
        opening = ""
        if len(piece) == _PIECE:
            yield "".join(piece).encode()
            piece.clear()
    yield ("".join(piece) + ("[]" if opening else "]") + "\n").encode()
