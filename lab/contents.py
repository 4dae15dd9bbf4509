"""Counts what recordings hold: services, sites, profiles, deployments, lives, load patterns, versions, faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from podlab.data.draws import DIED, draws_file, read_draws, role_of
from podlab.data.recordings import fingerprint, read_recording
from podlab.errors import InputError


@dataclass(frozen=True)
class Contents:
    """What one recording holds.

    Attributes
    ----------
    file : str
        The recording.
    services : dict of str to int
        Deployments by service.
    sites : dict of str to int
        Deployments by site; empty where none is told.
    profiles : dict of str to list of str
        Profiles by service; those of recordings from before there were profiles are their configurations.
    roles : dict of str to int
        Deployments by what they were recorded for; empty without a table of draws beside the recording.
    died, attempts_died : int, optional
        Deployments that died and are not in it, and attempts that died; None without such a table.
    died_by_service : dict of str to int
        The deployments that died, of services that lost any.
    deployments, rows, size_bytes : int
        Counts in all.
    lives_s : dict of int to int
        Deployments by how long they were sampled, from the container's first start, in tens of seconds.
    longest_s : int
        The longest of them.
    patterns, versions : dict
        Deployments by load pattern, and versions by service.
    faults, normal_events : dict of str to int
        Intervals by kind: of faults, and of events that look like faults and are none.
    faulty_deployments : int
        Deployments that hold any fault.
    """

    file: str
    services: dict[str, int]
    sites: dict[str, int]
    profiles: dict[str, list[str]]
    roles: dict[str, int]
    died: int | None
    attempts_died: int | None
    died_by_service: dict[str, int]
    deployments: int
    rows: int
    size_bytes: int
    lives_s: dict[int, int]
    longest_s: int
    patterns: dict[str, int]
    versions: dict[str, list[str]]
    faults: dict[str, int]
    normal_events: dict[str, int]
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
    marked = _marked(samples)
    begins = marked["kind"].ne("") & (
        marked["kind"].ne(marked["kind"].shift()) | marked["deployment"].ne(marked["deployment"].shift())
    )
    is_fault = marked["anomaly"]
    profile = first.get("profile", pd.Series(pd.NA, index=first.index, dtype="str"))
    profile = profile.fillna(first["variant"].str.partition("/")[2])
    roles, died, attempts_died = _from_draws(path, set(first.index))
    return Contents(
        file=str(path),
        services=_counts(first["service"]),
        sites=_counts(first["site"].dropna()) if "site" in first else {},
        profiles={str(name): sorted(set(values)) for name, values in profile.groupby(first["service"])},
        roles=roles,
        died=None if died is None else sum(died.values()),
        attempts_died=attempts_died,
        died_by_service=died or {},
        deployments=len(first),
        rows=len(samples),
        size_bytes=fingerprint(path)[1],
        lives_s=dict(sorted(Counter(int(life) for life in lives).items())),
        longest_s=int(lives.max()),
        patterns=_counts(first["variant"].str.partition("/")[0]),
        versions={str(name): sorted(set(versions)) for name, versions in first.groupby("service")["version"]},
        faults=_counts(marked.loc[begins & is_fault, "kind"]),
        normal_events=_counts(marked.loc[begins & ~is_fault, "kind"]),
        faulty_deployments=int(marked.loc[begins & is_fault, "deployment"].nunique()),
    )


@dataclass(frozen=True)
class ServiceContents:
    """What several recordings hold of one service.

    Attributes
    ----------
    deployments : int
        In all, and by ``roles``: what they were recorded for, as the files' names tell it.
    roles : dict of str to int
    sites : list of str
    profiles : int
        How many different ones.
    died : int
        Deployments that died and are in no recording, as far as tables of draws tell it.
    """

    deployments: int
    roles: dict[str, int]
    sites: list[str]
    profiles: int
    died: int


@dataclass(frozen=True)
class Together:
    """What several recordings hold together.

    Attributes
    ----------
    services : dict of str to ServiceContents
    roles : dict of str to int
        Deployments by role, as far as tables of draws tell it.
    died, attempts_died : int
        As far as tables of draws tell it; a table that belongs to several recordings is counted once for each role.
    """

    services: dict[str, ServiceContents]
    roles: dict[str, int]
    died: int
    attempts_died: int


def count_together(counted: Sequence[Contents]) -> Together:
    """Sum up recordings."""
    roles: Counter[str] = Counter()
    for each in counted:
        roles.update(each.roles)
    return Together(
        services={
            name: _count_service(name, counted) for name in sorted({s for each in counted for s in each.services})
        },
        roles=dict(sorted(roles.items())),
        died=sum(each.died or 0 for each in counted),
        attempts_died=sum(each.attempts_died or 0 for each in counted),
    )


def _count_service(name: str, counted: Sequence[Contents]) -> ServiceContents:
    roles: Counter[str] = Counter()
    for each in counted:
        roles[role_of(each.file) or "known"] += each.services.get(name, 0)
    return ServiceContents(
        deployments=roles.total(),
        roles={role: number for role, number in roles.items() if number},
        sites=sorted({site for each in counted if name in each.services for site in each.sites}),
        profiles=len({profile for each in counted for profile in each.profiles.get(name, ())}),
        died=sum(each.died_by_service.get(name, 0) for each in counted),
    )


def _marked(samples: pd.DataFrame) -> pd.DataFrame:
    nothing = pd.Series(pd.NA, index=samples.index)
    kinds = samples.get("anomaly_kind", nothing)
    # Older recordings mark nothing but faults.
    anomaly = samples.get("anomaly", nothing).fillna(value=True).astype(bool)
    return samples.assign(kind=kinds.fillna(""), anomaly=anomaly).sort_values(["deployment", "time"])


def _from_draws(path: Path, recorded: set[str]) -> tuple[dict[str, int], dict[str, int] | None, int | None]:
    """Count roles, and deaths by service, of the roles that a recording holds, from the table of draws beside it."""
    file = draws_file(path)
    if not file.exists():
        return {}, None, None
    table = read_draws(file)
    mine = table[table["deployment"].isin(recorded)]
    same = table[table["role"].isin(set(mine["role"]))]
    died = _counts(same.loc[same["outcome"].eq(DIED), "service"])
    return _counts(mine["role"]), died, int(same["attempts_died"].sum())


def _counts(values: pd.Series) -> dict[str, int]:
    return dict(sorted(Counter(str(value) for value in values).items()))
