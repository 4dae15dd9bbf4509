"""What an audit found, in words and in tables for people."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from podlab.audit import FaultAudit
from podlab.audit.confounding import ANOTHER, WRONG
from podlab.workbench.numbers import format_number

_FINE: Final = "fine"
_LOOK: Final = "look at it"
#: How the pairs that share a property are said to.
_SHARES: Final = {
    "load pattern": "have the same load pattern",
    "configuration number": "have the configuration of the same number",
    "version number": "have the version of the same age",
    "start time": "started at the same time ({close})",
    "containers beside": "had as many containers beside them ({close})",
    "cores beside": "had as busy a machine beside them ({close})",
}


def confounding_words(visible: pd.DataFrame) -> list[str]:
    """Say what look-alikes of different services share, one sentence per window and property.

    Parameters
    ----------
    visible : DataFrame
        From :func:`podlab.audit.visible`; several windows may stand below each other.
    """
    shown = visible[visible["features"] == "all"]
    sentences = []
    for (window, name), own in shown.groupby(["window", "property"], sort=False):
        by_kind = {row["pairs"]: row for _, row in own.iterrows()}
        if ANOTHER not in by_kind:
            continue
        nearest = by_kind[ANOTHER]
        close = (
            f"to {float(format(nearest['close'], '.2g')):,g} {nearest['unit']}" if nearest["close"] > 0 else "exactly"
        )
        shares = _SHARES[str(name)].format(close=close)
        said = f"{str(window).capitalize()}: of {nearest['number']:.0f} nearest neighbours of another service"
        said += f" {_percent(nearest['shared'])} {shares}, chance {_chance(nearest)}: {_verdict(nearest)}"
        if WRONG in by_kind:
            wrong = by_kind[WRONG]
            said += (
                f"; of {wrong['number']:.0f} wrong nearest ones {_percent(wrong['shared'])}, chance {_chance(wrong)}"
            )
        sentences.append(said + ".")
    return sentences


def tied_words(tied: pd.DataFrame) -> list[str]:
    """Say whether the service goes with a property, one sentence per window and property.

    Parameters
    ----------
    tied : DataFrame
        From :func:`podlab.audit.tied`.
    """
    return [
        f"{row['window'].capitalize()}: the service explains {_percent(row['explained'])} of the variance of the"
        f" {row['property']}, chance {_chance(row)}: {_verdict(row)}."
        for _, row in tied.iterrows()
    ]


def beside_chance_table(table: pd.DataFrame) -> pd.DataFrame:
    """Tell the lines of :func:`podlab.audit.visible` or :func:`podlab.audit.tied` for people."""
    observed = "shared" if "shared" in table else "explained"
    known = [name for name in ("window", "features", "property", "pairs", "number") if name in table]
    told = table[known].copy()
    told[f"{observed} %"] = 100 * table[observed]
    told["chance %"] = 100 * table["chance"]
    told["95 % of chance"] = [f"{100 * low:.0f} to {100 * high:.0f}" for low, high in _bounds(table)]
    told["excess, points"] = 100 * table["excess"]
    told["p"] = [format_p(p) for p in table["p"]]
    return told


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
    visible: pd.DataFrame,
    tied: pd.DataFrame,
) -> pd.DataFrame:
    """Sum an audit up: one line per question, what was found, and whether to look at it.

    Parameters
    ----------
    counts, columns, duplicates, pairs, shuffled, visible, tied : DataFrame
        What the functions of :mod:`podlab.audit` found.
    """
    rows: list[tuple[str, str, bool]] = []
    if "fewest per pattern" in counts:
        fewest = int(counts["fewest per pattern"].min())
        rows.append(("deployments of the rarest service and pattern", str(fewest), fewest > 0))
    named = columns[columns["remark"].ne("")]
    # The image's size is no feature, and is the same for all containers of an image.
    wrong = named[named["column"] != "image_size_bytes"]
    said = ", ".join(f"{row['column']}: {row['remark']}" for _, row in wrong.iterrows())
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
    whole = visible[(visible["features"] == "all") & (visible["pairs"] == ANOTHER)]
    for table, asked in ((whole, "shared by look-alikes of different services"), (tied, "told by the service")):
        for _, row in table.iterrows():
            share = row["shared"] if "shared" in table else row["explained"]
            said = f"{_percent(share)}, chance {_chance(row)}"
            rows.append((f"{row['property']} {asked} ({row['window']})", said, bool(share <= row["high"])))
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


def _chance(row: pd.Series) -> str:
    return f"{_percent(row['chance'])} ({100 * row['low']:.0f} to {100 * row['high']:.0f} %)"


def _verdict(row: pd.Series) -> str:
    observed = row["shared"] if "shared" in row else row["explained"]
    points = f"{100 * abs(row['excess']):.0f} points"
    if observed > row["high"]:
        return f"{points} more than chance (p {_compared(row['p'])})"
    if observed < row["low"]:
        return f"{points} less than chance"
    return f"as chance has it (p {_compared(row['p'])})"


def _compared(p: float) -> str:
    said = format_p(p)
    return said if said.startswith("<") else f"= {said}"


def _bounds(table: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(table["low"], table["high"], strict=True))
