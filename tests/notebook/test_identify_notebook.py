"""The notebook about other clusters' conditions keeps its comparison, its conditions and its targets."""

from __future__ import annotations

import json

from tests.notebook.conftest import Whole


def test_it_hands_on_what_the_report_shows(whole: Whole) -> None:
    found = json.loads((whole.reports / "results" / "06_identify.json").read_text())
    assert {"ranks", "costs", "ages", "moved", "sets"} <= set(found["figures"])
    assert {"bake_off", "births", "moved", "sets", "seldom", "targets"} <= set(found["tables"])
    conditions = found["facts"]["conditions"]
    assert conditions["n_deployments"] == 16
    assert {line["group"] for line in conditions["conditions"]} >= {"since start", "fewer columns", "another machine"}
    assert all(line["n_deployments"] <= 16 for line in conditions["conditions"])
    assert len(found["facts"]["bake_off"]["ranks"]) == 11
