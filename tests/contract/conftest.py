"""The models and files that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.golden import FIXTURES
from tests.contract.support import main

TRAINING = FIXTURES / "train.parquet"
ASKED = FIXTURES / "ask.parquet"
BUNDLE = FIXTURES / "model"
DATASET = FIXTURES / "dataset"


@pytest.fixture
def no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without settings or models."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted by today's code, as the bundle among the fixtures was by that of its time."""
    folder = tmp_path_factory.mktemp("models") / "model"
    assert main(["fit", str(TRAINING), "--out", str(folder), "--horizons", "30s"]) == 0
    return folder
