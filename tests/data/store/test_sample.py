"""What is learned from where a data set has more rows than are allowed for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.recordings import read_recording, read_training, write_recording
from podlab.data.samples import INSTANCE_KEY
from podlab.data.store import append
from podlab.errors import InputError
from tests.support.instances import scatter, small_files
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    """Many containers of nginx, most of them of one deployment, and few of the others."""
    many = make_samples(("nginx",), deployments_per_service=30, seconds=20)
    crowd = many["deployment"].where(many["deployment"].isin(["nginx-0", "nginx-1"]), "nginx-2")
    few = make_samples(("mysql", "redis"), deployments_per_service=4, seconds=20, seed=1)
    unlabelled = make_samples(("nats",), deployments_per_service=5, seconds=20, seed=2).assign(service=None)
    return pd.concat([many.assign(deployment=crowd), few, unlabelled], ignore_index=True)


def containers(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby(list(INSTANCE_KEY), dropna=False).agg({"service": "first", "deployment": "first"})


def test_services_and_their_deployments_take_turns(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples, tmp_path / "fleet")
    drawn = read_training([tmp_path / "fleet"], most_rows=20 * 11)
    assert len(drawn) == 20 * 11
    assert sorted(containers(drawn)["service"].value_counts()) == [3, 4, 4]
    assert containers(drawn).query("service == 'nginx'")["deployment"].nunique() == 3


def test_what_is_drawn_does_not_depend_on_how_rows_are_spread(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples, tmp_path / "one")
    with small_files(30, 100):
        scatter(samples, tmp_path / "many", 5, 1)
    of_one = read_training([tmp_path / "one"], most_rows=200)
    pd.testing.assert_frame_equal(read_training([tmp_path / "many"], most_rows=200), of_one)
    other = read_training([tmp_path / "one"], most_rows=200, seed=1)
    assert set(other["pod"]) != set(of_one["pod"])


def test_of_a_long_run_only_the_beginning(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples, tmp_path / "fleet")
    drawn = read_training([tmp_path / "fleet"], most_rows=200, head_s=5)
    assert 150 < len(drawn) <= 200
    assert ((drawn["time"] - drawn.groupby("pod")["time"].transform("min")) < pd.Timedelta(seconds=5)).all()
    assert len(containers(drawn)) > 30


def test_all_of_it_where_it_fits(samples: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(samples, tmp_path / "fleet")
    pd.testing.assert_frame_equal(
        read_training([tmp_path / "fleet"], most_rows=len(samples)), read_recording([tmp_path / "fleet"])
    )
    assert not caplog.messages


def test_a_file_beside_is_read_whole(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples, tmp_path / "fleet")
    beside = make_samples(("etcd",), deployments_per_service=2, seconds=20, seed=3)
    write_recording(beside, tmp_path / "beside.parquet")
    drawn = read_training([tmp_path / "fleet", tmp_path / "beside.parquet"], most_rows=100)
    assert (drawn["service"] == "etcd").sum() == len(beside)
    assert len(drawn) == 100 + len(beside)


def test_what_was_left_out_is_named(samples: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(samples, tmp_path / "fleet")
    read_training([tmp_path / "fleet"], most_rows=100)
    assert f"100 of {len(samples)} rows are drawn to learn from; --most-rows allows for more" in caplog.text


def test_nothing_to_draw(samples: pd.DataFrame, tmp_path: Path) -> None:
    append(samples.drop(columns="service"), tmp_path / "bare")
    with pytest.raises(InputError, match="no row has a service"):
        read_training([tmp_path / "bare"], most_rows=100)
    append(samples, tmp_path / "fleet")
    with pytest.raises(InputError, match="not even one container fits into 3 rows"):
        read_training([tmp_path / "fleet"], most_rows=3)
