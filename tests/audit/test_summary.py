"""Each fault that an audit finds asks for a second look."""

from __future__ import annotations

import pandas as pd
import pytest

from podlab.audit import summarise
from podlab.audit.confounding import TIED, VISIBLE

OUTSIDE = pd.DataFrame(
    [
        {"property": "load pattern", "window": "start-up", "asked": VISIBLE, "observed": 0.31, "chance": 0.24,
         "low": 0.2, "high": 0.28, "p": 0.0004},
        {"property": "load pattern", "window": "steady state", "asked": VISIBLE, "observed": 0.4, "chance": 0.24,
         "low": 0.2, "high": 0.28, "p": 0.0004},
    ]
)  # fmt: skip


def duplicates(found: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"check": ["container instances in two deployments"], "found": found, "of": 9, "what": "instances"}
    )


def summary(**changed: pd.DataFrame) -> dict[str, str]:
    clean = {
        "counts": pd.DataFrame({"fewest per pattern": [2, 3]}),
        "columns": pd.DataFrame({"column": ["image_size_bytes", "rx_bytes"], "remark": ["constant by service", ""]}),
        "duplicates": duplicates(0),
        "pairs": pd.DataFrame({"suspicious": [False, False]}),
        "shuffled": pd.DataFrame({"macro_f1": [0.2, 0.3], "low": 0.1, "high": 0.4, "chance": 0.25}),
        "outside": OUTSIDE[:0],
    }
    table = summarise(**{**clean, **changed})
    return dict(zip(table["question"], table["verdict"], strict=True))


def test_a_clean_audit_asks_for_no_second_look() -> None:
    assert set(summary().values()) == {"fine"}


@pytest.mark.parametrize(
    ("part", "found", "question"),
    [
        ("counts", pd.DataFrame({"fewest per pattern": [0, 3]}), "deployments of the rarest service and pattern"),
        ("columns", pd.DataFrame({"column": ["rx_bytes"], "remark": ["constant"]}),
         "columns that are constant, absent or specific to a service"),
        ("duplicates", duplicates(1),
         "container instances in two deployments"),
        ("pairs", pd.DataFrame({"suspicious": [True, True]}), "deployments suspiciously like another"),
        ("shuffled", pd.DataFrame({"macro_f1": [0.5], "low": 0.4, "high": 0.6, "chance": 0.25}),
         "macro-F1 on shuffled labels"),
        ("outside", OUTSIDE, "circumstances beyond chance: shared by nearest neighbours of different services"),
        ("outside", OUTSIDE.assign(asked=TIED), "circumstances beyond chance: explained by the service"),
    ],
)  # fmt: skip
def test_each_fault_asks_for_a_second_look(part: str, found: pd.DataFrame, question: str) -> None:
    assert [asked for asked, verdict in summary(**{part: found}).items() if verdict != "fine"] == [question]
