"""The command line as a user calls it, in this process so that it is quick."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from podlab.cli import main


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
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call podlab with words, get exit code, output and errors."""
    # How long a command takes depends on the machine, and what it prints must not.
    monkeypatch.setattr("podlab.progress.LINE_INTERVAL_S", 1e6)

    def run(*words: object) -> Called:
        capsys.readouterr()
        exit_code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Called(exit_code, captured.out, captured.err)

    return run
