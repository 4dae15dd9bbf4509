"""`podlab run` and the program itself, called as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Call

FIXTURES = Path(__file__).parents[1] / "notebook" / "fixtures"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "give one notebook, or --all"),
        (("run", FIXTURES / "good.ipynb", "--all"), "give one notebook, or --all"),
        (("run", "nowhere.ipynb"), "nowhere.ipynb"),
        (("run", FIXTURES / "good.ipynb", "-p", "colour=red"), "unknown parameter 'colour'"),
        (("run", FIXTURES / "good.ipynb", "-p", "colour"), "'colour' is not NAME=VALUE"),
        (("run", "--report-only"), "no results"),
    ],
)
def test_wrong_use_is_refused_before_anything_runs(
    call: Call, words: tuple[object, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call(*words)
    assert answer.exit_code == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failing_notebook_exits_1_and_leaves_its_page(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call("run", FIXTURES / "raises.ipynb", "--out", tmp_path / "reports")
    assert answer.exit_code == 1
    assert "raises.ipynb: cell" in answer.err
    assert answer.err.count("\n") == 1
    assert Path(answer.out.strip()).read_text().startswith("<!DOCTYPE html>")


def test_the_installed_program_answers_on_stdout_only(recording: Path, model: Path) -> None:
    program = Path(sys.executable).with_name("podlab")
    done = subprocess.run(
        [program, "identify", recording, "--model", model, "--json"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 16


def test_a_reader_that_stops_early_is_no_error(recording: Path, model: Path) -> None:
    program = Path(sys.executable).with_name("podlab")
    command = f"'{program}' identify '{recording}' --model '{model}' --json | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0
    assert done.stderr == ""


def test_identify_does_not_load_the_workbench(recording: Path, model: Path) -> None:
    code = (
        "import sys; from podlab.cli import main; "
        f"main(['identify', {str(recording)!r}, '--model', {str(model)!r}, '--json']); "
        "print([m for m in ('sklearn', 'matplotlib', 'papermill', 'IPython') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stderr.strip() == "[]"
