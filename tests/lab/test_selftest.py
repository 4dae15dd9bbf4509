"""The lab's check of itself: every column is looked at, and what does not agree is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lab import selftest
from lab.deploy import Lab
from podlab.data.catalogue import CATALOGUE
from podlab.errors import PodlabError
from tests.lab.fakes import FakeClock, FakeRuntime

#: An image's size is no matter of the recorder.
COLUMNS = {metric.name for metric in CATALOGUE.values() if metric.kind != "constant"}


class _Probe:
    """Tells every column but one; they never rise."""

    def __init__(self, missing: str) -> None:
        self.facts = FakeRuntime().facts("any")
        self._missing = missing

    def sample(self, now: datetime) -> dict[str, Any]:
        return {"time": now} | {column: 7.0 for column in COLUMNS if column != self._missing}


@pytest.fixture
def swaps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A lab without containers, on a machine without swap."""

    @contextlib.contextmanager
    def open_lab(*_: Any) -> Iterator[Lab]:
        yield Lab(FakeRuntime(), [], "debian", "network", "198.18.0.0/24", tmp_path)

    path = tmp_path / "swaps"
    path.write_text("Filename Type Size Used Priority\n")
    monkeypatch.setattr(selftest, "_SWAPS", path)
    monkeypatch.setattr(selftest, "open_lab", open_lab)
    monkeypatch.setattr(selftest, "open_probe", lambda facts: _Probe("threads"))
    monkeypatch.setattr(selftest, "_in_network", lambda pid, command: '[{"address": "02:00:00:00:00:02"}]')
    return path


def test_every_column_is_looked_at_and_none_passes_that_never_rises(swaps: Path) -> None:
    measured = selftest.run(clock=FakeClock())
    assert {each.column for each in measured} == COLUMNS
    assert [each.column for each in measured if each.ok] == ["memory_swap_bytes"]


def test_a_column_that_the_machine_does_not_tell_is_wrong(swaps: Path) -> None:
    (threads,) = (each for each in selftest.run(clock=FakeClock()) if each.column == "threads")
    assert (threads.measured, threads.ok) == (None, False)
    assert "does not tell" in threads.what


@pytest.mark.parametrize("there", [False, True])
def test_swap_is_tested_where_there_is_swap(swaps: Path, there: bool) -> None:
    if there:
        swaps.write_text(swaps.read_text() + "/swap file 1000 0 -2\n")
    (swap,) = (each for each in selftest.run(clock=FakeClock()) if each.column == "memory_swap_bytes")
    assert (swap.expected is not None) == there
    assert ("no swap" in swap.what) != there


def test_a_machine_that_cannot_make_errors_says_so(swaps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_network(pid: int, command: list[str]) -> str:
        if "vxlan" in command:
            raise PodlabError("Unknown device type")
        return '[{"address": "02:00:00:00:00:02"}]'

    monkeypatch.setattr(selftest, "_in_network", in_network)
    untested = {each.column for each in selftest.run(clock=FakeClock()) if each.expected is None}
    assert untested == {"rx_errors", "tx_errors", "memory_swap_bytes"}
