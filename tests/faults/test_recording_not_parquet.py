"""A file that is not a Parquet file, whatever its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.data.recordings import read_recording
from podlab.errors import InputError


@pytest.mark.parametrize("content", [b"hello, this is text\n", b"\x80\x05pickle", b"PK\x03\x04zip", b"P"])
def test_the_file_is_named_and_what_is_needed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file; give a Parquet file"):
        read_recording([path])


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.touch()
    with pytest.raises(InputError, match=r"a\.parquet: the file is empty"):
        read_recording([path])
