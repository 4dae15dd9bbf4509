"""The summary of an audit: one line for each check."""

from __future__ import annotations

import pandas as pd

from podlab.audit.confounding import TIED, VISIBLE
from podlab.data.catalogue import MEASURED_METRICS, ORIGINAL_METRICS


def summarise(
    counts: pd.DataFrame,
    columns: pd.DataFrame,
    duplicates: pd.DataFrame,
    pairs: pd.DataFrame,
    shuffled: pd.DataFrame,
    outside: pd.DataFrame,
) -> pd.DataFrame:
    """Summarise an audit: one line per check, what was found, and whether to look at it.

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
    text = "; ".join(f"{remark}: {', '.join(own)}" for remark, own in wrong.groupby("remark", sort=False)["column"])
    rows.append(("columns that are constant, absent or specific to a service", text or "none", wrong.empty))
    for _, row in duplicates.iterrows():
        # A quiet container may well stand still for a second; that is no fault.
        harmless = row["check"].startswith("rows identical to the row before")
        rows.append((row["check"], f"{row['found']:,} of {row['of']:,} {row['what']}", harmless or row["found"] == 0))
    close = int(pairs["suspicious"].sum())
    rows.append(("deployments suspiciously like another", f"{close:,} of {len(pairs):,}", close == 0))
    mean, low, high, chance = shuffled[["macro_f1", "low", "high", "chance"]].mean()
    text = f"{mean:.2f} ({low:.2f} to {high:.2f}), mean of {len(shuffled)} repetitions; guessing gives {chance:.2f}"
    rows.append(("macro-F1 on shuffled labels", text, low <= chance))
    for question in (VISIBLE, TIED):
        own = outside[outside["asked"] == question]
        text = ", ".join(f"{name} ({', '.join(each['window'])})" for name, each in own.groupby("property", sort=False))
        rows.append((f"circumstances beyond chance: {question}", text or "none", own.empty))
    return pd.DataFrame(
        [
            {"question": question, "found": found, "verdict": "fine" if fine else "look at it"}
            for question, found, fine in rows
        ]
    )
