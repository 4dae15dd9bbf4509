"""What was aimed at is compared with what was found, and a rounded figure never decides."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.evaluation import Conditions
from podlab.evaluation.scenarios import BIRTH, MACHINE, RECORDING
from podlab.evaluation.shift import TO_OTHER
from podlab.notebook.goals import conditions_words, goals_table, seldom_words, sets_words


def line(group: str, condition: str, horizon_s: float, macro_f1: float, **also: object) -> dict[str, object]:
    figures = {"macro_f1": macro_f1, "best_guess": macro_f1 + 0.01, "lost": 0.0, "guess_lost": 0.0,
               "calibration_error": 0.01, "coverage": 0.95, "set_size": 1.05}  # fmt: skip
    figures |= {name: float(value) for name, value in also.items() if name in figures}
    spread = {f"{name}{end}": value for name, value in figures.items() for end in ("_low", "_high")}
    return {
        "group": group, "condition": condition, "containers": also.get("containers", "all"), "horizon_s": horizon_s,
        "interval_s": 0.0, **figures, **spread, "share_known": 0.99, "worst_service": "redis", "worst_coverage": 0.9,
        "worst_draw": float("nan"), "beside": "", "n_deployments": 20, "n_containers": 20, "n_decisions": 20,
    }  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Conditions:
    table = pd.DataFrame(
        [
            line(BIRTH, "10 s", 10.0, 0.985),
            line(BIRTH, "10 s", 10.0, 0.799, containers="loaded"),
            line(BIRTH, "60 s", 60.0, 0.97),
            line(BIRTH, "60 s", 60.0, 0.955, containers="loaded"),
            line(MACHINE, "another machine", 60.0, 0.9, lost=0.0801, guess_lost=0.1),
            line(RECORDING, f"60 s, {TO_OTHER}", 60.0, 0.9, lost=0.03),
        ]
    )
    return Conditions(table, pd.DataFrame(), {}, ("a", "b"), 20, 20, 1.0)


def test_each_target_that_could_be_measured_is_judged_by_the_exact_number(found: Conditions) -> None:
    compared = goals_table(found).set_index("target")
    assert compared["reached"].to_dict() == {
        "Largest drop in macro-F1 from one horizon to a longer one": "✗ no",
        "Drop in macro-F1, hardware: another machine": "✗ no",
        "Macro-F1 after 10 s, under load": "✗ only without unknown",
        "Macro-F1 after 60 s, under load": "✗ only without unknown",
        f"Drop in macro-F1, another recording: 60 s, {TO_OTHER}": "✓ yes",
        "Expected calibration error": "✓ yes",
        "Coverage of the 95 % prediction sets": "✓ yes",
        "Mean size of the 95 % prediction sets": "✓ yes",
    }
    assert compared["value"].iloc[0] == "0.015"
    assert compared.loc["Macro-F1 after 10 s, under load", "value"] == "0.799"
    assert set(compared["deployments"]) == {20}


def test_tables_for_people_name_every_condition_once(found: Conditions) -> None:
    whole = found.table[found.table["containers"] == "all"]
    told = conditions_words(whole)
    assert told["condition"].to_list() == whole["condition"].to_list()
    assert {"lost", "beside", "deployments"} <= set(told)
    assert "lost" not in conditions_words(found.table, lost=False)
    assert "containers" in conditions_words(found.table, lost=False)
    assert sets_words(whole)["worst service"].eq("redis").all()
    assert sets_words(whole.assign(worst_coverage=1.0))["worst service"].eq("-").all(), "none is worse than the others"


def test_who_is_ahead_is_told_with_an_interval() -> None:
    table = pd.DataFrame(
        {"who": ["podlab", "forest"], "minutes": 3.0, "samples": 4.0, "macro_f1": [0.9, 0.8], "low": 0.7, "high": 1.0,
         "gain": [float("nan"), 0.1], "gain_low": [float("nan"), 0.05], "gain_high": [float("nan"), 0.2],
         "n_deployments": 9}
    )  # fmt: skip
    assert seldom_words(table)["its interval"].to_list() == ["-", "0.05 to 0.20"]
