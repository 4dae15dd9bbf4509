"""A recording's data card: how, when and where it was made, what died, and what is known to be wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lab.matrix import Deployment
from lab.parts import Died
from lab.plan import RecordingPlan
from lab.service import PATTERNS
from lab.sites import find_site
from podlab.data.catalogue import CATALOGUE


@dataclass(frozen=True)
class RecordingConditions:
    """How a recording was made.

    Attributes
    ----------
    plan : RecordingPlan
        What was asked for.
    parallel : int
        How many deployments ran at once.
    images : str
        Where images came from.
    machine : dict
        What :func:`lab.machine.describe` says.
    note : str
        What the user adds to the known faults.
    """

    plan: RecordingPlan
    parallel: int
    images: str
    machine: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True)
class RecordingFacts:
    """What a data card tells beside the samples themselves.

    Attributes
    ----------
    file : Path
        The recording.
    sha256 : str
        Its digest.
    size_bytes : int
        Its size.
    matrix : sequence of Deployment
        All that was planned.
    how : RecordingConditions
        How it was recorded.
    died : sequence of Died
        Attempts that were lost.
    reports : dict
        By deployment: the load client's report, the faults as they were, and how often it was started again.
    """

    file: Path
    sha256: str
    size_bytes: int
    matrix: Sequence[Deployment]
    how: RecordingConditions
    died: Sequence[Died]
    reports: Mapping[str, Mapping[str, Any]]


_KNOWN_FAULTS = (
    "One machine, one kernel, one container engine: levels of CPU, disk and page cache are specific to it.",
    "All services were recorded at the same time and affect each other's timing.",
    "The load comes from one Python client per deployment, which reaches its limit before a fast service does.",
    "The sizes of large file systems are measured less often; between measurements the last value is repeated.",
    "Each pod has one container, so counters of the pod are those of the container.",
)
_PURPOSES = {
    "known": "training",
    "unknown": "test of unknown services; not used for training",
    "faults": "test of detectors; not used for training",
    "normal": "test of detectors with normal events; not used for training",
}
_MATRIX_WORDS = {
    "known": "The order is a randomised block design: every block holds each service once, in random order.",
    "unknown": "They were recorded between the known services' deployments, at random positions.",
    "faults": "They were recorded between the deployments without faults, at random positions.",
    "normal": "They were recorded between the known services' deployments, at random positions.",
}
_V1_FAULT = "cgroup v1: I/O counters miss buffered writes that the kernel writes back later; synced writes are counted."


def gaps_s(samples: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute the seconds between one sample of a container and its next, for all containers."""
    steps = samples.sort_values(["deployment", "time"]).groupby("deployment")["time"].diff()
    return np.asarray(steps.dropna().dt.total_seconds(), dtype=np.float64)


def births_s(samples: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Compute the seconds from each container's start to its first sample."""
    first = samples.sort_values("time").groupby("deployment")[["time", "started_at"]].first()
    return np.asarray((first["time"] - first["started_at"]).dt.total_seconds(), dtype=np.float64)


def write_card(samples: pd.DataFrame, facts: RecordingFacts) -> str:
    """Write the data card as Markdown text.

    Parameters
    ----------
    samples : DataFrame
        The recording.
    facts : RecordingFacts
        What the samples do not tell.
    """
    died = {died.deployment.name for died in facts.died}
    dropped = sorted(died - set(samples["deployment"]))
    sections = [
        f"# Recording `{facts.file.name}`",
        _summary(samples, facts, dropped),
        "## Machine",
        "\n".join(f"- {name}: {value}" for name, value in facts.how.machine.items()),
        "## Services",
        _services(samples),
        "## Matrix",
        _matrix_text(facts),
        *(["## Faults", _faults_text(facts)] if facts.matrix[0].role == "faults" else []),
        *(["## Normal events", _faults_text(facts)] if facts.matrix[0].role == "normal" else []),
        "## Failed deployments",
        _died_text(facts, dropped),
        "## Sampling",
        _sampling(samples),
        "## Columns",
        _columns(samples),
        "## Limitations",
        "\n".join(f"- {fault}" for fault in _faults(facts)),
        "## Deployments",
        _deployments(samples, facts),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(samples: pd.DataFrame, facts: RecordingFacts, dropped: list[str]) -> str:
    rows = (
        ("purpose", _PURPOSES[facts.matrix[0].role]),
        ("recorded", f"{samples['time'].min():%Y-%m-%d %H:%M} to {samples['time'].max():%Y-%m-%d %H:%M} UTC"),
        ("services", samples["service"].nunique()),
        ("site", f"{facts.how.plan.site}: {find_site(facts.how.plan.site).describe()}"),
        ("deployments", _counts(samples, facts, dropped)),
        ("rows", len(samples)),
        ("each", f"{_lives(facts)} from the container's start, one sample a second"),
        ("size", f"{facts.size_bytes} bytes"),
        ("SHA-256", f"`{facts.sha256}`"),
        ("images", "Debian packages" if facts.how.images == "debian" else "official images, else Debian packages"),
        ("seed", facts.how.plan.seed),
        ("at once", f"{facts.how.parallel} deployments, each with its own load client"),
    )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _counts(samples: pd.DataFrame, facts: RecordingFacts, dropped: list[str]) -> str:
    recorded, planned = int(samples["deployment"].nunique()), len(facts.matrix)
    left = planned - recorded - len(dropped)
    return f"{recorded} of {planned} planned, {len(dropped)} dropped" + (
        f", {left} not started for lack of time" if left else ""
    )


def _lives(facts: RecordingFacts) -> str:
    plan = facts.how.plan
    usual = plan.seconds if facts.matrix[0].role in ("known", "unknown") else plan.fault_seconds
    long = [deployment.seconds for deployment in facts.matrix if deployment.seconds > 2 * usual]
    others = [deployment.seconds for deployment in facts.matrix if deployment.seconds <= 2 * usual]
    texts = [
        f"{len(each)} for {min(each)} to {max(each)} s" if min(each) < max(each) else f"{len(each)} for {each[0]} s"
        for each in (others, long)
        if each
    ]
    return ", ".join(texts)


def _loads(facts: RecordingFacts) -> dict[str, Mapping[str, Any]]:
    return {name: report["load"] for name, report in facts.reports.items()}


def _services(samples: pd.DataFrame) -> str:
    lines = ["| service | versions | image sizes (MB) | deployments |", "|---|---|---|---|"]
    for service, rows in samples.groupby("service"):
        sizes = sorted(f"{size / 1e6:.0f}" for size in rows["image_size_bytes"].unique())
        versions, count = sorted(rows["version"].unique()), rows["deployment"].nunique()
        lines.append(f"| {service} | {', '.join(versions)} | {', '.join(sizes)} | {count} |")
    return "\n".join(lines)


def _matrix_text(facts: RecordingFacts) -> str:
    patterns = [pattern for pattern in PATTERNS if any(deployment.pattern == pattern for deployment in facts.matrix)]
    profiles = {(deployment.service, deployment.profile) for deployment in facts.matrix}
    return (
        f"{len(profiles)} profiles of {len({d.service for d in facts.matrix})} services under the load patterns "
        f"{', '.join(patterns)}. Profiles are used in turn, and so, independently, are load patterns. "
        f"{_MATRIX_WORDS[facts.matrix[0].role]} "
        "Drawn independently for each deployment: the knobs of its service, data in a volume or in its own "
        "layer, what launches it, an earlier run, a warm or a cold page cache, CPU and memory limit or none, rate, "
        "payload, connections, keys, share of reads, open or closed loop, bursts, ramps, when load begins, and "
        "whether, how and how often it is probed. The table of draws next to this recording lists them."
    )


def _faults_text(facts: RecordingFacts) -> str:
    seconds: dict[str, list[float]] = {}
    services: dict[str, set[str]] = {}
    felt: Counter[str] = Counter()
    for deployment in facts.matrix:
        for fault in facts.reports.get(deployment.name, {}).get("faults", []):
            length = datetime.fromisoformat(fault["end"]) - datetime.fromisoformat(fault["begin"])
            seconds.setdefault(fault["kind"], []).append(length.total_seconds())
            services.setdefault(fault["kind"], set()).add(deployment.service)
            felt[fault["kind"]] += bool(fault["effect"]["felt"])
    lines = ["| kind | times | felt by users | seconds | services |", "|---|---|---|---|---|"]
    for kind in sorted(seconds):
        lengths = f"{min(seconds[kind]):.0f} to {max(seconds[kind]):.0f}"
        named = ", ".join(sorted(services[kind]))
        lines.append(f"| {kind} | {len(seconds[kind])} | {felt[kind]} | {lengths} | {named} |")
    restarts = sum(report["restarts"] for report in facts.reports.values())
    return (
        "An interval lasts from just before the event began to just after it ended, with up to about a second on each "
        f'side. A service that was ended by an event was restarted as a new instance: {restarts} times. "Felt by '
        "users\" means that the load client's latency or share of errors rose against the minute before.\n\n"
    ) + "\n".join(lines)


def _died_text(facts: RecordingFacts, dropped: list[str]) -> str:
    if not facts.died:
        return "None: every deployment ran to its end at the first attempt."
    lines = [f"{len(facts.died)} attempts failed; {len(dropped)} deployments failed and are not in the recording."]
    lines += [
        f"- {died.deployment.name} ({died.deployment.variant}), attempt {died.attempt}: {died.reason}"
        for died in facts.died
    ]
    return "\n".join([lines[0], "", *lines[1:]])


def _sampling(samples: pd.DataFrame) -> str:
    gaps, births = gaps_s(samples), births_s(samples)
    late = int((gaps > 1.5).sum())
    return (
        f"Gap between samples of one container: p50 {np.percentile(gaps, 50):.3f} s, "
        f"p99 {np.percentile(gaps, 99):.3f} s, longest {gaps.max():.3f} s; {late} of {len(gaps)} gaps above 1.5 s. "
        f"From a container's start to its first sample: p50 {np.percentile(births, 50):.2f} s, "
        f"longest {births.max():.2f} s. Missed samples are not filled in; times are those of the measurement."
    )


def _columns(samples: pd.DataFrame) -> str:
    lines = ["| column | kind | given | not 0 |", "|---|---|---|---|"]
    for name in CATALOGUE:
        if name in samples:
            values = samples[name]
            given, nonzero = float(values.notna().mean()), float((values.fillna(0) != 0).mean())
            lines.append(f"| `{name}` | {CATALOGUE[name].kind} | {given:.1%} | {nonzero:.1%} |")
    return "\n".join(lines)


def _faults(facts: RecordingFacts) -> list[str]:
    faults = list(_KNOWN_FAULTS)
    if facts.how.machine.get("control groups") in ("v1", "hybrid"):
        faults.append(_V1_FAULT)
    failing = [name for name, load in _loads(facts).items() if load.get("errors", 0) > load.get("requests", 0)]
    if failing:
        faults.append(f"More requests failed than succeeded in: {', '.join(sorted(failing))}.")
    return [*faults, facts.how.note] if facts.how.note else faults


def _deployments(samples: pd.DataFrame, facts: RecordingFacts) -> str:
    titles = (
        "deployment", "variant", "started (UTC)", "samples", "cores", "MiB", "rate (1/s)", "connections", "requests",
        "errors", "data", "launcher", "page cache",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    planned = {deployment.name: deployment for deployment in facts.matrix}
    starts = samples.groupby("deployment")["started_at"].first().sort_values()
    counts = samples["deployment"].value_counts()
    for key, started in starts.items():
        name = str(key)
        deployment, load = planned[name], _loads(facts).get(name, {})
        cells = (
            name, deployment.variant, f"{started:%H:%M:%S}", counts[name], deployment.cpu_limit_cores or "any",
            deployment.memory_limit_mib or "any", f"{deployment.rate_per_s:g}", deployment.connections,
            load.get("requests", 0), load.get("errors", 0), deployment.data_in, deployment.launcher,
            deployment.page_cache,
        )  # fmt: skip
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)
