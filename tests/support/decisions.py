"""Lines of a watcher's log, as the watcher itself writes them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd

from podlab.identify.early import Reason
from podlab.kubernetes.objects import WatchedContainer
from podlab.watcher.containers import DecisionRecord, PredictionSummary, TrackedContainer
from podlab.watcher.logs import JsonLines
from podlab.watcher.notify import announce_decision
from podlab.watcher.sinks import LogSink

STARTED_AT = pd.Timestamp("2026-01-05T08:00:00Z")


def line(
    pod: str,
    seconds: float,
    service: str | None,
    *,
    revisions: int = 0,
    reason: Reason = "confident",
    started_at: pd.Timestamp = STARTED_AT,
    namespace: str = "lab",
    container: str = "main",
) -> str:
    """Write one announcement, ``seconds`` after the container's start."""
    started = started_at.to_pydatetime()
    who = WatchedContainer(
        namespace=namespace, pod=pod, pod_uid=f"uid-{pod}", container=container, node="n", started_at=started,
        kind="main", state="running", reason=None,
    )  # fmt: skip
    prediction = PredictionSummary(
        ((service or "nginx", 0.95),), (("nginx", 0.9),), service is not None, 0.1, seconds - 1, "default@0123"
    )
    seen = b"" if reason == "unseen" else prediction.pack()
    tracked = TrackedContainer(who, started, 1, 0.0, 0.0)
    decision = DecisionRecord(
        tracked.key, service, reason, revisions, started.timestamp() + seconds, seconds, seen=seen
    )
    out = io.StringIO()
    LogSink(JsonLines(out)).send(announce_decision(tracked, decision, cluster="lab", decided_s=seconds))
    return out.getvalue().rstrip("\n")


def write_log(path: Path, *lines: str) -> Path:
    """Write a log with what stands between the decisions as well."""
    noise = [json.dumps({"event": "log", "level": "info"}), "podlab: warning: late", "[]", "7", ""]
    path.write_text("\n".join([*noise, *lines, '{"event": "identi']))
    return path
