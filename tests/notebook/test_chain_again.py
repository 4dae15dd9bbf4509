"""A second run goes on where the first failed, and skips what did not change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from podlab.config import load_settings
from podlab.errors import InputError
from podlab.notebook import chain
from podlab.notebook.chain import Chain, run_single, train_all
from podlab.notebook.report import build_report

Train = Callable[..., Chain]

COLLECT = "from pathlib import Path\nPath(samples).write_text(Path(recordings[0]).read_text() + str(factor))"
# What a notebook keeps in a cache is no input.
USE = """assert Path('ready').exists(), 'not ready'
Path('cache').mkdir(exist_ok=True)
results.facts(found=Path(samples).read_text())"""


def write_notebook(path: Path, parameters: str, work: str) -> None:
    head = "from pathlib import Path\nfrom podlab.notebook.results import Results\n"
    head += f"results = Results({path.stem!r}, reports)"
    cells = [
        nbformat.v4.new_markdown_cell(f"# All about {path.stem}"),
        nbformat.v4.new_code_cell(parameters + '\nreports = "reports"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(f"{head}\n{work}\nresults.finish()"),
    ]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two notebooks, of which the second needs a file called ``ready``."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "recording.csv").write_text("time\n1\n")
    samples = 'samples = "collected.txt"'
    write_notebook(
        tmp_path / "notebooks" / "01_collect.ipynb", f'recordings = ["recording.csv"]\nfactor = 1\n{samples}', COLLECT
    )
    write_notebook(tmp_path / "notebooks" / "03_evaluate.ipynb", f'folds = 2\ncache = "cache"\n{samples}', USE)
    monkeypatch.setattr(chain, "_package_digest", lambda: "as it is")
    monkeypatch.setattr(chain, "CHAIN", {"01_collect": "", "03_evaluate": ""})
    monkeypatch.setattr("podlab.notebook.report.CHAIN", {"01_collect": "", "03_evaluate": ""})
    return tmp_path


@pytest.fixture
def train(project: Path) -> Train:
    def run(reports: str = "reports", **parameters: object) -> Chain:
        return train_all(
            notebooks_dir=project / "notebooks", reports_dir=project / reports, settings=load_settings(),
            parameters={"samples": "collected.txt"} | parameters,
        )  # fmt: skip

    return run


def names(found: Chain) -> list[str]:
    return [run.notebook.stem for run in found.runs]


def test_only_what_failed_or_changed_runs_again(project: Path, train: Train) -> None:
    assert names(train()) == ["01_collect", "03_evaluate"]
    first = json.loads((project / "reports" / "run.json").read_text())
    assert first["notebooks"][1]["error"].startswith("cell 3: AssertionError: not ready")
    (project / "ready").touch()
    again = train()
    again.raise_if_failed()
    assert (names(again), again.skipped) == (["03_evaluate"], ("01_collect",))
    assert json.loads((project / "reports" / "run.json").read_text())["id"] == first["id"]
    page = (project / "reports" / "index.html").read_bytes()
    done = train()
    assert (done.runs, done.skipped) == ((), ("01_collect", "03_evaluate"))
    assert len((project / "reports" / "index.html").read_bytes()) == len(page)
    assert names(train(folds=3)) == ["03_evaluate"]
    (project / "recording.csv").write_text("time\n2\n")
    assert names(train(folds=3)) == ["01_collect", "03_evaluate"]
    (project / "collected.txt").write_text("changed by hand")
    assert names(train(folds=3)) == ["01_collect"]
    assert (project / "collected.txt").read_text() == "time\n2\n1"


def test_a_notebook_of_ones_own_is_in_the_report_and_one_of_another_run_is_refused(project: Path, train: Train) -> None:
    (project / "ready").touch()
    train()
    own = project / "notebooks" / "11_mine.ipynb"
    write_notebook(own, "x = 1", "import pandas as pd\nresults.table('t', pd.DataFrame({'a': [x]}), 'My own numbers.')")
    reports = project / "reports"
    run_single(own, {}, reports_dir=reports, settings=load_settings()).raise_if_failed()
    text = build_report(reports).read_text()
    assert "All about 11_mine" in text
    assert "My own numbers." in text
    assert text.index("All about 03_evaluate" if "All about 03_evaluate" in text else "11_mine") >= 0
    with pytest.raises(InputError, match=r"holds the report of a run of all notebooks; use --all"):
        run_single(project / "notebooks" / "03_evaluate.ipynb", {}, reports_dir=reports, settings=load_settings())
    results = reports / "results" / "03_evaluate.json"
    results.write_text(json.dumps(json.loads(results.read_text()) | {"run": "other"}))
    with pytest.raises(InputError, match="its results are of 2 runs, 01_collect and 03_evaluate of different ones"):
        build_report(reports)


def test_other_folders_keep_their_samples_to_themselves(project: Path) -> None:
    (project / "collected.txt").write_text("the product")
    run_single(
        project / "notebooks" / "01_collect.ipynb", {}, reports_dir=project / "trial", settings=load_settings()
    ).raise_if_failed()
    assert (project / "trial" / "samples.parquet").read_text() == "time\n1\n1"
    assert (project / "collected.txt").read_text() == "the product"
    assert not (project / "reports").exists()
