"""A recording's data card: how, when and where it was made, what died, and what is known to be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podlab.lab.matrix import Deployment
from podlab.lab.parts import Died
from podlab.metrics import CATALOGUE


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
    seconds, parallel, seed : int
        How it was recorded.
    images : str
        Where images came from.
    machine : dict
        What :func:`podlab.lab.machine.describe` says.
    died : sequence of Died
        Attempts that were lost.
    loads : dict
        The load client's report by deployment.
    note : str
        What the user adds to the known faults.
    """

    file: Path
    sha256: str
    size_bytes: int
    matrix: Sequence[Deployment]
    seconds: int
    parallel: int
    seed: int
    images: str
    machine: Mapping[str, str]
    died: Sequence[Died]
    loads: Mapping[str, Mapping[str, Any]]
    note: str = ""


_KNOWN_FAULTS = (
    "One machine, one kernel, one container engine: levels (CPU speed, disk, page cache) are this machine's.",
    "All services were recorded side by side, so neighbours disturb each other's timing.",
    "Each service ran in one version.",
    "Load comes from one Python client per deployment: it reaches its own limits before a fast service does.",
    "File system sizes are walked less often where the tree is large; between walks the last size is repeated.",
    "Containers are in a pod of their own, so pod-wide counters are the container's.",
)
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
    dropped = sorted({deployment.name for deployment in facts.matrix} - set(samples["deployment"]))
    sections = [
        f"# Recording `{facts.file.name}`",
        _summary(samples, facts, dropped),
        "## Machine",
        "\n".join(f"- {name}: {value}" for name, value in facts.machine.items()),
        "## Services",
        _services(samples),
        "## Matrix",
        _matrix_text(facts),
        "## What died",
        _died_text(facts, dropped),
        "## Sampling",
        _sampling(samples),
        "## Columns",
        _columns(samples),
        "## Known faults",
        "\n".join(f"- {fault}" for fault in _faults(facts)),
        "## Deployments",
        _deployments(samples, facts),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(samples: pd.DataFrame, facts: RecordingFacts, dropped: list[str]) -> str:
    rows = (
        ("recorded", f"{samples['time'].min():%Y-%m-%d %H:%M} to {samples['time'].max():%Y-%m-%d %H:%M} UTC"),
        ("services", samples["service"].nunique()),
        ("deployments", f"{samples['deployment'].nunique()} of {len(facts.matrix)} planned, {len(dropped)} dropped"),
        ("rows", len(samples)),
        ("each", f"{facts.seconds} s from the container's start, one sample a second"),
        ("size", f"{facts.size_bytes} bytes"),
        ("SHA-256", f"`{facts.sha256}`"),
        ("images", "Debian 12 packages" if facts.images == "debian" else "official images, else Debian 12 packages"),
        ("seed", facts.seed),
        ("at once", f"{facts.parallel} deployments, each with its own load client"),
    )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _services(samples: pd.DataFrame) -> str:
    lines = ["| service | version | image size (MB) | deployments |", "|---|---|---|---|"]
    for service, rows in samples.groupby("service"):
        first = rows.iloc[0]
        count = rows["deployment"].nunique()
        lines.append(f"| {service} | {first['version']} | {first['image_size_bytes'] / 1e6:.0f} | {count} |")
    return "\n".join(lines)


def _matrix_text(facts: RecordingFacts) -> str:
    patterns = sorted({deployment.pattern for deployment in facts.matrix})
    variants = {(deployment.service, deployment.configuration) for deployment in facts.matrix}
    replicates = max(deployment.replicate for deployment in facts.matrix) + 1
    count = f"{replicates} replicates" if replicates > 1 else "1 replicate"
    return (
        f"Every service x every load pattern ({', '.join(patterns)}) x each of its configurations ({len(variants)} in "
        f"all) x {count}, in a randomised block design: every block holds each service once, in random "
        "order, and the variants are spread over the blocks at random. Rate, payload, connections, keys, share of "
        "reads, bursts, start delay, CPU limit and a cold or warm page cache are drawn anew for every deployment. "
        "Every container is also probed by a connection every 5 to 15 s, idle ones too."
    )


def _died_text(facts: RecordingFacts, dropped: list[str]) -> str:
    if not facts.died:
        return "Nothing: every deployment lived to its end at the first attempt."
    lines = [
        f"{len(facts.died)} attempts were lost; {len(dropped)} deployments died twice and are not in the recording."
    ]
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
        f"longest {births.max():.2f} s. An instant that was missed stays missed; times are when the values were taken."
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
    if facts.machine.get("control groups") in ("v1", "hybrid"):
        faults.append(_V1_FAULT)
    failing = [name for name, load in facts.loads.items() if load.get("errors", 0) > load.get("requests", 0)]
    if failing:
        faults.append(f"More requests failed than came through in: {', '.join(sorted(failing))}.")
    return [*faults, facts.note] if facts.note else faults


def _deployments(samples: pd.DataFrame, facts: RecordingFacts) -> str:
    titles = (
        "deployment", "variant", "started (UTC)", "samples", "cores", "rate (1/s)", "connections", "requests", "errors",
        "cold",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    planned = {deployment.name: deployment for deployment in facts.matrix}
    starts = samples.groupby("deployment")["started_at"].first().sort_values()
    counts = samples["deployment"].value_counts()
    for key, started in starts.items():
        name = str(key)
        deployment, load = planned[name], facts.loads.get(name, {})
        cells = (
            name, deployment.variant, f"{started:%H:%M:%S}", counts[name], f"{deployment.cpu_limit_cores:g}",
            f"{deployment.rate_per_s:g}", deployment.connections, load.get("requests", 0), load.get("errors", 0),
            "yes" if deployment.cold else "no",
        )  # fmt: skip
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)
