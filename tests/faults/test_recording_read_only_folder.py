"""A folder that must not be written to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlab.data.recordings import write_recording
from podlab.errors import InputError
from tests.support.synthetic import make_samples

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A read-only folder, seen without root's right to write everywhere."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        was = os.geteuid()
        if was == 0:
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(was)
            Path(name).chmod(0o755)


def test_one_clear_line(folder: Path) -> None:
    samples = make_samples(("nginx",), deployments_per_service=1, seconds=5)
    with pytest.raises(InputError, match=r"a\.parquet: no permission to write; choose another folder"):
        write_recording(samples, folder / "a.parquet")
    assert list(folder.iterdir()) == []
