"""A small data set, and what harm can be done to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from podlab.data.recordings import read_recording
from podlab.data.store import append, open_dataset
from podlab.errors import InputError
from tests.support.synthetic import make_samples


def make_dataset(folder: Path) -> Path:
    """Make a data set of two clusters; give the path of one of its two partitions."""
    for cluster in ("east", "west"):
        append(make_samples(("nginx",), deployments_per_service=1, seconds=20).assign(cluster=cluster), folder)
    return folder / open_dataset(folder).partitions[0].name


def contents_of(folder: Path) -> dict[Path, bytes]:
    """Give all files of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(folder: Path, named: Path, why: str) -> None:
    """Reading refuses a file by its name, and touches nothing."""
    before = contents_of(folder)
    with pytest.raises(InputError, match=f"^{re.escape(str(named))}: {why}"):
        read_recording([folder])
    assert contents_of(folder) == before
