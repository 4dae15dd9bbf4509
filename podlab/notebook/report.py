"""The report: one page made of what the notebooks handed on, and of nothing else."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

from jinja2 import UndefinedError

from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.notebook.made import PAGES, REPORT, refuse_other_page
from podlab.notebook.pages import render_page
from podlab.notebook.results import FIGURES, read_results, read_run

#: The notebooks in their order, and what each is for.
CHAIN: Final = {
    "01_collect": "what was recorded",
    "02_train": "the model and what it leans on",
    "03_evaluate": "how good it is, and what that must be compared with",
    "04_learning_curve": "what more deployments would bring",
    "05_data_audit": "whether the data are fit to learn from",
    "06_identify": "what it is worth under other clusters' conditions, and beside other classifiers",
    "07_unknown_and_similar": "what no model knows, what it resembles, and how soon to say so",
    "09_detectors": "whether a detector learned elsewhere watches a new container from its first minute",
    "10_scale": "what it would cost where nobody measured",
}


def build_report(reports_dir: Path) -> Path:
    """Build ``index.html`` from the results in a folder of reports.

    Parameters
    ----------
    reports_dir : Path
        With ``results/*.json``, ``figures/*.svg`` and ``notebooks/*.html`` as the notebooks left them. What is not
        there is named on the page as missing.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If there are no results at all, they are damaged, or the page cannot be written.
    """
    results = read_results(reports_dir)
    if not results:
        raise InputError("no results", where=str(reports_dir), hint="run the notebooks first, such as with make train")
    try:
        text = _render(reports_dir, results)
    except (LookupError, TypeError, UndefinedError) as error:
        raise InputError(
            f"its results are not those of this podlab's notebooks: {error}",
            where=str(reports_dir),
            hint="run the notebooks again",
        ) from error
    page = reports_dir / REPORT
    refuse_other_page(page)
    with atomic_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _render(reports_dir: Path, results: dict[str, dict[str, Any]]) -> str:
    """Write the page's text; what the results lack is an error of some kind."""
    for found in results.values():
        for figure in found["figures"].values():
            figure["source"] = _embed(reports_dir / FIGURES / figure["file"])
    run = read_run(reports_dir)
    return render_page(
        "report.html",
        results=results,
        run=run,
        notebooks=[_describe(reports_dir, name, about, results.get(name), run) for name, about in CHAIN.items()],
        collect=results.get("01_collect"),
        train=results.get("02_train"),
        evaluate=results.get("03_evaluate"),
        curve=results.get("04_learning_curve"),
        audit=results.get("05_data_audit"),
        identify=results.get("06_identify"),
        strange=results.get("07_unknown_and_similar"),
        detectors=results.get("09_detectors"),
        scale=results.get("10_scale"),
        provenance=_newest_provenance(results),
    )


def _embed(path: Path) -> str:
    try:
        return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InputError("a figure is missing", where=str(path), hint="run its notebook again") from error


def _describe(
    reports_dir: Path, name: str, about: str, found: dict[str, Any] | None, run: dict[str, Any] | None
) -> dict[str, Any]:
    """Tell of one notebook: where its page is, whether it came to its end, how long it took."""
    page = f"{PAGES}/{name}.html"
    ran = next((each for each in run["notebooks"] if each["notebook"] == name), None) if run else None
    return {
        "name": name,
        "about": about,
        "page": page if (reports_dir / page).is_file() else None,
        "complete": found is not None and found["complete"],
        "error": ran["error"] if ran else None,
        "seconds": ran["seconds"] if ran else None,
    }


def _newest_provenance(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    newest: dict[str, Any] = max(
        (found["provenance"] for found in results.values()), key=lambda each: str(each["started_at"])
    )
    recordings = {each["sha256"]: each for found in results.values() for each in found["provenance"]["recordings"]}
    seeds = sorted({found["provenance"]["seed"] for found in results.values()} - {None})
    return newest | {"recordings": list(recordings.values()), "seeds": seeds}
