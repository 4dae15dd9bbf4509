"""A Parquet file in the folder of a data set that no append put there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from podlab.data.recordings import read_recording, write_recording
from podlab.errors import InputError
from tests.support.datasets import assert_refused, make_dataset
from tests.support.synthetic import make_samples


@pytest.mark.parametrize("name", ["cluster=east/day=2026-01-05/mine.parquet", "other.parquet"])
def test_a_file_somebody_put_there(tmp_path: Path, name: str) -> None:
    make_dataset(tmp_path / "fleet")
    stranger = tmp_path / "fleet" / name
    write_recording(make_samples(("redis",), deployments_per_service=1, seconds=5), stranger)
    assert_refused(tmp_path / "fleet", stranger, "is no partition of this data set; move it away")


def test_a_partition_of_another_data_set(tmp_path: Path) -> None:
    make_dataset(tmp_path / "fleet")
    other = make_dataset(tmp_path / "other")
    stranger = tmp_path / "fleet" / other.relative_to(tmp_path / "other")
    shutil.copy(other, stranger)
    assert_refused(tmp_path / "fleet", stranger, "is no partition of this data set")


def test_a_folder_of_plain_recordings_is_no_data_set(tmp_path: Path) -> None:
    write_recording(make_samples(("redis",), deployments_per_service=1, seconds=5), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="is a folder, but no data set; name the files in it"):
        read_recording([tmp_path])
