"""``podlab watch``: puts the watcher together from the settings, and runs it until it is told to stop."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from contextlib import ExitStack
from math import inf
from typing import Final

from podlab.config import Settings
from podlab.errors import InputError, PodlabError
from podlab.kubernetes.client import ApiConnection, connect
from podlab.kubernetes.informer import PodInformer
from podlab.live import live_source
from podlab.watcher.leader import LeaderElection
from podlab.watcher.logs import JsonLines, logging_to
from podlab.watcher.loop import Watcher
from podlab.watcher.notify import StateStore
from podlab.watcher.runtime import (
    Clock,
    ReloadableModel,
    SourceHealth,
    StopRequested,
    StopSignal,
    WatcherOptions,
    stay_small,
)
from podlab.watcher.sinks import SinkContext, events_path, make_own_event, make_sinks
from podlab.watcher.status import STUCK_S, StatusServer, WatcherStatus

log = logging.getLogger(__name__)

#: How long the source of metrics may take for each step of an answer.
_DATABASE_S: Final = 30.0
#: How long the API server may take to create an Event.
_CLUSTER_S: Final = 10.0
#: The leader may have come to a decision this much later than another watcher.
_MARGIN_S: Final = 60.0
#: With --once: how long to wait for the list of pods.
_LIST_S: Final = 60.0


def watch(settings: Settings, *, once: bool = False, dry_run: bool = False) -> None:
    """Watch a cluster until SIGTERM or Ctrl-C.

    Parameters
    ----------
    once : bool
        Check what runs now, announce what it is even if it was announced before, and end.
    dry_run : bool
        Only write to the output: no Event, no annotation, no point, no Lease, no file.

    Raises
    ------
    InputError
        If the model is not valid, there is no way to a cluster, or a setting is wrong. Later failures are logged, and
        tried again. With ``once`` also if the metrics cannot be fetched.
    PodlabError
        With ``once``, if the pods cannot be listed, or a sink fails.
    """
    stay_small()
    options = WatcherOptions.from_settings(settings, once=once, dry_run=dry_run)
    alone = once or dry_run  # nothing is stored, and no other watcher matters
    lines, stop, clock = JsonLines(), StopSignal(), Clock()
    instance = f"{socket.gethostname()[:63]}_{secrets.token_hex(4)}"
    with ExitStack() as stack:
        stack.enter_context(logging_to(lines))
        stack.enter_context(stop.on_signals())
        model = ReloadableModel(settings.model_path, settings.model_key_file)
        if options.anomalies and model.library is None:
            hint = "fit the model again, or leave watch_anomalies off"
            raise InputError("has no detectors", where=str(settings.model_path), hint=hint)
        store = StateStore(None if alone else settings.watch_state)
        connection = _connect(settings)
        stack.callback(connection.close)
        sinks = make_sinks(
            ["log"] if dry_run else settings.watch_sinks, SinkContext(settings, lines, connection, instance),
            log_first=once,
        )  # fmt: skip
        watcher = Watcher(
            lambda metrics: live_source(settings, timeout_s=_DATABASE_S, columns=metrics),
            model, sinks, store, options, clock=clock, interruptible=stop.interruptible,
            health=SourceHealth(0.0) if once else _health(settings, options, connection, instance, clock, dry_run),
        )  # fmt: skip
        stack.callback(watcher.close)
        informer = PodInformer(
            lambda: _connect(settings), watcher.registry.put, namespaces=settings.watch_namespaces or None,
            exclude_namespaces=settings.watch_excluded_namespaces, label_selector=settings.watch_selector,
            own_namespace=settings.watch_pod and settings.watch_pod.namespace,
        )  # fmt: skip
        began_s = clock.steady()
        election = None
        if settings.watch_lease and not alone:
            # Before the threads start, so that a wrong address ends the program and not one of them.
            election = LeaderElection(
                _connect(settings), settings.watch_lease, instance, clock=clock,
                healthy=lambda: clock.steady() - (watcher.last_round_s or began_s) < options.interval_s + STUCK_S,
            )  # fmt: skip
        status = WatcherStatus(
            watcher, informer.status, began_s, clock.steady, now=clock.now,
            leading=lambda: election is None or election.leading,
        )  # fmt: skip
        if settings.watch_listen and not once:
            server = stack.enter_context(StatusServer(settings.watch_listen, status))
            log.info("serves at %s:%d", settings.watch_listen.rpartition(":")[0], server.port)
        _start_threads(stack, stop, informer, election)
        log.info("model %s watches", model.name)
        if once:
            _run_once(watcher, informer, stop, clock)
        else:
            _run_rounds(watcher, informer, election, stop, clock)
        log.info("stopped")


def _run_rounds(
    watcher: Watcher, informer: PodInformer, election: LeaderElection | None, stop: StopSignal, clock: Clock
) -> None:
    all_known = False
    while stop.proceed():
        begun_s = clock.steady()
        alive_s = election.leader_alive_s if election else None
        synced = informer.status.synced
        try:
            watcher.run_round(
                leading=election is None or election.leading,
                announced_before_s=None if alive_s is None else alive_s - _MARGIN_S,
                proceed=stop.proceed,
            )
        except StopRequested:
            return
        except Exception:
            # Nothing may end the watcher: the next round may succeed, else /healthz reports it.
            log.exception("a round failed")
            watcher.metrics.errors.labels("round").inc()
        if synced and not all_known:
            watcher.forget_gone()
            all_known = True
        stop.event.wait(max(0.0, begun_s + watcher.options.interval_s - clock.steady()))


def _run_once(watcher: Watcher, informer: PodInformer, stop: StopSignal, clock: Clock) -> None:
    until_s = clock.steady() + _LIST_S
    while stop.proceed() and not informer.status.synced:
        if clock.steady() > until_s:
            why = informer.status.last_error
            raise PodlabError(f"the pods cannot be listed within {_LIST_S:g} s" + (f": {why}" if why else ""))
        stop.event.wait(0.05)
    try:
        for _ in range(2):  # the first for what is identified; then the time is up for the rest
            watcher.run_round(proceed=stop.proceed)
        before = inf
        while stop.proceed() and 0 < watcher.waiting < before:  # very many are not sent in the time of a round
            before = watcher.waiting
            watcher.run_round(proceed=stop.proceed)
    except StopRequested:
        return
    if (trouble := watcher.database_error or watcher.health.trouble) is not None:
        raise InputError(trouble)
    if watcher.waiting and stop.proceed():
        raise PodlabError(f"{watcher.waiting} announcements could not be made", hint="see the log lines above")


def _connect(settings: Settings) -> ApiConnection:
    return connect(settings.kubernetes_endpoint, settings.kubernetes_access, timeout_s=_CLUSTER_S)


def _health(
    settings: Settings, options: WatcherOptions, connection: ApiConnection, instance: str, clock: Clock, dry_run: bool
) -> SourceHealth:
    """Make what detects that no metrics come; it reports by an Event on the watcher's own pod, where it has one."""
    pod, grace_s = settings.watch_pod, options.policy.timeout_s / 2
    if pod is None or dry_run or "event" not in settings.watch_sinks:
        return SourceHealth(grace_s)

    def report(why: str) -> None:
        event = make_own_event(pod, "NoMetricsAtAll", f"no metrics come: {why}", clock.now(), instance)
        connection.request("POST", events_path(pod.namespace), event)

    return SourceHealth(grace_s, report)


def _start_threads(stack: ExitStack, stop: StopSignal, informer: PodInformer, election: LeaderElection | None) -> None:
    """Start the threads, and have them ended with the stack."""
    threads = [threading.Thread(target=informer.run, args=(stop.event,), name="pods", daemon=True)]
    if election is not None:
        threads.append(threading.Thread(target=election.run, args=(stop.event,), name="lease", daemon=True))
    for thread in threads:
        thread.start()

    def end() -> None:
        stop.event.set()
        informer.close()
        for thread in threads:
            thread.join(_CLUSTER_S)
        if election is not None:
            election.release()

    stack.callback(end)
