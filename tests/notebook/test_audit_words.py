"""What an audit says of its numbers is what they say."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.audit import FaultAudit
from podlab.audit.confounding import TIED, VISIBLE
from podlab.notebook.audit_words import (
    baseline_table,
    fault_words,
    findings,
    format_p,
    outside_table,
    separation_table,
)

OUTSIDE = pd.DataFrame(
    [
        {"property": "load pattern", "window": "birth", "asked": VISIBLE, "observed": 0.31, "chance": 0.24, "low": 0.2,
         "high": 0.28, "p": 0.0004},
        {"property": "load pattern", "window": "mid-life", "asked": VISIBLE, "observed": 0.4, "chance": 0.24,
         "low": 0.2, "high": 0.28, "p": 0.0004},
    ]
)  # fmt: skip


def test_tables_keep_the_numbers() -> None:
    told = outside_table(OUTSIDE)
    assert told["95 % of chance"].to_list() == ["20 to 28", "20 to 28"]
    assert told["observed %"].to_list() == pytest.approx([31, 40])
    assert told["p"].to_list() == ["< 0.001", "< 0.001"]


def test_each_metric_is_one_line_with_what_its_level_goes_with() -> None:
    line = {"window": "birth", "metric": "threads", "macro_f1": 0.4, "by_service": 0.9, "by_load": 0.1}
    other = {**line, "metric": "sockets", "macro_f1": 0.2}
    table = pd.DataFrame([other, line, {**line, "window": "mid-life", "macro_f1": 0.3, "by_service": 0.7}])
    told = separation_table(table.assign(by_site=float("nan"))).set_index("metric")
    assert told.index.to_list() == ["threads", "sockets"]
    assert told.loc["threads", ["macro-F1, birth", "macro-F1, mid-life"]].to_list() == [0.4, 0.3]
    assert told.loc["threads", "variance by service %"] == pytest.approx(70)
    assert not [name for name in told if "site" in name]


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
        "outside": OUTSIDE[:0],
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
        ("outside", OUTSIDE, "circumstances beyond chance: shared by look-alikes of different services"),
        ("outside", OUTSIDE.assign(asked=TIED), "circumstances beyond chance: goes with the service"),
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


def test_the_baseline_is_one_line_a_split_and_method_with_the_windows_beside_each_other() -> None:
    line = {
        "split": "deployment", "window": "from birth", "method": "plain extra-trees", "columns": "original",
        "macro_f1": 0.9, "low": 0.85, "high": 0.95, "deployments": 40, "services": 4, "chance": 0.25,
    }  # fmt: skip
    table = pd.DataFrame(
        [line, {**line, "window": "mid-life", "macro_f1": 0.7}, {**line, "split": "site left out", "macro_f1": 0.5}]
    )
    told = baseline_table(table).set_index("split")
    assert told.index.to_list() == ["deployment", "site left out"]
    assert told.loc["deployment", "macro-F1, from birth"].startswith("0.90")
    assert told.loc["deployment", "macro-F1, mid-life"].startswith("0.70")
    assert told["deployments"].to_list() == [40, 40]
