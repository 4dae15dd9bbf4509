"""What was aimed at, and what was reached, where kinds are left out, services are unknown, and decisions take time."""

from __future__ import annotations

import pandas as pd

from podlab.evaluation.unknown import ALL, NEAR, NOVELTY
from podlab.notebook.goals import tell_goal

#: Macro-F1 that may be lost where a whole kind is left out.
_LEFT_OUT_MAY_LOSE = 0.05
_AUROC, _PASSING, _NEAR_AUROC = 0.98, 0.05, 0.85
_MEDIAN_S, _FINAL_ERROR, _TAKEN_BACK = 20.0, 0.02, 0.01


def left_out_goals(leak: pd.DataFrame) -> pd.DataFrame:
    """Judge what is lost where every load pattern, version or configuration is new.

    Parameters
    ----------
    leak : DataFrame
        From :func:`podlab.evaluation.leak.leak_table`.

    Returns
    -------
    DataFrame
        As :func:`podlab.notebook.goals.goals_table`. The loss is against the same models' score where only
        deployments are held out; its interval is that of the score with the kind left out. Empty without such lines.
    """
    own = leak[(leak["split"] == "left out")]
    base = leak[(leak["split"] == "by deployment") & (leak["decides_on"] == "container")]
    lines = []
    for _, line in own.iterrows():
        score, guess = base["macro_f1"].iloc[0], base["best_guess"].iloc[0]
        lost, guess_lost = score - line["macro_f1"], guess - line["best_guess"]
        lines.append(
            tell_goal(
                f"lost: {line['protocol']}",
                f"at most {_LEFT_OUT_MAY_LOSE:.2f}",
                (lost <= _LEFT_OUT_MAY_LOSE, guess_lost <= _LEFT_OUT_MAY_LOSE),
                (lost, score - line["macro_f1_high"], score - line["macro_f1_low"]),
                line["n_deployments"],
                guess_lost,
            )
        )
    return pd.DataFrame(lines)


def unknown_goals(apart: pd.DataFrame, scenario: str, who: str) -> pd.DataFrame:
    """Judge how well services that no model knows are told from those known.

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
        As :func:`podlab.notebook.goals.goals_table`; ``deployments`` are those of the unknown.
    """
    if not len(apart):
        return pd.DataFrame()
    own = apart[(apart["scenario"] == scenario) & (apart["by"] == NOVELTY)]
    by_kind = {str(line["unknown"]): line for line in own.to_dict("records")}
    lines = []
    for which, name, what, goal, sign in (
        (ALL, "auroc", "AUROC", _AUROC, 1),
        (ALL, "fpr_at_95", "pass where 95 % of the known do", _PASSING, -1),
        (NEAR, "auroc", "AUROC of near ones", _NEAR_AUROC, 1),
    ):
        if which in by_kind:
            line = by_kind[which]
            reached = bool(sign * (line[name] - goal) >= 0)
            spread = (line[name], line[f"{name}_low"], line[f"{name}_high"])
            words = f"at {'least' if sign > 0 else 'most'} {goal:.2f}"
            lines.append(tell_goal(f"{who}, {scenario}: {what}", words, (reached, reached), spread, line["n_unknown"]))
    return pd.DataFrame(lines)


def time_goals(rules: pd.DataFrame) -> pd.DataFrame:
    """Judge how soon podlab's own rule decides, how often that is wrong in the end, and how often it is taken back.

    Parameters
    ----------
    rules : DataFrame
        From :func:`podlab.evaluation.rules.compare_rules`; its first line is podlab's rule.
    """
    line = rules.iloc[0]
    goals = (
        ("median_s", "median seconds to a decision", f"at most {_MEDIAN_S:g}", _MEDIAN_S),
        ("error", "wrong in the end", f"at most {_FINAL_ERROR:.2f}", _FINAL_ERROR),
        ("revised", "decisions taken back", f"at most {_TAKEN_BACK:.2f}", _TAKEN_BACK),
    )
    return pd.DataFrame(
        tell_goal(
            f"in time: {what}", goal, (line[name] <= most, line[name] <= most),
            (line[name], line[f"{name}_low"], line[f"{name}_high"]), line["n_deployments"],
        )
        for name, what, goal, most in goals
    )  # fmt: skip
