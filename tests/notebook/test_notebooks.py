"""The committed notebooks are without output and have the settings' parameters; that they run is shown elsewhere."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from podlab.config import Settings
from podlab.notebook.parameters import read_parameters
from podlab.notebook.report import CHAIN

ROOT = Path(__file__).parents[2]
#: The last one needs a watcher's log, so it is not part of the chain.
NOTEBOOKS = [ROOT / "notebooks" / f"{name}.ipynb" for name in (*CHAIN, "08_watch")]
#: Parameters that mean the same as the setting of that name, and so must have its default.
SHARED = {"seed", "training_iterations", "training_ratio", "learning_curve_samples", "metric_filter", "model_path"}

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_notebooks_are_stripped(path: Path) -> None:
    notebook = read(path)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert [cell.id for cell in notebook.cells] == [str(number) for number in range(len(notebook.cells))]


def test_the_last_cell_marks_the_end(path: Path) -> None:
    assert read(path).cells[-1].source.splitlines()[-1] == "results.finish()"


def test_parameters_have_the_settings_meaning_and_default(path: Path) -> None:
    known = read_parameters(read(path), where=str(path))
    for name in SHARED & set(known):
        default = Settings.model_fields[name].default
        assert known[name].default == (str(default) if isinstance(default, Path) else default), name
    assert {"reports", "samples", "services"} <= set(known)
    assert not [name for name in known if "password" in name or "token" in name]
