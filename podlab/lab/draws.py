"""The table of draws beside a recording: one row a deployment, so that anything can be left out by what was drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from podlab.errors import InputError
from podlab.lab.matrix import ROLES, Deployment

#: What a column of a knob's values is called: ``knob:NAME``.
KNOB_PREFIX = "knob:"
#: What came of a deployment.
RECORDED, DIED, NOT_STARTED = "recorded", "died", "not started"
_FIRST = (
    "deployment",
    "role",
    "service",
    "site",
    "release",
    "version",
    "pattern",
    "profile",
    "outcome",
    "attempts_died",
)
_LEFT_OUT = {"name", "knobs", "faults", "pod", "pod_uid", "seed"}


def draws_file(out: Path) -> Path:
    """Name the table of draws that belongs to a recording, whichever role it holds."""
    stem = out.stem
    for role in ROLES:
        stem = stem.removesuffix(f"-{role}")
    return out.with_name(f"{stem}-draws.csv")


def draws_table(
    matrix: Sequence[Deployment],
    versions: Mapping[str, str],
    deaths: Mapping[str, int],
    reports: Mapping[str, Mapping[str, Any]],
) -> pd.DataFrame:
    """Make the table.

    Parameters
    ----------
    matrix : sequence of Deployment
        All that was planned.
    versions : mapping
        Version by recorded deployment.
    deaths : mapping
        Attempts that died by deployment, where any did.
    reports : mapping
        What :meth:`podlab.lab.parts.Parts.reports` gives.
    """
    rows = [_row(deployment, versions, deaths, reports) for deployment in matrix]
    table = pd.DataFrame(rows)
    columns = [str(column) for column in table.columns]
    knobs = sorted(column for column in columns if column.startswith(KNOB_PREFIX))
    others = [column for column in columns if column not in _FIRST and column not in knobs and column != "faults"]
    return table[[*_FIRST, *knobs, *others, "faults"]]


def _row(
    deployment: Deployment,
    versions: Mapping[str, str],
    deaths: Mapping[str, int],
    reports: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    name = deployment.name
    recorded = name in versions
    died = deaths.get(name, 0)
    report = reports.get(name, {})
    load = report.get("load", {})
    drawn = {key: value for key, value in asdict(deployment).items() if key not in _LEFT_OUT}
    return {
        "deployment": name,
        "version": versions.get(name),
        "outcome": RECORDED if recorded else DIED if died else NOT_STARTED,
        "attempts_died": died,
        **{f"{KNOB_PREFIX}{knob}": value for knob, value in deployment.knobs},
        **drawn,
        "ready_after_s": load.get("ready_after_s"),
        "requests": load.get("requests"),
        "errors": load.get("errors"),
        "restarts": report.get("restarts"),
        "faults": json.dumps(report.get("faults", [asdict(fault) for fault in deployment.faults])),
    }


def read_draws(path: Path) -> pd.DataFrame:
    """Read a table of draws; every value of a knob is text.

    Raises
    ------
    InputError
        If it cannot be read, or a column is missing.
    """
    try:
        table = pd.read_csv(path, dtype={"version": "str"}, low_memory=False)
    except (OSError, ValueError) as error:
        raise InputError(str(error), where=str(path)) from error
    for column in _FIRST:
        if column not in table:
            raise InputError(f"column {column!r} is missing", where=str(path))
    knobs = [str(column) for column in table.columns if str(column).startswith(KNOB_PREFIX)]
    return table.astype(dict.fromkeys(knobs, "str")).assign(
        **{column: table[column].astype("str").where(table[column].notna()) for column in knobs}
    )
