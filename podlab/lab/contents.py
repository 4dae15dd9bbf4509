"""Counts what a recording holds: services, deployments, lives, load patterns, versions, faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from podlab.errors import InputError
from podlab.telemetry.recording import fingerprint, read_recording


@dataclass(frozen=True)
class Contents:
    """What one recording holds.

    Attributes
    ----------
    file : str
        The recording.
    services : dict of str to int
        Deployments by service.
    deployments, rows, size_bytes : int
        Counts in all.
    lives_s : dict of int to int
        Deployments by how long they were sampled, from the container's first start, in tens of seconds.
    longest_s : int
        The longest of them.
    patterns, versions : dict
        Deployments by load pattern, and versions by service.
    faults : dict of str to int
        Fault intervals by kind.
    faulty_deployments : int
        Deployments that hold any.
    """

    file: str
    services: dict[str, int]
    deployments: int
    rows: int
    size_bytes: int
    lives_s: dict[int, int]
    longest_s: int
    patterns: dict[str, int]
    versions: dict[str, list[str]]
    faults: dict[str, int]
    faulty_deployments: int


def count_recording(path: Path) -> Contents:
    """Count what a recording holds.

    Raises
    ------
    InputError
        If it cannot be read or lacks labels.
    """
    samples = read_recording([path])
    for column in ("service", "deployment", "variant", "version"):
        if column not in samples or samples[column].isna().any():
            raise InputError(f"column {column!r} is not there for every row", where=str(path))
    groups = samples.sort_values("time").groupby("deployment")
    first = groups.first()
    begun = first["started_at"].fillna(groups["time"].min())  # not every source tells starts
    lives = ((groups["time"].max() - begun).dt.total_seconds() / 10).round().astype(int) * 10
    kinds = samples.get("anomaly_kind", pd.Series(pd.NA, index=samples.index))
    marked = samples.assign(kind=kinds.fillna("")).sort_values(["deployment", "time"])
    begins = marked["kind"].ne("") & (
        marked["kind"].ne(marked["kind"].shift()) | marked["deployment"].ne(marked["deployment"].shift())
    )
    return Contents(
        file=str(path),
        services=_counts(first["service"]),
        deployments=len(first),
        rows=len(samples),
        size_bytes=fingerprint(path)[1],
        lives_s=dict(sorted(Counter(int(life) for life in lives).items())),
        longest_s=int(lives.max()),
        patterns=_counts(first["variant"].str.partition("/")[0]),
        versions={str(name): sorted(set(versions)) for name, versions in first.groupby("service")["version"]},
        faults=_counts(marked.loc[begins, "kind"]),
        faulty_deployments=int(marked.loc[begins, "deployment"].nunique()),
    )


def _counts(values: pd.Series) -> dict[str, int]:
    return dict(sorted(Counter(str(value) for value in values).items()))
