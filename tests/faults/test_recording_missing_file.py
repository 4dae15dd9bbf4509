"""A recording that is not there, or an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.data.recordings import read_recording
from podlab.errors import InputError


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.parquet: no such file$"):
        read_recording([tmp_path / "nowhere.parquet"])


def test_an_empty_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set is there; name a folder that podlab wrote, or a file"):
        read_recording([tmp_path])


def test_no_file_at_all() -> None:
    with pytest.raises(InputError, match="no recording given"):
        read_recording([])
