"""Rules side by side: none is judged by what it was chosen on, and strangers count for themselves."""

from __future__ import annotations

import numpy as np
import pytest

from podlab.evaluation.rules import compare_rules
from podlab.identify.early import UNKNOWN
from tests.evaluation.test_anytime import made


def test_each_rule_is_judged_on_known_and_unknown_containers_apart():
    replay = made(
        [0, 1] * 8 + [UNKNOWN] * 4,
        [[0] * 4, [1, 1, 1, 1]] * 8 + [[0] * 4] * 4,
        [[0.95] * 4] * 16 + [[0.5] * 4] * 2 + [[0.99] * 4] * 2,
    )
    table = compare_rules(replay, horizons_s=(10.0, 40.0)).set_index("rule")
    assert list(table.index[-2:]) == ["fixed: 10 s", "fixed: 40 s"]
    own = table.loc["podlab's default"]
    assert own["median_s"] == 20.0, "two looks, 10 s apart"
    assert own["error"] == 0.0
    assert own["unknown_refused"] == 0.5
    assert (own["n_deployments"], own["n_unknown"]) == (16, 4)
    assert table.loc["plain threshold, chosen", "median_s"] == 10.0
    assert table.loc["fixed: 10 s", "unknown_refused"] == 0.0, "all look like known ones"


def test_without_strangers_nothing_is_said_of_them():
    replay = made([0, 1] * 4, [[0] * 2, [1] * 2] * 4, [[0.95] * 2] * 8)
    table = compare_rules(replay)
    assert np.isnan(table["unknown_refused"]).all()
    assert table["right"].tolist() == pytest.approx([1.0] * 3)
