"""What an audit found, in words and in tables for people."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from podlab.audit import FaultAudit
from podlab.audit.confounding import TIED, VISIBLE
from podlab.data.catalogue import MEASURED_METRICS, ORIGINAL_METRICS
from podlab.notebook.numbers import format_number

_FINE: Final = "fine"
_LOOK: Final = "look at it"


def outside_table(outside: pd.DataFrame) -> pd.DataFrame:
    """Tell what :meth:`podlab.audit.Confounding.outside_of_chance` lists for people."""
    told = outside[["property", "window", "asked"]].rename(columns={"property": "circumstance"})
    told["observed %"] = 100 * outside["observed"]
    told["chance %"] = 100 * outside["chance"]
    told["95 % of chance"] = [f"{100 * low:.0f} to {100 * high:.0f}" for low, high in _bounds(outside)]
    told["p"] = [format_p(p) for p in outside["p"]]
    return told


def baseline_table(table: pd.DataFrame) -> pd.DataFrame:
    """Tell the lines of :func:`podlab.evaluation.transfer.transfer_table` for people: one line a split and method.

    Columns are the windows, each with its 95 % interval.
    """
    said = table.assign(
        said=[
            f"{format_number(value)} ({format_number(low)} to {format_number(high)})"
            for value, (low, high) in zip(table["macro_f1"], _bounds(table), strict=True)
        ]
    )
    keys = ["split", "method", "columns"]
    wide = said.set_index([*keys, "window"])["said"].unstack("window")[list(table["window"].unique())]  # noqa: PD010
    counts = table.drop_duplicates(keys).set_index(keys)[["services", "deployments", "chance"]]
    shown = wide.add_prefix("macro-F1, ").join(counts).reindex(counts.index)
    return shown.rename_axis(None, axis="columns").reset_index()


def separation_table(table: pd.DataFrame) -> pd.DataFrame:
    """Tell the lines of :func:`podlab.audit.separate_by_metric` for people, one line a metric, the best first."""
    windows = list(table["window"].unique())
    wide = table.pivot_table(index="metric", columns="window", values="macro_f1")[windows]
    best = wide.max(axis=1).sort_values(ascending=False, kind="stable").index
    shown = wide.add_prefix("macro-F1, ")
    # What a level goes with is told of the last window: the start is the same for all loads.
    last = table.drop_duplicates("metric", keep="last").set_index("metric")
    for column, name in (("by_service", "service"), ("by_load", "load"), ("by_site", "site")):
        if column in last and last[column].notna().any():
            shown[f"variance by {name} %"] = 100 * last[column]
    return shown.loc[best].rename_axis(None, axis="columns").reset_index()


def scores_table(table: pd.DataFrame) -> pd.DataFrame:
    """Tell the lines of :func:`podlab.audit.ablations` and the like for people."""
    names = {
        "features": "features of", "number": "features", "by_service": "variance by service",
        "by_load": "variance by load", "macro_f1": "macro-F1",
    }  # fmt: skip
    said = [f"{format_number(low)} to {format_number(high)}" for low, high in _bounds(table)]
    shown = table.rename(columns=names).drop(columns=["low", "high", "chance"])
    shown.insert(list(shown.columns).index("macro-F1") + 1, "95 % interval", said)
    return shown[sorted(shown.columns, key=lambda name: str(name).startswith("variance"))]


def fault_facts(found: FaultAudit) -> dict[str, Any]:
    """Gather the audit's numbers about faults by name."""
    whole = found.seconds_inside + found.seconds_outside
    return {
        "faults": len(found.intervals),
        "fault_deployments": int(found.intervals["deployment"].nunique()),
        "seconds_inside_faults": round(found.seconds_inside),
        "seconds_outside_faults": round(found.seconds_outside),
        "share_inside_faults": found.seconds_inside / whole if whole else None,
        "share_labelled": found.rows_labelled / found.rows,
        "fault_rows_without_kind": found.rows_without_kind,
        "normal_rows_with_kind": found.rows_kind_outside,
    }


def fault_words(found: FaultAudit) -> str:
    """Say in a sentence how many faults there are, how long they last, and how well they are labelled."""
    facts = fault_facts(found)
    return (
        f"{facts['faults']} faults in {facts['fault_deployments']} deployments: {facts['seconds_inside_faults']:,} s"
        f" inside and {facts['seconds_outside_faults']:,} s outside of faults ({_percent(facts['share_inside_faults'])}"
        f" inside). {_percent(facts['share_labelled'])} of their rows say whether there is a fault;"
        f" {facts['fault_rows_without_kind']} rows in a fault tell no kind, {facts['normal_rows_with_kind']} tell one"
        " without a fault."
    )


def findings(
    *,
    counts: pd.DataFrame,
    columns: pd.DataFrame,
    duplicates: pd.DataFrame,
    pairs: pd.DataFrame,
    shuffled: pd.DataFrame,
    outside: pd.DataFrame,
) -> pd.DataFrame:
    """Sum an audit up: one line per question, what was found, and whether to look at it.

    Parameters
    ----------
    counts, columns, duplicates, pairs, shuffled, outside : DataFrame
        What the functions of :mod:`podlab.audit` found.
    """
    rows: list[tuple[str, str, bool]] = []
    if "fewest per pattern" in counts:
        fewest = int(counts["fewest per pattern"].min())
        rows.append(("deployments of the rarest service and pattern", str(fewest), fewest > 0))
    named = columns[columns["remark"].ne("")]
    # The image's size is no feature, and is the same for all containers of an image.
    wrong = named[named["column"] != "image_size_bytes"]
    # Recordings from before there were further metrics lack them all.
    further = wrong[(wrong["remark"] == "absent") & ~wrong["column"].isin(ORIGINAL_METRICS)]
    if len(further) == len(MEASURED_METRICS) - len(ORIGINAL_METRICS):
        wrong = wrong.drop(further.index)
    said = "; ".join(f"{remark}: {', '.join(own)}" for remark, own in wrong.groupby("remark", sort=False)["column"])
    rows.append(("columns that are constant, absent or given by service", said or "none", wrong.empty))
    for _, row in duplicates.iterrows():
        # A quiet container may well stand still for a second; that is told, and no fault.
        harmless = row["check"].startswith("rows whose metrics are those of the row before")
        rows.append((row["check"], f"{row['found']:,} of {row['of']:,} {row['what']}", harmless or row["found"] == 0))
    close = int(pairs["suspicious"].sum())
    rows.append(("deployments suspiciously like another", f"{close:,} of {len(pairs):,}", close == 0))
    mean, chance = float(shuffled["macro_f1"].mean()), float(shuffled["chance"].iloc[0])
    low, high = float(shuffled["low"].mean()), float(shuffled["high"].mean())
    interval = f"mean interval {format_number(low)} to {format_number(high)}"
    said = (
        f"{format_number(mean)} on average over {len(shuffled)} draws ({interval}), guessing is {format_number(chance)}"
    )
    rows.append(("macro-F1 on shuffled labels", said, low <= chance))
    for question in (VISIBLE, TIED):
        own = outside[outside["asked"] == question]
        said = ", ".join(f"{name} ({', '.join(each['window'])})" for name, each in own.groupby("property", sort=False))
        rows.append((f"circumstances beyond chance: {question}", said or "none", own.empty))
    return pd.DataFrame(
        [{"question": question, "found": found, "verdict": _FINE if fine else _LOOK} for question, found, fine in rows]
    )


def format_p(p: float) -> str:
    """Write a p value.

    Examples
    --------
    >>> format_p(0.0005), format_p(0.0312), format_p(0.74)
    ('< 0.001', '0.031', '0.74')
    """
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _bounds(table: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(table["low"], table["high"], strict=True))
