from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.evaluation import bake_off
from podlab.evaluation.bakeoff import critical_difference, rank_methods
from podlab.evaluation.contenders import CONTENDERS, describe_intervals
from podlab.windows import Windows
from tests.support.synthetic import make_samples

QUICK = {name: CONTENDERS[name] for name in ("extra trees, first seconds kept", "discriminant on selected features")}


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    table = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=22, interval_s=2)
    return table.drop(columns="volume_used_bytes")


@pytest.fixture(scope="module")
def steps() -> list[tuple[int, int, str]]:
    return []


@pytest.fixture(scope="module")
def found(samples, steps):
    return bake_off(samples, contenders=QUICK, horizons_s=(20, 10), folds=2, progress=lambda *step: steps.append(step))


def test_each_method_is_scored_once_at_each_horizon_on_every_deployment(found, steps):
    table = found.table
    assert table.groupby("horizon_s")["method"].apply(list).to_dict() == {10.0: [*QUICK], 20.0: [*QUICK]}
    assert set(table["n_deployments"]) == set(table["n_containers"]) == {12}
    assert ((table["low"] <= table["macro_f1"]) & (table["macro_f1"] <= table["high"])).all()
    assert (table["fit_cpu_s"] > 0).all()
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_methods_that_learn_tell_separable_services_apart_idle_ones_too(found):
    assert (found.table["macro_f1"] > 0.8).all()
    assert (found.table["idle_macro_f1"] > 0.6).all()


def test_methods_are_ranked_over_services(found):
    assert set(found.ranks["method"]) == set(QUICK)
    assert found.ranks["mean_rank"].sum() == pytest.approx(3)
    assert found.critical_difference == pytest.approx(1.96 * np.sqrt(2 * 3 / (6 * 3)))


def test_ranks_and_critical_difference_are_those_of_a_worked_example():
    """Demsar 2006, section 3.2.2: four methods on 14 data sets differ from 1.25 mean ranks on."""
    assert critical_difference(14, 4) == pytest.approx(1.25, abs=0.01)
    ranked = rank_methods(pd.DataFrame({"good": [0.9, 0.9], "bad": [0.1, 0.2], "tied": [0.9, 0.1]}))
    assert dict(zip(ranked["method"], ranked["mean_rank"], strict=True)) == {"good": 1.25, "tied": 2.25, "bad": 2.5}


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
    with pytest.raises(InputError, match="no horizon"):
        bake_off(samples, horizons_s=())
