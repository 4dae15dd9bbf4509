"""The tool that compares the results of two runs tells each number that moved, and no time that did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.compare_results import main


def _write(folder: Path, facts: dict[str, Any], interval: str) -> Path:
    results = folder / "results"
    results.mkdir(parents=True)
    table = {"caption": "", "columns": ["who", "interval"], "rows": [["podlab", interval]]}
    found = {"complete": True, "provenance": {"started_at": folder.name}, "facts": facts, "tables": {"scores": table}}
    (results / "03_evaluate.json").write_text(json.dumps(found))
    return folder


def test_what_moved_is_told_by_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = _write(tmp_path / "old", {"macro_f1": 0.8, "chance": 0.25}, "0.70 to 0.90")
    new = _write(tmp_path / "new", {"macro_f1": 0.81, "chance": 0.25}, "0.70 to 0.91")
    assert main([str(old), str(new)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "/03_evaluate/facts/macro_f1: 0.8 -> 0.81 (+0.01)",
        "/03_evaluate/tables/scores/interval/0: '0.70 to 0.90' -> '0.70 to 0.91'",
        "2 differences",
    ]
    assert main([str(old), str(new), "--tolerance", "0.02"]) == 0


def test_one_file_of_results_stands_for_their_folder(tmp_path: Path) -> None:
    old = _write(tmp_path / "old", {"macro_f1": 0.8}, "-")
    assert main([str(old), "--write", str(tmp_path / "kept.json")]) == 0
    assert main([str(tmp_path / "kept.json"), str(old / "results")]) == 0
    assert main([str(tmp_path / "kept.json"), str(tmp_path / "nothing")]) == 2
