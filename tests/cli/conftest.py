"""A recording and models that the commands are called with."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.cli import main
from podlab.data.recordings import write_recording
from tests.support.synthetic import make_samples


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small labelled recording."""
    path = tmp_path_factory.mktemp("recording") / "small.parquet"
    write_recording(make_samples(deployments_per_service=4, seconds=70), path)
    return path


@pytest.fixture(scope="session")
def other_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other deployments of the same services."""
    path = tmp_path_factory.mktemp("recording") / "other.parquet"
    write_recording(make_samples(deployments_per_service=2, seconds=70, seed=7), path)
    return path


@pytest.fixture(scope="session")
def model(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted on the small recording."""
    folder = tmp_path_factory.mktemp("models") / "small"
    assert main(["fit", str(recording), "--out", str(folder), "--horizons", "10s,30s"]) == 0
    return folder
