from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import bake_off
from podlab.evaluation.contenders import CONTENDERS, describe_intervals
from podlab.features.windows import Windows
from tests.support.synthetic import make_samples

PODLAB, DISCRIMINANT = "podlab: trees by view, start kept", "discriminant on selected features"
QUICK = {name: CONTENDERS[name] for name in (PODLAB, DISCRIMINANT)}


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    table = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=22, interval_s=2)
    return table.drop(columns="volume_used_bytes")


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture(scope="module")
def found(samples, steps):
    return bake_off(
        samples, contenders=QUICK, horizons_s=(20, 10), folds=2, jobs=1, progress=lambda *step: steps.append(step)
    )


def test_each_method_is_scored_once_at_each_horizon_on_every_deployment(found, steps):
    table = found.table
    assert table.groupby("horizon_s")["method"].apply(list).to_dict() == {10.0: [*QUICK], 20.0: [*QUICK]}
    assert set(table["n_deployments"]) == set(table["n_containers"]) == {12}
    assert ((table["low"] <= table["macro_f1"]) & (table["macro_f1"] <= table["high"])).all()
    assert (table["fit_cpu_s"] > 0).all()
    assert [step[:2] for step in steps] == [(number, 6) for number in range(1, 7)]


def test_methods_that_learn_tell_separable_services_apart_idle_ones_too(found):
    assert (found.table["macro_f1"] > 0.8).all()
    assert (found.table[["idle_macro_f1", "loaded_macro_f1"]] > 0.6).all(axis=None)


def test_services_dealt_at_random_are_learned_by_none(found):
    control = found.control
    assert control["method"].to_list() == [*QUICK]
    assert set(control["horizon_s"]) == {20.0}
    assert (control["macro_f1"] < 0.75).all()
    assert found.chance == pytest.approx(1 / 3)


def test_methods_are_ranked_over_folds_and_horizons(found):
    assert found.cases.shape == (4, 2)
    assert found.cases.index.names == ["horizon_s", "fold"]
    assert set(found.ranks["method"]) == set(QUICK)
    assert found.ranks["mean_rank"].sum() == pytest.approx(3)
    assert found.critical_difference == pytest.approx(1.96 * np.sqrt(2 * 3 / (6 * 4)))
    assert found.cliques == [tuple(found.ranks["method"])], "four cases tell nothing apart"


def test_all_of_it_is_plain_json(found):
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert len(told["table"]) == 4
    assert told["n_cases"] == 4


def test_a_window_s_intervals_begin_with_quantiles_of_the_whole_and_leave_missing_series_missing():
    ramp = np.expm1(np.arange(20, dtype=np.float32))
    missing = np.full(20, np.nan, dtype=np.float32)
    windows = Windows(np.stack([ramp, missing])[None], ("rx_bytes", "tx_bytes"), pd.DataFrame({"pod": ["a"]}), None)
    described = describe_intervals(windows)[0]
    assert described[:5] == pytest.approx([0, 4, 9, 14, 19])
    assert np.isnan(described[5:10]).all()


def test_a_comparison_needs_methods_and_horizons(samples):
    with pytest.raises(InputError, match="1 methods"):
        bake_off(samples, contenders={"one": CONTENDERS["1-NN"]})
    with pytest.raises(InputError, match="11 methods"):
        bake_off(samples, contenders={str(number): CONTENDERS["1-NN"] for number in range(11)})
    with pytest.raises(InputError, match="no horizon"):
        bake_off(samples, horizons_s=())
