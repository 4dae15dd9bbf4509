"""Containers of a data set one after another: each once, whole, and none cut at a border of partitions."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.recordings import read_recording
from podlab.data.samples import INSTANCE_KEY, check_samples
from podlab.data.store import Dataset, append, open_dataset
from podlab.data.store.containers import Batch, cut_between_containers, read_shares, stream_containers
from tests.support.instances import MIDNIGHT, make_containers, scatter, small_files
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def lives() -> pd.DataFrame:
    return make_containers()


def batches_of(dataset: Dataset, **how: object) -> list[Batch]:
    """Stream all containers of a data set."""
    shares, _ = read_shares(dataset)
    return [batch for share in shares for batch in stream_containers(dataset, share, **how)]  # type: ignore[arg-type]


def test_what_two_appends_know_of_one_instant_is_put_together(tmp_path: Path) -> None:
    lives = make_samples(("redis",), deployments_per_service=1, seconds=30)
    for column in ("memory_rss_bytes", "cpu_usage_nanocores"):
        append(lives.drop(columns=column), tmp_path / "fleet")
    [batch] = batches_of(open_dataset(tmp_path / "fleet"), labels=True)
    pd.testing.assert_frame_equal(batch.samples[lives.columns], lives)
    pd.testing.assert_frame_equal(open_dataset(tmp_path / "fleet").read()[lives.columns], lives)


def test_an_empty_cluster_of_old_is_streamed_as_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lives = make_samples(("redis",), deployments_per_service=1, seconds=10)
    monkeypatch.setattr(sys.modules["podlab.data.store.dataset"], "check_samples", lambda frame, *, where: frame)
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
    most_rows=st.sampled_from([20, 100, 1000]), share_rows=st.sampled_from([50, 200, 10_000]),
)  # fmt: skip
def test_every_container_comes_once_and_whole(
    lives: pd.DataFrame, appends: int, seed: int, row_group: int, most_rows: int, share_rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    with small_files(row_group, most_rows, share_rows):
        dataset = open_dataset(scatter(lives, tmp_path_factory.mktemp("lives") / "fleet", appends, seed))
        batches = batches_of(dataset, labels=True)
    whose = [own for batch in batches for own in instances(batch.samples)]
    assert len(whose) == len(set(whose)) == 13
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


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    samples = make_samples(("nginx",), deployments_per_service=2, seconds=600, interval_s=10)
    late = MIDNIGHT - pd.Timedelta(seconds=300) - samples["started_at"]
    samples = samples.assign(time=samples["time"] + late, started_at=samples["started_at"] + late)
    append(samples, tmp_path / "fleet")
    (batch,) = batches_of(open_dataset(tmp_path / "fleet"), head_s=60, tail_s=100)
    # Of 60 rows some 6 of the first minute and some 11 of the last 100 s are given.
    assert all(42 <= number <= 44 for number in batch.left_out)
    assert len(batch.samples) + batch.left_out.sum() == len(samples)
    for _, own in batch.samples.groupby("pod"):
        age_s = (own["time"] - own["started_at"]).dt.total_seconds()
        assert ((age_s < 70) | (age_s >= 500 - 10)).all()


def test_only_the_columns_asked_for(lives: pd.DataFrame, tmp_path: Path) -> None:
    append(lives, tmp_path / "fleet")
    samples = batches_of(open_dataset(tmp_path / "fleet"), metrics=["rx_bytes"])[0].samples
    assert {"rx_bytes", "pod"} <= set(samples)
    assert not {"tx_bytes", "service"} & set(samples)


def test_a_table_is_cut_only_between_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podlab.data.store.containers.BATCH_ROWS", 4)
    numbers = [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 4]
    for size in (1, 3, 5, 100):
        table = pa.table({"number": numbers, "row": range(len(numbers))})
        cut = list(cut_between_containers(table.to_batches(max_chunksize=size)))
        assert [set(each["number"].to_pylist()) for each in cut] == [{0, 1}, {2, 3}, {4}]
        assert pa.concat_tables(cut).to_pydict() == table.to_pydict()


def test_nothing_is_left_on_the_disk(lives: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    append(lives, tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    [first, *_], _ = read_shares(dataset)
    stream = stream_containers(dataset, first)
    next(stream)
    assert list(scratch.iterdir())
    stream.close()  # type: ignore[attr-defined]
    assert not list(scratch.iterdir())
