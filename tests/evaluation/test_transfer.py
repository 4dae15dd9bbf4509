from __future__ import annotations

import pandas as pd
import pytest

from podlab.data.catalogue import MEASURED_METRICS, ORIGINAL_METRICS
from podlab.evaluation.transfer import (
    COLUMNS,
    FOREST,
    MID_RUN,
    PODLAB,
    PODLAB_GUESS,
    START,
    TransferSettings,
    transfer_table,
)
from tests.support.synthetic import draw_design, make_samples

SETTINGS = TransferSettings(length_s=10.0, settled_s=10.0, folds=2, trees=20, jobs=1)


@pytest.fixture(scope="module")
def recording() -> pd.DataFrame:
    samples = make_samples(
        ("nginx", "mysql", "redis"), deployments_per_service=6, seconds=30, interval_s=2, columns=MEASURED_METRICS
    )
    return draw_design(samples, sites=("alpha", "bravo"))[0]


@pytest.fixture(scope="module")
def table(recording: pd.DataFrame) -> pd.DataFrame:
    old = make_samples(("mysql", "redis", "etcd"), deployments_per_service=3, seconds=30, interval_s=2, seed=1)
    return transfer_table(recording, {"old": old}, settings=SETTINGS)


def test_every_split_is_scored_in_both_windows_with_each_set_of_columns(table: pd.DataFrame) -> None:
    within = table[table["split"] != "tested on old"]
    assert list(within["split"].unique()) == ["deployment", "profile left out", "site left out"]
    counts = within.groupby(["split", "window", "method"])["columns"].agg(list)
    assert len(counts) == 3 * 2 * 3
    assert all(each == list(COLUMNS) for each in counts)
    assert set(within["window"]) == {START, MID_RUN}
    assert (within["deployments"] <= 18).all()
    assert (within.loc[within["split"] == "deployment", "deployments"] == 18).all()
    assert ((table["low"] <= table["macro_f1"]) & (table["macro_f1"] <= table["high"])).all()


def test_another_recording_is_tested_on_the_services_in_common_by_what_it_has_of_the_columns(
    table: pd.DataFrame,
) -> None:
    other = table[table["split"] == "tested on old"]
    assert set(other["services"]) == {2}
    assert set(other["deployments"]) == {6}
    # It has no further metrics, so that those alone say nothing; they are missing where a model learned from both.
    assert set(other["columns"]) == {"original", "original + further"}
    original = other[(other["method"] == FOREST) & (other["columns"] == "original")]
    assert original["macro_f1"].min() > 0.5


def test_podlab_is_scored_on_the_same_deployments(table: pd.DataFrame) -> None:
    own = table.set_index(["split", "window", "method", "columns"])
    for split in ("deployment", "tested on old"):
        for window in (START, MID_RUN):
            methods = (FOREST, PODLAB, PODLAB_GUESS)
            forest, podlab, guess = (own.loc[(split, window, method, "original")] for method in methods)
            assert forest["deployments"] == podlab["deployments"] == guess["deployments"]
            # Unknown is wrong.
            assert podlab["macro_f1"] <= guess["macro_f1"]
            assert guess["macro_f1"] > 0.6


def test_an_old_recording_has_fewer_splits_and_columns() -> None:
    old = make_samples(
        ("nginx", "mysql"), deployments_per_service=4, seconds=30, interval_s=2, columns=ORIGINAL_METRICS
    )
    table = transfer_table(
        old, settings=TransferSettings(length_s=10.0, settled_s=10.0, trees=5, jobs=1, per_service=3, with_podlab=False)
    )
    assert set(table["split"]) == {"deployment"}
    assert set(table["columns"]) == {"original"}
    assert set(table["deployments"]) == {6}
