"""Goals about kinds left out, unknown services and time are judged by the exact figure."""

from __future__ import annotations

import pandas as pd

from podlab.notebook.aims import left_out_goals, time_goals, unknown_goals


def rung(protocol: str, split: str, macro_f1: float, best_guess: float) -> dict[str, object]:
    return {
        "protocol": protocol, "split": split, "decides_on": "container", "macro_f1": macro_f1,
        "macro_f1_low": macro_f1 - 0.02, "macro_f1_high": macro_f1 + 0.01, "best_guess": best_guess,
        "n_deployments": 12,
    }  # fmt: skip


def test_a_kind_left_out_is_compared_with_podlab_on_deployments_and_not_with_the_tree_on_rows() -> None:
    tree = {**rung("by deployment, all columns", "by deployment", 0.5, 0.5), "decides_on": "row"}
    podlab = rung("by deployment, podlab after 60 s", "by deployment", 0.98, 0.99)
    left_out = [
        rung("load pattern left out", "left out", 0.94, 0.98),
        rung("version left out", "left out", 0.9, 0.95),
        rung("configuration left out", "left out", 0.5, 0.8),
    ]
    goals = left_out_goals(pd.DataFrame([tree, podlab, *left_out])).set_index("target")
    assert goals["reached"].to_list() == ["✗ no", "✗ only without unknown", "✓ yes"]
    assert goals["value"].to_list() == ["0.480", "0.080", "0.040"]
    assert goals["best guess"].to_list() == ["0.190", "0.040", "0.010"]
    assert goals["95 % interval"].iloc[2] == "0.03 to 0.06"
    assert left_out_goals(pd.DataFrame([tree, podlab])).empty


def test_unknown_services_are_judged_by_novelty_in_one_scenario() -> None:
    def line(scenario: str, unknown: str, by: str, auroc: float, passing: float) -> dict[str, object]:
        scores = {"auroc": auroc, "fpr_at_95": passing}
        spread = {f"{name}{end}": value for name, value in scores.items() for end in ("_low", "_high")}
        return {"scenario": scenario, "unknown": unknown, "by": by, **scores, **spread, "n_unknown": 7}

    apart = pd.DataFrame(
        [
            line("60 s", "all", "novelty", 0.981, 0.0501),
            line("60 s", "near", "novelty", 0.849, 0.2),
            line("60 s", "all", "1 - confidence", 0.1, 0.9),
            line("10 s", "all", "novelty", 0.1, 0.9),
        ]
    )
    goals = unknown_goals(apart, "60 s", "strangers")
    assert dict(zip(goals["target"], goals["reached"], strict=True)) == {
        "FPR at 95 % TPR: strangers, 60 s": "✗ no",
        "AUROC, similar to a known service: strangers, 60 s": "✗ no",
        "AUROC: strangers, 60 s": "✓ yes",
    }
    assert goals["value"].to_list() == ["0.050", "0.849", "0.981"]
    assert unknown_goals(apart.iloc[:0], "60 s", "strangers").empty


def test_time_is_judged_by_podlabs_own_rule() -> None:
    figures = {"median_s": 20.0, "error": 0.021, "revised": 0.01}
    own = {f"{name}{end}": value for name, value in figures.items() for end in ("", "_low", "_high")}
    other = dict.fromkeys(own, 0.0)
    rules = pd.DataFrame([{"rule": "podlab's default", **own, "n_deployments": 9}, {**other, "n_deployments": 9}])
    goals = time_goals(rules)
    assert goals["target"].iloc[0] == "Wrong final decisions"
    assert goals["reached"].to_list() == ["✗ no", "✓ yes", "✓ yes"]
    assert goals["value"].iloc[1] == "20.0"
