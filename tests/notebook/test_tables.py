"""Scores are short and never read as perfect when they are not; targets are judged by the exact number."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.units import format_number
from podlab.errors import InputError
from podlab.notebook.report import CHAIN
from podlab.notebook.tables import TARGETS_FILE, Target, compare_targets, read_targets


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.876, "0.88"),
        (1.0, "1.00"),
        (0.0, "0.00"),
        (0.9955, "0.996"),
        (0.0044, "0.004"),
        (65.04, "65.0"),
        (9.999, "10.0"),
        (30_412.4, "30,412"),
        (10_080, "10,080"),
    ],
)
def test_numbers_are_rounded_but_not_to_perfect(value: float, text: str) -> None:
    assert format_number(value) == text


def test_a_target_is_reached_only_with_its_whole_interval_and_a_pattern_stands_for_many() -> None:
    targets = [Target("Drop", "n", "drop: *", at_most=0.05), Target("Macro-F1", "n", "f1", at_least=0.8)]
    measures = {
        "drop: site": {"value": 0.0501, "best_guess": 0.04, "low": 0.01, "high": 0.09, "deployments": 3},
        "drop: version": {"value": 0.05, "low": 0.01, "high": 0.05},
        "drop: load": {"value": 0.03, "low": -0.02, "high": 0.06},
        "drop: machine": {"value": 0.0},
        "f1": {"value": 0.7996, "best_guess": 0.79},
    }
    compared = compare_targets(targets, measures).set_index("target")
    assert compared["reached"].to_dict() == {
        "Macro-F1": "✗ no",
        "Drop: site": "✗ only without unknown",
        "Drop: version": "✓ yes",
        "Drop: load": "? not decided",
        "Drop: machine": "? not decided",
    }
    assert compared.loc["Drop: site", ["value", "95 % interval", "without unknown"]].to_list() == [
        "0.0501", "0.01 to 0.09", "0.04",
    ]  # fmt: skip
    assert compared["deployments"].to_list() == [pd.NA, 3, *[pd.NA] * 3]
    assert compare_targets(targets[:1], {}).empty


@pytest.mark.parametrize(("value", "text"), [(0.03103, "0.031"), (0.03032, "0.0303"), (0.0296, "0.03"), (0.2, "0.20")])
def test_a_number_near_its_target_has_only_the_digits_that_show_on_which_side(value: float, text: str) -> None:
    (row,) = compare_targets([Target("Drop", "n", "drop", at_most=0.03)], {"drop": {"value": value}}).to_dict("records")
    assert row["value"] == text


def test_the_targets_are_read_and_each_notebook_of_theirs_is_there() -> None:
    targets = read_targets(Path(__file__).parents[2] / TARGETS_FILE)
    assert len(targets) > 25
    assert {target.notebook for target in targets} <= set(CHAIN)
    assert len({(target.notebook, target.measure) for target in targets}) == len(targets)


@pytest.mark.parametrize("content", ["[[target", '[[target]]\nname = "x"', '[[target]]\ncolour = "red"'])
def test_a_damaged_list_of_targets_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "targets.toml").write_text(content)
    with pytest.raises(InputError, match=r"targets.toml: not a list of targets: .*; see its first lines"):
        read_targets(tmp_path / "targets.toml")
