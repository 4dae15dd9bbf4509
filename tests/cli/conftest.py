"""The command line as a user calls it, in this process so that it is quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podlab.cli import main
from podlab.data.recordings import write_recording
from tests.support.synthetic import make_samples


@dataclass(frozen=True)
class Called:
    """What a command answered."""

    exit_code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON lines that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Called]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call podlab with words, get exit code, output and errors."""

    def run(*words: object) -> Called:
        capsys.readouterr()
        exit_code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Called(exit_code, captured.out, captured.err)

    return run


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
