"""A recording that is not there, or is a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.telemetry.recording import read_recording


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.parquet: no such file$"):
        read_recording([tmp_path / "nowhere.parquet"])


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, a file is needed"):
        read_recording([tmp_path])


def test_no_file_at_all() -> None:
    with pytest.raises(InputError, match="no recording given"):
        read_recording([])
