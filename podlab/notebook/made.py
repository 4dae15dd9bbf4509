"""What runs made in a folder of reports: the only files that a later run may remove or replace there.

Nothing is recognised by a pattern of names alone. An executed notebook carries papermill's notes, a file of results
says which notebook wrote it and lists its figures, and the report's page has podlab's title.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from podlab.errors import InputError
from podlab.notebook.results import FIGURES, RESULTS, RUN_FILE

#: Where the notebooks' pages are, below the folder of reports.
PAGES: Final = "notebooks"
#: The report's page, and how its title begins in every version of podlab.
REPORT: Final = "index.html"
_REPORT_TITLE: Final = "<title>podlab: "
_TODO: Final = "choose another folder (--out), or move it away"


def refuse_other_notebook(source: Path, out_dir: Path) -> None:
    """Refuse a folder in which a notebook's run would replace a notebook that no run made.

    Parameters
    ----------
    source : Path
        The notebook to run.
    out_dir : Path
        Where it shall be put, executed, under the same name.

    Raises
    ------
    InputError
        If the executed notebook would replace its own source, or somebody's notebook.
    """
    target = out_dir / f"{source.stem}.ipynb"
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(
            f"its folder {out_dir.name}/ holds the notebooks themselves",
            where=str(out_dir.parent),
            hint="choose another folder (--out)",
        )
    if target.exists() and not _is_executed(target):
        raise InputError("is a notebook that no run made", where=str(target), hint=_TODO)


def refuse_other_files(reports_dir: Path, sources: Iterable[Path]) -> None:
    """Refuse a folder of reports in which a run of all notebooks would replace anything that no run made.

    Parameters
    ----------
    reports_dir : Path
        The folder of reports.
    sources : iterable of Path
        The notebooks to run.

    Raises
    ------
    InputError
        If there is such a file; it is named.
    """
    for source in sources:
        refuse_other_notebook(source, reports_dir / PAGES)
        results = reports_dir / RESULTS / f"{source.stem}.json"
        if results.exists() and _read(results).get("notebook") != source.stem:
            raise InputError("is no file of podlab's results", where=str(results), hint=_TODO)
    run = reports_dir / RUN_FILE
    if run.exists() and "notebooks" not in _read(run):
        raise InputError("is no file of podlab's", where=str(run), hint=_TODO)
    refuse_other_page(reports_dir / REPORT)


def refuse_other_page(page: Path) -> None:
    """Refuse to replace a page that is no report of podlab's.

    Raises
    ------
    InputError
        If there is one.
    """
    if page.is_file() and _REPORT_TITLE not in page.read_text(encoding="utf-8", errors="replace"):
        raise InputError("is a page that podlab did not make", where=str(page), hint=_TODO)


def forget_runs(reports_dir: Path, names: Iterable[str]) -> None:
    """Remove what earlier runs of these notebooks made, so that no report mixes two runs; everything else stays.

    Call :func:`refuse_other_files` before.

    Parameters
    ----------
    reports_dir : Path
        The folder of reports.
    names : iterable of str
        The notebooks' names, without folder and suffix.
    """
    for name in names:
        executed = reports_dir / PAGES / f"{name}.ipynb"
        if executed.exists():
            executed.with_suffix(".html").unlink(missing_ok=True)
            executed.unlink()
        results = reports_dir / RESULTS / f"{name}.json"
        if results.exists():
            for figure in _read(results).get("figures", {}).values():
                file = Path(figure["file"]).name
                if file.startswith(f"{name}-"):
                    (reports_dir / FIGURES / file).unlink(missing_ok=True)
            results.unlink()
    (reports_dir / RUN_FILE).unlink(missing_ok=True)


def _is_executed(notebook: Path) -> bool:
    metadata = _read(notebook).get("metadata")
    return isinstance(metadata, dict) and "papermill" in metadata


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; nothing where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
