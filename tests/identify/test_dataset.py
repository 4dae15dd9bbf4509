"""Identifying and scoring a data set piece by piece gives what all rows at once give."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab import identify
from podlab.data.samples import check_samples
from podlab.data.store import append, open_dataset
from podlab.data.store.containers import read_shares, stream_containers
from podlab.detect import DetectorLibrary, fit_library
from podlab.detect.recording import score_dataset, score_recording
from podlab.errors import InputError
from podlab.identify import Identifier, Prediction
from podlab.identify.dataset import identify_dataset
from podlab.identify.explain import explain
from tests.support.instances import make_containers, scatter, small_files
from tests.support.synthetic import make_samples

LONG_S = 900.0


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    samples = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=100, interval_s=2, seed=5)
    return identify.fit(samples, horizons_s=(10, 30), jobs=1)


@pytest.fixture(scope="module")
def lives() -> pd.DataFrame:
    return make_containers()


def by_name(answers: list[Prediction]) -> list[Prediction]:
    return sorted(answers, key=lambda answer: (answer.pod or "", answer.seconds_observed))


@settings(max_examples=5)
@given(appends=st.integers(1, 3), seed=st.integers(0, 9), row_group=st.sampled_from([7, 1000]))
def test_the_same_answers_bit_by_bit(
    lives: pd.DataFrame, identifier: Identifier, appends: int, seed: int, row_group: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    with small_files(row_group, 100):
        folder = scatter(lives, tmp_path_factory.mktemp("lives") / "fleet", appends, seed)
        for horizon_s in (None, 15.0):
            parts = identify_dataset(identifier, open_dataset(folder), horizon_s=horizon_s)
            found = [answer for part in parts for answer in part.answers]
            assert len(found) == 13
            assert by_name(found) == by_name(identifier.identify(lives, horizon_s=horizon_s))


@pytest.mark.parametrize("known_start", [True, False])
def test_long_lives_are_answered_the_same_though_most_rows_are_left_out(
    identifier: Identifier, tmp_path: Path, known_start: bool
) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=LONG_S, interval_s=2, seed=3)
    if not known_start:
        samples = samples[samples["time"] > samples["started_at"] + pd.Timedelta(seconds=60)]
    samples = check_samples(samples, where="long lives")
    order = np.argsort(samples["time"], kind="stable")
    for rows in np.array_split(order, 12):
        append(samples.iloc[rows], tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    found = [answer for part in identify_dataset(identifier, dataset) for answer in part.answers]
    assert by_name(found) == by_name(identifier.identify(samples))
    [share], _ = read_shares(dataset)
    head_s, tail_s = identifier.reach()
    left_out = [batch.left_out.sum() for batch in stream_containers(dataset, share, head_s=head_s, tail_s=tail_s)]
    assert sum(left_out) > 0.2 * len(samples)


def test_a_data_set_without_the_models_columns(identifier: Identifier, tmp_path: Path) -> None:
    append(make_samples(("nginx",), deployments_per_service=1, seconds=5), tmp_path / "fleet")
    poor = copy.copy(identifier)
    poor.columns = ("no_such_bytes",)
    with pytest.raises(InputError, match="the samples have none of the model's columns"):
        list(identify_dataset(poor, open_dataset(tmp_path / "fleet")))


@pytest.fixture(scope="module")
def library(identifier: Identifier) -> DetectorLibrary:
    samples = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=60, interval_s=2, seed=5)
    fitted = fit_library(samples, columns=identifier.columns)
    assert fitted is not None
    return fitted


def test_the_same_scores(lives: pd.DataFrame, identifier: Identifier, library: DetectorLibrary, tmp_path: Path) -> None:
    with small_files(50, 100):
        folder = scatter(lives, tmp_path / "fleet", 2, 0)
        parts = list(score_dataset(open_dataset(folder), identifier, library))
    assert len(parts) > 1
    whole = score_recording(lives, identifier, library)
    order = ["pod", "time"]
    found = pd.concat([part.table for part in parts]).sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(found, whole.table.sort_values(order, ignore_index=True))
    assert sum(len(own) for part in parts for own in part.alarms) == sum(len(own) for own in whole.alarms)


def test_within_a_horizon_the_same_reasons_from_few_rows(identifier: Identifier, tmp_path: Path) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=LONG_S, interval_s=2, seed=3)
    for rows in np.array_split(np.argsort(samples["time"], kind="stable"), 12):
        append(samples.iloc[rows], tmp_path / "fleet")
    parts = list(identify_dataset(identifier, open_dataset(tmp_path / "fleet"), horizon_s=30.0, whole=True))
    found = {}
    for part in parts:
        assert part.samples is not None
        told = explain(identifier, part.samples, part.answers, horizon_s=30.0, metrics=part.metrics)
        found |= dict(zip((answer.pod for answer in part.answers), told, strict=True))
    answers = identifier.identify(samples, horizon_s=30.0)
    whole = explain(identifier, samples, answers, horizon_s=30.0)
    assert found == dict(zip((answer.pod for answer in answers), whole, strict=True))
    assert sum(len(part.samples) for part in parts if part.samples is not None) < len(samples) / 2
