"""No run removes or replaces what no run made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from podlab.config import load_settings
from podlab.errors import InputError
from podlab.notebook.chain import train_all
from podlab.notebook.report import CHAIN, forget_runs
from podlab.notebook.run import run_notebook
from tests.notebook.conftest import NOTEBOOKS

FIXTURES = Path(__file__).parent / "fixtures"
EXECUTED = {"cells": [], "metadata": {"papermill": {}}, "nbformat": 4, "nbformat_minor": 5}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def refuse_all(project: Path, reports: Path, message: str) -> None:
    before = contents(project)
    with pytest.raises(InputError, match=message):
        train_all(notebooks_dir=project / "notebooks", reports_dir=reports, settings=load_settings(), quick=True)
    assert contents(project) == before


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(NOTEBOOKS, tmp_path / "project" / "notebooks")
    shutil.copy(NOTEBOOKS / "01_collect.ipynb", tmp_path / "project" / "notebooks" / "my_own.ipynb")
    return tmp_path / "project"


@pytest.mark.parametrize("way", ["same", "link", "hard links"])
def test_reports_never_replace_the_notebooks_themselves(project: Path, way: str) -> None:
    reports = project
    if way == "link":
        reports = project / "reports"
        reports.mkdir()
        (reports / "notebooks").symlink_to(project / "notebooks")
    if way == "hard links":
        reports = project / "reports"
        (reports / "notebooks").mkdir(parents=True)
        for source in (project / "notebooks").iterdir():
            (reports / "notebooks" / source.name).hardlink_to(source)
    refuse_all(project, reports, r"its folder notebooks/ holds the notebooks themselves; choose another folder")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("notebooks/03_evaluate.ipynb", {**EXECUTED, "metadata": {}}, "is a notebook that no run made"),
        ("notebooks/03_evaluate.ipynb", "not even JSON", "is a notebook that no run made"),
        ("results/03_evaluate.json", {"mine": 1}, "is not a file of podlab's results"),
        ("run.json", {"speed": "10 km in 50 min"}, "is not a file of podlab's"),
        ("index.html", "<title>My site</title>", "is a page that podlab did not make"),
    ],
)
def test_a_folder_with_somebody_elses_files_is_refused(project: Path, file: str, content: object, message: str) -> None:
    write(project / "site" / file, content)
    refuse_all(project, project / "site", message)


def test_a_single_run_refuses_as_well(tmp_path: Path) -> None:
    notebook = tmp_path / "notebooks" / "good.ipynb"
    write(notebook, (FIXTURES / "good.ipynb").read_text())
    before = contents(tmp_path)
    with pytest.raises(InputError, match="holds the notebooks themselves"):
        run_notebook(notebook, out_dir=tmp_path / "notebooks")
    write(tmp_path / "other" / "good.ipynb", notebook.read_text())
    with pytest.raises(InputError, match=r"other/good.ipynb: is a notebook that no run made"):
        run_notebook(notebook, out_dir=tmp_path / "other")
    assert {name: content for name, content in contents(tmp_path).items() if "other" not in name} == before


def test_only_what_earlier_runs_made_is_removed(tmp_path: Path) -> None:
    name = next(iter(CHAIN))
    kept = {
        # A notebook of one's own that was run into the same folder, with its results.
        "notebooks/mine.ipynb", "notebooks/mine.html", "results/mine.json", "figures/mine-all.svg",
        # Files that begin like podlab's own.
        f"notebooks/{name}_variant.ipynb", f"notebooks/{name}_variant.html", f"results/{name}b.json",
        f"figures/{name}-drawn_by_hand.svg", "figures/logo.svg", "notes.txt",
    }  # fmt: skip
    for file in kept:
        write(tmp_path / file, "{}")
    write(tmp_path / "notebooks" / f"{name}.ipynb", EXECUTED)
    write(tmp_path / "notebooks" / f"{name}.html", "<p>")
    figures = {"a": {"file": f"{name}-a.svg"}, "b": {"file": "../notes.txt"}, "c": {"file": "logo.svg"}}
    write(tmp_path / "results" / f"{name}.json", {"notebook": name, "figures": figures})
    write(tmp_path / "figures" / f"{name}-a.svg", "<svg/>")
    forget_runs(tmp_path, CHAIN)
    assert set(contents(tmp_path)) == kept
