"""Tables for people about detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from podlab.evaluation.bootstrap import Estimate
from podlab.evaluation.reuse import LONG, POOLED, REUSED, SCRATCH, Transfer
from podlab.notebook.tables import compare_targets, format_number, read_targets


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
    """Compare the targets of detectors with what was measured."""
    own: dict[Any, Any] = next(line for line in table.to_dict("records") if line["detector"] == REUSED)
    late = minutes.pivot_table(index="minute", columns="detector", values="vus_pr")
    measured = {
        "VUS-PR relative to own long history": float((late[REUSED] / late[LONG]).mean()),
        "share of minutes ahead of from scratch": float((late[REUSED] > late[SCRATCH]).mean()),
        "faults found": own["recall"],
        "median delay, s": float(own["delay_s"]),
        "regret of the most similar source": float(passed.regret),
        "Spearman of similarity and transfer": float(passed.spearman),
    }
    if normal:
        measured["false alarms per container start"] = normal["per_start"]
        measured["false alarms per container-day"] = normal["per_day"]
    measures = {
        name: {"value": found.value, "low": found.low, "high": found.high}
        if isinstance(found, Estimate)
        else {"value": found}
        for name, found in measured.items()
    }
    return compare_targets([target for target in read_targets() if target.notebook == "09_detectors"], measures)
