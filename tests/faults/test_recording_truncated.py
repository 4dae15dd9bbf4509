"""A Parquet file that was cut off, or had bytes changed, on its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.data.recordings import read_recording, write_recording
from podlab.errors import InputError
from tests.support.synthetic import make_samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_recording(make_samples(("nginx",), deployments_per_service=1, seconds=10), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: max(8, int(len(content) * share))])
    with pytest.raises(InputError, match=r"a\.parquet: a truncated Parquet file; copy or record it again"):
        read_recording([path])


def test_only_the_magic(path: Path) -> None:
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="a truncated Parquet file"):
        read_recording([path])


@pytest.mark.parametrize("place", [0.3, 0.9])
def test_overwritten_bytes(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    start = int(len(content) * place)
    content[start : start + 200] = b"\xff" * len(content[start : start + 200][:-4]) + bytes(content[-4:])
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"a\.parquet: a (damaged|truncated) Parquet file"):
        read_recording([path])
