"""Calling podlab, and the models and files that several tests look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contract.golden import FIXTURES
from tests.contract.support import main

TRAINING = FIXTURES / "train.parquet"
ASKED = FIXTURES / "ask.parquet"
BUNDLE = FIXTURES / "model"
DATASET = FIXTURES / "dataset"


@dataclass(frozen=True)
class Called:
    """What a command answered."""

    exit_code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Called]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Call podlab with words; get exit code, output and errors."""

    def run(*words: object) -> Called:
        capsys.readouterr()
        exit_code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Called(exit_code, captured.out, captured.err)

    return run


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
