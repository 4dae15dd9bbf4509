"""The tables in the results are those of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.write_figures import fill_in, main

TEXT = """Before.

<!-- figures: 03_a/scores + 06_b/scores: what, figure -->

| what | figure |
|---|---|
| old | 1 |

After, and another table that nobody asked for:

| what |
|---|
| kept |
"""


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    for notebook, columns, rows in (
        ("03_a", ["what", "unit", "figure"], [["first", "s", 0.98765], ["second", "s", None]]),
        ("06_b", ["figure", "what"], [[21, "third"]]),
    ):
        table = {"caption": "Scores.", "columns": columns, "rows": rows}
        (tmp_path / "results" / f"{notebook}.json").write_text(json.dumps({"tables": {"scores": table}}))
    return tmp_path


def test_tables_of_a_run_take_the_place_of_old_ones(reports: Path) -> None:
    text = fill_in(TEXT, reports)
    assert "| what | figure |\n|---|---|\n| first | 0.99 |\n| second | - |\n| third | 21 |\n\nAfter" in text
    assert "old" not in text
    assert "| kept |" in text
    assert fill_in(text, reports) == text


def test_nothing_is_written_where_a_table_is_missing(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (reports / "results" / "06_b.json").write_text('{"tables": {}}')
    page = reports / "README.md"
    page.write_text(TEXT)
    assert main(["--reports", str(reports), str(page)]) == 2
    assert re.search("has no table 'scores'.*run make train first", capsys.readouterr().err)
    assert page.read_text() == TEXT


def test_the_results_say_which_tables_they_show() -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    asked = re.findall(r"<!-- figures: ([\w/ +]+)", text)
    assert asked
    for name in "+".join(asked).split("+"):
        notebook, _, table = name.strip().partition("/")
        source = (Path(__file__).parents[2] / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8")
        assert (f'\\"{table}\\"' in source) or (table == "targets" and "results.targets(" in source)
