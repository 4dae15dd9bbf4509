"""The targets about groups held out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from podlab.notebook.tables import compare_targets, read_targets


def left_out_goals(leak: pd.DataFrame) -> pd.DataFrame:
    """Judge the drop in macro-F1 where every load pattern, version or configuration is new.

    Parameters
    ----------
    leak : DataFrame
        From :func:`podlab.evaluation.leak_table`.

    Returns
    -------
    DataFrame
        As :func:`podlab.notebook.tables.compare_targets`. The drop is against the same models' score where only
        deployments are held out; its interval is that of the score with the group held out. Empty without such lines.
    """
    base = leak[(leak["split"] == "by deployment") & (leak["decides_on"] == "container")]
    measures: dict[str, dict[str, Any]] = {}
    for line in leak[leak["split"] == "left out"].to_dict("records"):
        score, guess = base["macro_f1"].iloc[0], base["best_guess"].iloc[0]
        measures[f"drop: {line['protocol']}"] = {
            "value": score - line["macro_f1"],
            "low": score - line["macro_f1_high"],
            "high": score - line["macro_f1_low"],
            "best_guess": guess - line["best_guess"],
            "deployments": int(line["n_deployments"]),
        }
    return _compare("03_evaluate", measures)


def _compare(notebook: str, measures: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Compare the targets that these measures are about."""
    compared = compare_targets([target for target in read_targets() if target.notebook == notebook], measures)
    return compared[compared["value"] != "-"].reset_index(drop=True)
