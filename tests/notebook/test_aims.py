"""Targets about groups held out are compared with the exact number."""

from __future__ import annotations

import pandas as pd

from podlab.notebook.aims import left_out_goals


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
