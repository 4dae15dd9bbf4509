"""Containers of a data set one after another: each once, whole, and none cut at a border of partitions."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.recordings import read_recording
from podlab.data.samples import INSTANCE_KEY, check_samples
from podlab.data.store import Dataset, append, open_dataset
from podlab.data.store.carry import Reach
from podlab.data.store.index import read_index
from podlab.data.store.stream import Batch, Section, stream
from tests.support.lives import MIDNIGHT, make_lives, scatter, small_files
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def lives() -> pd.DataFrame:
    return make_lives()


def batches_of(dataset: Dataset, *, sections: int = 1, **how: object) -> list[Batch]:
    """Stream all clusters in so many sections."""
    found = []
    for cluster in dataset.clusters:
        index = read_index(dataset, cluster)
        borders = np.linspace(0, len(index.partitions), sections + 1).astype(int).tolist()
        for first, end in pairwise(borders):
            found += stream(dataset, Section(index, first, end), **how)  # type: ignore[arg-type]
    return found


def test_what_two_appends_know_of_one_instant_is_put_together(tmp_path: Path) -> None:
    lives = make_samples(("redis",), deployments_per_service=1, seconds=30)
    for column in ("memory_rss_bytes", "cpu_usage_nanocores"):
        append(lives.drop(columns=column), tmp_path / "fleet")
    [batch] = batches_of(open_dataset(tmp_path / "fleet"), labels=True)
    pd.testing.assert_frame_equal(batch.samples[lives.columns], lives)
    pd.testing.assert_frame_equal(open_dataset(tmp_path / "fleet").read()[lives.columns], lives)


def test_an_empty_cluster_of_old_is_streamed_as_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lives = make_samples(("redis",), deployments_per_service=1, seconds=10)
    monkeypatch.setattr(sys.modules["podlab.data.store.append"], "check_samples", lambda frame, *, where: frame)
    append(lives.assign(cluster=""), tmp_path / "fleet")
    [batch] = batches_of(open_dataset(tmp_path / "fleet"))
    assert set(batch.samples["cluster"]) == {"local"}


def instances(samples: pd.DataFrame) -> list[tuple[object, ...]]:
    """Name the container instances of a table, in order of appearance."""
    heads = samples[list(INSTANCE_KEY)].drop_duplicates()
    return [tuple(None if pd.isna(value) else value for value in row) for row in heads.itertuples(index=False)]


@settings(max_examples=5)
@given(
    appends=st.integers(1, 4), seed=st.integers(0, 9), row_group=st.sampled_from([3, 50, 1000]),
    most_rows=st.sampled_from([20, 100, 1000]), sections=st.integers(1, 3),
)  # fmt: skip
def test_every_container_comes_once_and_whole(
    lives: pd.DataFrame, appends: int, seed: int, row_group: int, most_rows: int, sections: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    with small_files(row_group, most_rows):
        dataset = open_dataset(scatter(lives, tmp_path_factory.mktemp("lives") / "fleet", appends, seed))
        batches = batches_of(dataset, sections=sections, labels=True)
        of_one = batches_of(dataset, labels=True)
    whose = [own for batch in batches for own in instances(batch.samples)]
    assert len(whose) == len(set(whose)) == 13
    assert whose == [own for batch in of_one for own in instances(batch.samples)]
    together = check_samples(pd.concat([batch.samples for batch in batches]), where="all batches")
    pd.testing.assert_frame_equal(together, read_recording([Path(dataset.where)]))
    for batch in batches:
        assert batch.left_out.tolist() == [0] * len(instances(batch.samples))
        assert (batch.samples.groupby(list(INSTANCE_KEY), dropna=False)["time"].diff().dropna() > pd.Timedelta(0)).all()


def test_a_container_that_crosses_midnight_is_not_cut(lives: pd.DataFrame, tmp_path: Path) -> None:
    append(lives, tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    assert {partition.day for partition in dataset.partitions} == {"2026-01-05", "2026-01-06"}
    spans = pd.concat([batch.samples for batch in batches_of(dataset)]).groupby("pod")["time"].agg(["min", "max"])
    assert (spans["max"] - spans["min"] > pd.Timedelta(seconds=38)).all()
    assert ((spans["min"] < MIDNIGHT) & (spans["max"] > MIDNIGHT)).sum() >= 5


def test_rows_beyond_reach_are_not_kept_but_counted(tmp_path: Path) -> None:
    samples = make_samples(("nginx",), deployments_per_service=2, seconds=600, interval_s=10)
    late = MIDNIGHT - pd.Timedelta(seconds=300) - samples["started_at"]
    samples = samples.assign(time=samples["time"] + late, started_at=samples["started_at"] + late)
    append(samples, tmp_path / "fleet")
    (batch,) = batches_of(open_dataset(tmp_path / "fleet"), reach=Reach(60, 100))
    # Of 30 rows before midnight some 7 of the first minute and some 11 of the last 100 s are kept.
    assert all(10 <= number <= 14 for number in batch.left_out)
    assert len(batch.samples) + batch.left_out.sum() == len(samples)
    for _, own in batch.samples.groupby("pod"):
        age_s = (own["time"] - own["started_at"]).dt.total_seconds()
        assert ((age_s < 70) | (age_s >= 200 - 10)).all()


def test_only_the_columns_asked_for(lives: pd.DataFrame, tmp_path: Path) -> None:
    append(lives, tmp_path / "fleet")
    samples = batches_of(open_dataset(tmp_path / "fleet"), metrics=["rx_bytes"])[0].samples
    assert {"rx_bytes", "pod"} <= set(samples)
    assert not {"tx_bytes", "service"} & set(samples)
