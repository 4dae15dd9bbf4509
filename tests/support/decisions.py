"""Lines of a watcher's log, made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

STARTED_AT = pd.Timestamp("2026-01-05T08:00:00Z")


def line(pod: str, seconds: float, service: str | None, *, revisions: int = 0, **given: object) -> str:
    """Write one announcement as `podlab watch` does."""
    started_at = pd.Timestamp(given.pop("started_at", STARTED_AT))
    kind = "revised" if revisions else "identified" if service else "unknown"
    said = {
        "event": kind, "id": f"{pod}-{revisions}-{service}", "message": "...", "cluster": "lab", "namespace": "lab",
        "pod": pod, "pod_uid": f"uid-{pod}", "container": "main", "node": "n", "started_at": started_at.isoformat(),
        "service": service, "confidence": 0.95, "reason": "confident", "revisions": revisions, "waited_s": seconds,
        "decided_at": (started_at + pd.Timedelta(seconds=seconds)).isoformat(timespec="milliseconds"),
        "seconds_observed": seconds - 1, "model": "default@0123",
    }  # fmt: skip
    return json.dumps(said | given)


def write_log(path: Path, *lines: str) -> Path:
    """Write a log with what stands between the decisions as well."""
    noise = [
        '{"event": "log", "level": "info", "message": "the model is loaded"}',
        "podlab: warning: late",
        "[]",
        "7",
        "",
    ]
    path.write_text("\n".join([*noise, *lines, '{"event": "identi']))
    return path
