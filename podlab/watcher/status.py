"""How the watcher does, for probes, programs and people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from podlab.kubernetes.informer import InformerStatus
from podlab.watcher.announcement import describe
from podlab.watcher.cases import Case
from podlab.watcher.loop import Watcher
from podlab.watcher.monitor import Monitor

#: After so long without a round that is due, or without any attempt to follow the pods, a restart may help.
STUCK_S = 300.0
#: After so long without an open watch the pods are not followed: a watch ends by itself and is opened again sooner.
_UNWATCHED_S = 120.0
_ROWS = 200

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>podlab watch</title><meta http-equiv="refresh" content="5">
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #8884; vertical-align: top }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem }} dd {{ margin: 0 }}
.bad {{ color: #b00020 }}
</style></head><body><h1>podlab watch</h1>
<dl>{facts}</dl>
<table><thead><tr><th>namespace</th><th>pod</th><th>container</th><th>service</th><th>sure</th><th>after</th>
<th>most like</th><th>decided</th><th>watched</th></tr></thead><tbody>{rows}</tbody></table>
<p>{shown}</p></body></html>
"""


@dataclass(frozen=True)
class Status:
    """What can be asked of a running watcher, from any thread.

    Attributes
    ----------
    watcher : Watcher
    feed : callable
        Gives the feed's status.
    leading : callable
        Whether this watcher announces.
    steady : callable
        The clock of watcher and feed.
    began_s : float
        When the watcher was started, on that clock.
    """

    watcher: Watcher
    feed: Callable[[], InformerStatus]
    leading: Callable[[], bool] = lambda: True
    steady: Callable[[], float] = time.monotonic
    began_s: float = 0.0

    def stuck(self) -> list[str]:
        """Why the watcher should be restarted; empty while it does well."""
        # An API server that is away is no reason: a restart would lose what is known, and bring nothing back.
        now_s, reasons = self.steady(), []
        for what, at_s, most_s in (
            ("round", self.watcher.last_tick_s, self.watcher.pace.interval_s + STUCK_S),
            ("attempt to follow the pods", self.feed().last_attempt_s, STUCK_S),
        ):
            since_s = now_s - (self.began_s if at_s is None else at_s)
            if since_s > most_s:
                reasons.append(f"no {what} for {since_s:.0f} s")
        return reasons

    def not_ready(self) -> list[str]:
        """Why the watcher does not do its work; empty when it does."""
        feed, reasons = self.feed(), []
        why = f": {feed.last_error}" if feed.last_error else ""
        if not feed.synced:
            reasons.append(f"the pods were not listed yet{why}")
        elif feed.last_watch_s is None:
            reasons.append(f"the pods are not watched yet{why}")
        elif (since_s := self.steady() - feed.last_watch_s) > _UNWATCHED_S:
            reasons.append(f"the pods are not watched for {since_s:.0f} s{why}")
        if self.watcher.last_tick_s is None:
            reasons.append("no round was done yet")
        if self.watcher.health.trouble is not None:
            reasons.append(f"no metrics come: {self.watcher.health.trouble}")
        return reasons

    def metrics(self) -> bytes:
        """Write the metrics as Prometheus reads them."""
        own, feed = self.watcher.metrics, self.feed()
        own.watch_synced.set(feed.synced)
        if feed.last_contact_s is not None:
            own.watch_contact.set(self.steady() - feed.last_contact_s)
        for what, count in (("list", feed.lists), ("watch", feed.watches), ("error", feed.errors)):
            own.watch_requests.labels(what).set(count)
        return own.text()

    def containers(self) -> Iterator[dict[str, object]]:
        """Tell of every container."""
        for case in self.watcher.roster.cases():
            state = "waiting" if case.verdict is None else "unknown" if case.verdict.service is None else "decided"
            told = describe(case.container, case.started_at, case.verdict, self.watcher.cluster)
            watched = self.watcher.monitor.describe(case.number) if self.watcher.monitor else {"watched": "off"}
            yield {**told, "state": state, "running": case.container.state == "running", **watched}
        for container in self.watcher.roster.not_started():
            told = describe(container, None, None, self.watcher.cluster)
            yield {**told, "state": "not started", "running": False, "reason": container.reason}

    def page(self) -> str:
        """Write the status page: read-only, no script, nothing from elsewhere."""
        cases = self.watcher.roster.cases()
        monitor = self.watcher.monitor
        watched = {case.number: monitor.state(case.number) if monitor else "off" for case in cases}
        # The newest decisions first, and before them what is anomalous.
        decided = [case for case in cases if case.verdict]
        decided.sort(key=lambda case: (watched[case.number] == "anomalous", _decided_at_s(case)), reverse=True)
        known = sum(c.verdict is not None and c.verdict.service is not None for c in decided)
        bad = [*self.stuck(), *self.not_ready()]
        no_metrics = self.watcher.health.trouble or self.watcher.database_error
        model, anomalous = self.watcher.model, list(watched.values()).count("anomalous")
        facts = [
            ("state", "; ".join(bad) or "well", bool(bad)),
            ("announces", "yes" if self.leading() else "no, another watcher does", False),
            ("model", model.name.partition("@")[0] + "@" + model.name.partition("@")[2][:12], False),
            ("new model", model.refused or "none refused", model.refused is not None),
            ("metrics", no_metrics or "come", no_metrics is not None),
            ("containers", f"{known} identified, {len(decided) - known} unknown, {len(cases) - len(decided)} waiting, "
             f"{len(self.watcher.roster.not_started())} not started", False),
            ("anomalies", f"in {anomalous} containers" if monitor else "not looked for", anomalous > 0),
        ]  # fmt: skip
        listed = "".join(
            f"<dt>{name}</dt><dd{' class=bad' if is_bad else ''}>{escape(value)}</dd>" for name, value, is_bad in facts
        )
        rows = "".join(_row(case, monitor) for case in decided[:_ROWS])
        shown = f"The newest {min(len(decided), _ROWS)} of {len(decided)} decisions, and first of all "
        shown += "what is anomalous; all are at /containers."
        return _PAGE.format(facts=listed, rows=rows, shown=shown)


def _decided_at_s(case: Case) -> float:
    return case.verdict.at_s if case.verdict else 0.0


def _row(case: Case, monitor: Monitor | None) -> str:
    verdict, who = case.verdict, case.container
    if verdict is None:
        return ""
    sight = verdict.sight
    like = ", ".join(service for service, _ in sight.similar) if sight else ""
    service = verdict.service or ("unknown: no metrics" if verdict.reason == "unseen" else "unknown")
    donors = monitor.donors(case.number) if monitor else ()
    watched: str = monitor.state(case.number) if monitor else "off"
    watched += f" ({', '.join(donor for donor, _ in donors)})" if donors else ""
    cells = (
        who.namespace, who.pod, who.container, service, f"{verdict.confidence:.0%}", f"{verdict.waited_s:.0f} s", like,
        datetime.fromtimestamp(verdict.at_s, UTC).strftime("%H:%M:%S"), watched,
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
