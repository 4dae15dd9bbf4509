"""Writes the table of draws beside a recording; :mod:`podlab.data.draws` reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from lab.matrix import Deployment
from podlab.data.draws import DIED, FIRST_COLUMNS, KNOB_PREFIX, NOT_STARTED, RECORDED

_LEFT_OUT = {"name", "knobs", "faults", "pod", "pod_uid", "seed"}


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
        What :meth:`lab.parts.Parts.reports` gives.
    """
    rows = [_row(deployment, versions, deaths, reports) for deployment in matrix]
    table = pd.DataFrame(rows)
    columns = [str(column) for column in table.columns]
    knobs = sorted(column for column in columns if column.startswith(KNOB_PREFIX))
    others = [
        column for column in columns if column not in FIRST_COLUMNS and column not in knobs and column != "faults"
    ]
    return table[[*FIRST_COLUMNS, *knobs, *others, "faults"]]


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
