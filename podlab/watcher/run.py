"""Putting the watcher together as the settings say, and running it until it is told to stop."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Final

import pandas as pd

from podlab.config import Settings
from podlab.data.catalogue import FEATURE_METRICS
from podlab.errors import InputError, PodlabError
from podlab.identify.early import TriggerPolicy
from podlab.kubernetes.client import ApiConnection, connect
from podlab.kubernetes.informer import PodInformer
from podlab.live import live_source, writable_database
from podlab.sources.protocol import LiveSource
from podlab.watcher.announce import Sink
from podlab.watcher.docket import Pace
from podlab.watcher.http import StatusServer
from podlab.watcher.journal import Journal
from podlab.watcher.lease import Lease
from podlab.watcher.logs import JsonHandler, JsonLines
from podlab.watcher.loop import Clock, Watcher
from podlab.watcher.memory import stay_small
from podlab.watcher.model import ModelSlot
from podlab.watcher.sinks import AnnotationSink, EventSink, InfluxSink, LogSink, events_path, make_own_event
from podlab.watcher.source_health import SourceHealth
from podlab.watcher.status import STUCK_S, Status
from podlab.watcher.stop import Stop, Stopped

log = logging.getLogger(__name__)

#: So long the source of metrics may take for each step of an answer.
_DATABASE_S: Final = 30.0
#: So long the API server may take to create an event.
_CLUSTER_S: Final = 10.0
#: The leader may have come to a decision so much later than a watcher beside it.
_MARGIN_S: Final = 60.0
#: With --once: how long to wait for the list of pods.
_LIST_S: Final = 60.0
#: With --once there is one look, which decides.
_AT_ONCE: Final = TriggerPolicy(consecutive=1, timeout_s=1e-9)


def watch(settings: Settings, *, once: bool = False, dry_run: bool = False) -> None:
    """Watch a cluster until SIGTERM or Ctrl-C.

    Parameters
    ----------
    settings : Settings
    once : bool
        Look at what runs now, say what it is, whoever said so before, and end.
    dry_run : bool
        Only write to the output: no event, no annotation, no point, no Lease, no file.

    Raises
    ------
    InputError
        If the model is not sound, there is no way to a cluster, or a setting is no good. What fails later is told,
        and tried again.
        With ``once`` also if the metrics cannot be had.
    PodlabError
        With ``once``, if the pods cannot be listed, or a sink fails.
    """
    stay_small()
    lines, stop, clock = JsonLines(), Stop(), Clock()
    with ExitStack() as stack:
        stack.enter_context(_logging_to(lines))
        stack.enter_context(stop.on_signals())
        instance = f"{socket.gethostname()[:63]}_{secrets.token_hex(4)}"
        model = ModelSlot(settings.model_path)
        anomalies = settings.watch_anomalies and not once
        if anomalies and model.library is None:
            raise InputError(
                "has no detectors",
                where=str(settings.model_path),
                hint="fit the model again, or leave watch_anomalies off",
            )
        source = live_source(settings, timeout_s=_DATABASE_S, columns=FEATURE_METRICS)
        stack.callback(source.close)
        journal = Journal(None if once or dry_run else settings.watch_state)
        connection = _connect(settings)
        stack.callback(connection.close)
        watcher = Watcher(
            _Leavable(source, stop), model, _sinks(settings, lines, connection, instance, once, dry_run), journal,
            cluster=settings.cluster, clock=clock,
            policy=_AT_ONCE if once else TriggerPolicy(timeout_s=settings.metrics_timeout.total_seconds()),
            pace=Pace(
                settings.watch_interval.total_seconds(), window_s=settings.fetch_window.total_seconds(),
                asking_s=inf if once else Pace.asking_s, told_per_s=inf if once or dry_run else Pace.told_per_s,
            ),
            health=_health(settings, connection, instance, clock, once=once, dry_run=dry_run),
            anomalies=anomalies,
            all_pods=not (
                settings.watch_namespaces or settings.watch_excluded_namespaces or settings.watch_selector
            ),
        )  # fmt: skip
        informer = PodInformer(
            lambda: _connect(settings), watcher.roster.put, namespaces=settings.watch_namespaces or None,
            exclude_namespaces=settings.watch_excluded_namespaces, label_selector=settings.watch_selector,
            own_namespace=settings.watch_pod and settings.watch_pod.namespace,
        )  # fmt: skip
        # Before the threads start, so that a wrong address ends the program and not one of them.
        lease = None if once or dry_run else _lease(settings, instance, watcher, clock)
        status = Status(
            watcher,
            lambda: informer.status,
            (lambda: lease.leading) if lease else (lambda: True),
            clock.steady,
            clock.steady(),
        )  # fmt: skip
        if settings.watch_listen and not once:
            server = stack.enter_context(StatusServer(settings.watch_listen, status))
            log.info("serves at %s:%d", settings.watch_listen.rpartition(":")[0], server.port)
        _start(stack, stop, informer, lease)
        log.info("model %s watches", model.name)
        if once:
            _look_once(watcher, informer, stop, clock)
        else:
            _go_round(watcher, informer, lease, stop, clock, settings.watch_interval.total_seconds())
        log.info("stopped")


def _go_round(
    watcher: Watcher, informer: PodInformer, lease: Lease | None, stop: Stop, clock: Clock, interval_s: float
) -> None:
    known = False
    while stop.proceed():
        begun_s = clock.steady()
        alive_s = lease.others_alive_s if lease else None
        synced = informer.status.synced
        try:
            watcher.tick(
                leading=lease is None or lease.leading,
                told_before_s=None if alive_s is None else alive_s - _MARGIN_S,
                proceed=stop.proceed,
            )
        except Stopped:
            return
        except Exception:
            # Whatever it is, it must not end the watch: the next round may do better, else /healthz will tell.
            log.exception("a round failed")
            watcher.metrics.errors.labels("round").inc()
        if synced and not known:
            watcher.forget_gone()
            known = True
        stop.event.wait(max(0.0, begun_s + interval_s - clock.steady()))


def _look_once(watcher: Watcher, informer: PodInformer, stop: Stop, clock: Clock) -> None:
    until_s = clock.steady() + _LIST_S
    while stop.proceed() and not informer.status.synced:
        if clock.steady() > until_s:
            why = informer.status.last_error
            raise PodlabError(f"the pods cannot be listed within {_LIST_S:g} s" + (f": {why}" if why else ""))
        stop.event.wait(0.05)
    try:
        for _ in range(2):  # the first for what is recognised; then the time is up for the rest
            watcher.tick(proceed=stop.proceed)
        before = inf
        while stop.proceed() and 0 < watcher.waiting < before:  # very many are not told in the time of a round
            before = watcher.waiting
            watcher.tick(proceed=stop.proceed)
    except Stopped:
        return
    if (trouble := watcher.database_error or watcher.health.trouble) is not None:
        raise InputError(trouble)
    if watcher.waiting and stop.proceed():
        raise PodlabError(f"{watcher.waiting} announcements could not be made", hint="see the log lines above")


def _connect(settings: Settings) -> ApiConnection:
    return connect(settings.kubernetes_endpoint, settings.kubernetes_access, timeout_s=_CLUSTER_S)


def _sinks(
    settings: Settings, lines: JsonLines, connection: ApiConnection, instance: str, once: bool, dry_run: bool
) -> list[Sink]:
    """Make the sinks; the log after the event, which knows what was told before, but for one look, which says all."""
    wanted = {"log"} if dry_run else set(settings.watch_sinks)
    sinks: list[Sink] = []
    if "event" in wanted:
        sinks.append(EventSink(connection, instance))
    if "annotation" in wanted:
        sinks.append(AnnotationSink(connection))
    if "influxdb" in wanted:
        sinks.append(InfluxSink(writable_database(settings, timeout_s=_CLUSTER_S)))
    if "log" in wanted:
        sinks.insert(0 if once else len(sinks), LogSink(lines))
    return sinks


def _health(
    settings: Settings, connection: ApiConnection, instance: str, clock: Clock, *, once: bool, dry_run: bool
) -> SourceHealth:
    """Make what notices that no metrics come; it tells by an Event on the watcher's own pod, where it has one."""
    pod = settings.watch_pod
    patience_s = 0.0 if once else settings.metrics_timeout.total_seconds() / 2
    if pod is None or once or dry_run or "event" not in settings.watch_sinks:
        return SourceHealth(patience_s)

    def tell(why: str) -> None:
        event = make_own_event(pod, "NoMetricsAtAll", f"no metrics come: {why}", clock.now(), instance)
        connection.request("POST", events_path(pod.namespace), event)

    return SourceHealth(patience_s, tell)


def _lease(settings: Settings, instance: str, watcher: Watcher, clock: Clock) -> Lease | None:
    if settings.watch_lease is None:
        return None
    began_s = clock.steady()

    def healthy() -> bool:
        return clock.steady() - (watcher.last_tick_s or began_s) < watcher.pace.interval_s + STUCK_S

    return Lease(_connect(settings), settings.watch_lease, instance, healthy=healthy, clock=clock)


def _start(stack: ExitStack, stop: Stop, informer: PodInformer, lease: Lease | None) -> None:
    """Start the threads, and have them ended with the stack."""
    threads = [threading.Thread(target=informer.run, args=(stop.event,), name="pods", daemon=True)]
    if lease is not None:
        threads.append(threading.Thread(target=lease.run, args=(stop.event,), name="lease", daemon=True))
    for thread in threads:
        thread.start()

    def end() -> None:
        stop.event.set()
        informer.close()
        for thread in threads:
            thread.join(_CLUSTER_S)
        if lease is not None:
            lease.release()

    stack.callback(end)


@dataclass(frozen=True)
class _Leavable:
    """A source whose answers need not be waited for when the watcher is to stop."""

    source: LiveSource
    stop: Stop

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def has_past(self) -> bool:
        return self.source.has_past

    def fetch(self, since: datetime, until: datetime, *, pods: Collection[str] | None = None) -> pd.DataFrame:
        with self.stop.can_be_left():
            return self.source.fetch(since, until, pods=pods)

    def close(self) -> None:
        self.source.close()


@contextmanager
def _logging_to(lines: JsonLines) -> Iterator[None]:
    """Let all log records go to the watcher's output, its own from INFO on."""
    root, own, telemetry = (logging.getLogger(name) for name in (None, "podlab", "podlab.sources"))
    before = root.handlers, own.level, telemetry.level
    root.handlers = [JsonHandler(lines)]
    own.setLevel(logging.INFO)
    telemetry.setLevel(logging.WARNING)  # it tells in each round which measurements there are not
    try:
        yield
    finally:
        root.handlers = before[0]
        own.setLevel(before[1])
        telemetry.setLevel(before[2])
