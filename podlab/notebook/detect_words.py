"""Tables for people about detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.reuse import LONG, POOLED, REUSED, SCRATCH, Transfer
from podlab.notebook.tables import format_number


def written(value: Estimate) -> str:
    """Write an estimate with its interval."""
    if not np.isfinite(value.low):
        return format_number(value.value) if np.isfinite(value.value) else "-"
    return f"{format_number(value.value)} ({format_number(value.low)} to {format_number(value.high)})"


def rivals_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :meth:`podlab.evaluation.reuse.Rivals.table` for people."""
    return pd.DataFrame(
        {
            "detector": table["detector"],
            "VUS-PR": [written(each) for each in table["vus_pr"]],
            "AUROC": [written(each) for each in table["auroc"]],
            "faults found": [written(each) for each in table["recall"]],
            "median delay, s": [format_number(each) if pd.notna(each) else "-" for each in table["delay_s"]],
            "false alarms before the first fault, per container": table["false_alarms"],
            "deployments": table["deployments"],
        }
    )


def minutes_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.reuse.by_minute` for people: how far the reused detector is ahead, by minute."""
    rows = []
    for minute, own in table.groupby("minute"):
        told = {str(line["detector"]): line for line in own.to_dict("records")}
        row: dict[str, object] = {"minute": minute, "deployments": told[REUSED]["deployments"]}
        row[REUSED] = told[REUSED]["vus_pr"]
        for name in (SCRATCH, POOLED, LONG):
            each = told[name]
            row[f"ahead of {name}"] = written(Estimate(each["ahead"], each["ahead_low"], each["ahead_high"]))
        rows.append(row)
    return pd.DataFrame(rows)


def kinds_words(table: pd.DataFrame) -> pd.DataFrame:
    """Tell :func:`podlab.evaluation.detection.by_kind` for people."""
    return pd.DataFrame(
        {
            "fault": table["kind"],
            "times": table["faults"],
            "found": [written(each) for each in table["recall"]],
            "median delay, s": [format_number(each) if pd.notna(each) else "-" for each in table["delay_s"]],
            "AUROC of its rows": table["auroc"],
        }
    )


def goals_words(table: pd.DataFrame, minutes: pd.DataFrame, normal: dict[str, Any], passed: Transfer) -> pd.DataFrame:
    """Compare what was found with what was aimed at."""
    own: dict[Any, Any] = next(line for line in table.to_dict("records") if line["detector"] == REUSED)
    late = minutes.pivot_table(index="minute", columns="detector", values="vus_pr")
    share = float((late[REUSED] / late[LONG]).mean())
    ahead = int((late[REUSED] > late[SCRATCH]).sum())
    lines = [
        ("reused by own long history, VUS-PR, mean of minutes", "at least 0.95", share >= 0.95, share, ""),
        ("minutes in which reused is ahead of from scratch", f"all {len(late)}", ahead == len(late), ahead, ""),
        ("faults found", "at least 0.9", own["recall"].value >= 0.9, own["recall"].value, _spread(own["recall"])),
        ("median delay, s", "at most 10", own["delay_s"] <= 10, own["delay_s"], ""),
        ("regret of the most similar donor, VUS-PR", "at most 0.02", passed.regret <= 0.02, passed.regret, ""),
        ("Spearman of similarity and transfer", "at least 0.7", passed.spearman >= 0.7, passed.spearman, ""),
    ]
    if normal:
        start, day = normal["per_start"], normal["per_day"]
        lines[4:4] = [
            ("false alarms per container start", "at most 0.1", start.value <= 0.1, start.value, _spread(start)),
            ("false alarms per container-day", "at most 1", day.value <= 1, day.value, _spread(day)),
        ]
    return pd.DataFrame(
        [
            (what, goal, "yes" if reached else "no", _figure(figure), spread or "-")
            for what, goal, reached, figure, spread in lines
        ],
        columns=["what", "goal", "reached", "figure", "95 % interval"],
    )


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else format_number(value)


def _spread(value: Estimate) -> str:
    return f"{format_number(value.low)} to {format_number(value.high)}"
