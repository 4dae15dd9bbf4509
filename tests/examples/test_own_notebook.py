"""A notebook of one's own runs like podlab's, and has its place in the report."""

from __future__ import annotations

from pathlib import Path

from podlab.config import load_settings
from podlab.data.recordings import write_recording
from podlab.notebook.chain import run_single
from podlab.notebook.report import build_report
from tests.support.synthetic import make_samples

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_notebook.ipynb"


def test_its_tables_figures_and_conclusion_are_in_the_report(tmp_path: Path) -> None:
    write_recording(make_samples(("nginx", "mysql"), deployments_per_service=1, seconds=5), tmp_path / "a.parquet")
    parameters = {"samples": str(tmp_path / "a.parquet")}
    run_single(EXAMPLE, parameters, reports_dir=tmp_path / "reports", settings=load_settings()).raise_if_failed()
    text = build_report(tmp_path / "reports").read_text()
    section = text[text.index('id="own_notebook"') :]
    for expected in ("Memory per service", "needs the most memory.", "in MiB.", 'href="notebooks/own_notebook.html"'):
        assert expected in section
    page = (tmp_path / "reports" / "notebooks" / "own_notebook.html").read_text()
    assert 'href="notebooks/own_notebook.html#figure-memory"' in section
    assert 'id="figure-memory"' in page
    assert 'alt="Distribution of the memory working set by service."' in page
