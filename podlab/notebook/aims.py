"""The targets about groups held out, unknown services and early classification."""

from __future__ import annotations

from typing import Any

import pandas as pd

from podlab.evaluation.unknown import ALL, NEAR, NOVELTY
from podlab.notebook.tables import compare_targets, measures_of, read_targets


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


def unknown_goals(apart: pd.DataFrame, scenario: str, who: str) -> pd.DataFrame:
    """Judge how well unknown services are separated from known ones.

    Parameters
    ----------
    apart : DataFrame
        From :func:`podlab.evaluation.unknown.separation_table`.
    scenario : str
        How containers are seen.
    who : str
        The unknown services, in words.

    Returns
    -------
    DataFrame
        As :func:`podlab.notebook.tables.compare_targets`; ``deployments`` are those of the unknown.
    """
    if not len(apart):
        return pd.DataFrame()
    own = apart[(apart["scenario"] == scenario) & (apart["by"] == NOVELTY)].assign(
        name=f"{who}, {scenario}", n_deployments=apart["n_unknown"]
    )
    measures: dict[str, dict[str, Any]] = {}
    for which, column, prefix in (
        (ALL, "auroc", "AUROC"), (ALL, "fpr_at_95", "FPR at 95 % TPR"), (NEAR, "auroc", "AUROC near"),
    ):  # fmt: skip
        found = measures_of(own[own["unknown"] == which], column, label="name")
        measures |= {f"{prefix}: {name}": value for name, value in found.items()}
    return _compare("07_unknown_and_similar", measures)


def time_goals(rules: pd.DataFrame) -> pd.DataFrame:
    """Judge how soon podlab's own rule decides, how often it is wrong in the end, and how often it is revised.

    Parameters
    ----------
    rules : DataFrame
        From :func:`podlab.evaluation.early.compare_rules`; its first line is podlab's rule.
    """
    own = rules.iloc[:1]
    measures: dict[str, dict[str, Any]] = {}
    for column, name in (
        ("median_s", "seconds to a decision"), ("error", "wrong final decisions"), ("revised", "revised decisions"),
    ):  # fmt: skip
        measures |= measures_of(own.assign(name=name), column, label="name")
    return _compare("07_unknown_and_similar", measures)


def _compare(notebook: str, measures: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Compare the targets that these measures are about."""
    compared = compare_targets([target for target in read_targets() if target.notebook == notebook], measures)
    return compared[compared["value"] != "-"].reset_index(drop=True)
