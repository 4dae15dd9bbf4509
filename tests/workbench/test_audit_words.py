"""What an audit says of its numbers is what they say."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.audit import FaultAudit
from podlab.audit.confounding import ANOTHER, WRONG
from podlab.workbench.audit_words import (
    beside_chance_table,
    confounding_words,
    fault_words,
    findings,
    format_p,
    tied_words,
)

PATTERN = {
    "window": "birth", "features": "all", "property": "load pattern", "pairs": ANOTHER, "number": 112, "shared": 0.31,
    "chance": 0.24, "low": 0.2, "high": 0.28, "excess": 0.07, "p": 0.0004, "close": float("nan"), "unit": "",
}  # fmt: skip
WRONG_PATTERN = {**PATTERN, "pairs": WRONG, "number": 27, "shared": 0.22, "excess": -0.02, "p": 0.8}
TIME = {
    **PATTERN, "property": "start time", "shared": 0.12, "chance": 0.1, "low": 0.05, "high": 0.17, "excess": 0.02,
    "p": 0.21, "close": 25.08, "unit": "s",
}  # fmt: skip
PART = {**PATTERN, "features": "CPU, network, I/O", "shared": 0.99}
VISIBLE = pd.DataFrame([PATTERN, WRONG_PATTERN, TIME, PART])
TIED = pd.DataFrame(
    [{"window": "birth", "property": "start time", "number": 112, "explained": 0.01, "chance": 0.12, "low": 0.05,
      "high": 0.2, "excess": -0.11, "p": 1.0}]
)  # fmt: skip


def test_the_result_is_said_with_its_numbers_whatever_it_comes_to() -> None:
    assert confounding_words(VISIBLE) == [
        "Birth: of 112 nearest neighbours of another service 31 % have the same load pattern, chance 24 %"
        " (20 to 28 %): 7 points more than chance (p < 0.001); of 27 wrong nearest ones 22 %, chance 24 %"
        " (20 to 28 %).",
        "Birth: of 112 nearest neighbours of another service 12 % started at the same time (to 25 s), chance 10 %"
        " (5 to 17 %): as chance has it (p = 0.21).",
    ]
    assert tied_words(TIED) == [
        "Birth: the service explains 1 % of the variance of the start time, chance 12 % (5 to 20 %):"
        " 11 points less than chance."
    ]


def test_numbers_that_are_equal_are_said_to_be() -> None:
    equal = pd.DataFrame([{**TIME, "property": "containers beside", "close": 0.0, "unit": "containers"}])
    assert "12 % had as many containers beside them (exactly), chance" in confounding_words(equal)[0]


def test_seconds_are_written_out() -> None:
    assert "started at the same time (to 1,200 s)" in confounding_words(pd.DataFrame([{**TIME, "close": 1234.5}]))[0]


def test_tables_keep_the_numbers() -> None:
    told = beside_chance_table(VISIBLE)
    assert told["95 % of chance"].to_list() == ["20 to 28", "20 to 28", "5 to 17", "20 to 28"]
    assert told["shared %"].to_list() == pytest.approx([31, 22, 12, 99])
    assert "explained %" in beside_chance_table(TIED)


@pytest.mark.parametrize(("p", "said"), [(0.0005, "< 0.001"), (0.001, "0.001"), (0.0312, "0.031"), (1.0, "1.00")])
def test_p_is_never_said_to_be_nothing(p: float, said: str) -> None:
    assert format_p(p) == said


def duplicates(found: int) -> pd.DataFrame:
    return pd.DataFrame({"check": ["lives in two deployments"], "found": found, "of": 9, "what": "lives"})


def summary(**changed: pd.DataFrame) -> dict[str, str]:
    clean = {
        "counts": pd.DataFrame({"fewest per pattern": [2, 3]}),
        "columns": pd.DataFrame({"column": ["image_size_bytes", "rx_bytes"], "remark": ["constant by service", ""]}),
        "duplicates": duplicates(0),
        "pairs": pd.DataFrame({"suspicious": [False, False]}),
        "shuffled": pd.DataFrame({"macro_f1": [0.2, 0.3], "low": 0.1, "high": 0.4, "chance": 0.25}),
        "visible": pd.DataFrame([TIME]),
        "tied": TIED,
    }
    table = findings(**{**clean, **changed})
    return dict(zip(table["question"], table["verdict"], strict=True))


def test_a_clean_audit_asks_for_no_second_look() -> None:
    assert set(summary().values()) == {"fine"}


@pytest.mark.parametrize(
    ("part", "found", "question"),
    [
        ("counts", pd.DataFrame({"fewest per pattern": [0, 3]}), "deployments of the rarest service and pattern"),
        ("columns", pd.DataFrame({"column": ["rx_bytes"], "remark": ["constant"]}),
         "columns that are constant, absent or given by service"),
        ("duplicates", duplicates(1),
         "lives in two deployments"),
        ("pairs", pd.DataFrame({"suspicious": [True, True]}), "deployments suspiciously like another"),
        ("shuffled", pd.DataFrame({"macro_f1": [0.5], "low": 0.4, "high": 0.6, "chance": 0.25}),
         "macro-F1 on shuffled labels"),
        ("visible", pd.DataFrame([PATTERN]), "load pattern shared by look-alikes of different services (birth)"),
        ("tied", TIED.assign(explained=0.5), "start time told by the service (birth)"),
    ],
)  # fmt: skip
def test_each_fault_asks_for_a_second_look(part: str, found: pd.DataFrame, question: str) -> None:
    assert [asked for asked, verdict in summary(**{part: found}).items() if verdict != "fine"] == [question]


def test_faults_are_summed_up() -> None:
    intervals = pd.DataFrame(
        {"service": ["a", "b"], "deployment": ["x", "y"], "kind": "leak", "begin_s": 1.0, "seconds": 5.0}
    )
    said = fault_words(FaultAudit(intervals, 10.0, 1030.0, 1000, 900, 1, 2))
    assert said == (
        "2 faults in 2 deployments: 10 s inside and 1,030 s outside of faults (1 % inside). 90 % of their rows say"
        " whether there is a fault; 1 rows in a fault tell no kind, 2 tell one without a fault."
    )
