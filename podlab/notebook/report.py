"""The report: a page of what matters, made of the notebooks' results, before the notebooks' own pages.

Files that no run made are never replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import nbformat
from jinja2 import UndefinedError

from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.notebook.pages import notebook_title, render_page, write_notebook_page
from podlab.notebook.results import FIGURES, RESULTS, RUN_FILE, anchor_of, read_results, read_run

#: The notebooks in their order, and what each is about.
CHAIN: Final = {
    "01_collect": "What was recorded.",
    "02_train": "The model and its most important metrics.",
    "03_evaluate": "Accuracy on deployments that training did not see, next to baselines.",
    "04_learning_curve": "What more deployments would bring.",
    "05_data_audit": "Whether the data are fit to learn from.",
    "06_identify": "Accuracy in other conditions, and other classifiers.",
    "07_unknown_and_similar": "Unknown services, similar services, and when to decide.",
    "09_detectors": "Anomaly detectors without a warm-up.",
    "10_scale": "What it costs, and what more would cost.",
    "11_explore": "Single containers: series, answers, evidence and scores, to choose from and to label.",
}
#: The table of targets; the report puts those of all notebooks together.
TARGETS: Final = "targets"
#: Where the notebooks' pages are, below the folder of reports.
PAGES: Final = "notebooks"
#: The report's page, and how its title begins in every version of podlab.
REPORT: Final = "index.html"
_REPORT_TITLE: Final = "<title>podlab: "
#: The report's first sentence gives the score of the horizon nearest to this.
HEADLINE_S: Final = 60.0
_HINT: Final = "choose another folder (--out), or move it away"


def build_report(reports_dir: Path) -> Path:
    """Build ``index.html`` from the results in a folder of reports, and the notebooks' pages with links to each other.

    Raises InputError if there are no results at all, they are damaged or of several runs, or the page cannot be
    written.

    Parameters
    ----------
    reports_dir : Path
        With ``results/*.json`` and ``notebooks/*.ipynb`` as the notebooks left them. Each file of results is a section,
        in the order of their names. A notebook of podlab's own without results is named as missing.

    Returns
    -------
    Path
        The page.
    """
    results = read_results(reports_dir)
    if not results:
        raise InputError("no results", where=str(reports_dir), hint="run the notebooks first, such as with make train")
    try:
        _refuse_mixed(reports_dir, results)
        run = read_run(reports_dir)
        sections = [_describe(reports_dir, name, results.get(name), run) for name in sorted({*CHAIN, *results})]
        text = _render(results, sections, run)
    except (LookupError, TypeError, UndefinedError) as error:
        what = f"its results are not those of this podlab's notebooks: {error}"
        raise InputError(what, where=str(reports_dir), hint="run the notebooks again") from error
    page = reports_dir / REPORT
    refuse_other_page(page)
    _write_pages(reports_dir, sections)
    with atomic_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _refuse_mixed(reports_dir: Path, results: dict[str, dict[str, Any]]) -> None:
    by_run: dict[str, list[str]] = {}
    for name, found in results.items():
        by_run.setdefault(str(found.get("run")), []).append(name)
    if len(by_run) > 1:
        (first, *_), *_, (other, *_) = by_run.values()
        what = f"its results are of {len(by_run)} runs, {first} and {other} of different ones"
        hint = "run all notebooks into one folder (podlab run --all --out DIR)"
        raise InputError(what, where=str(reports_dir), hint=hint)


def _describe(reports_dir: Path, name: str, found: dict[str, Any] | None, run: dict[str, Any] | None) -> dict[str, Any]:
    """Describe one notebook: its title and page, whether it ran to its end, and its tables and figures in order."""
    page = f"{PAGES}/{name}.html"
    executed = reports_dir / PAGES / f"{name}.ipynb"
    is_executed = "papermill" in _read(executed).get("metadata", {})
    notebook = nbformat.read(executed, as_version=4) if is_executed else None  # type: ignore[no-untyped-call]
    ran = next((each for each in run["notebooks"] if each["notebook"] == name), None) if run else None
    # Results of earlier versions do not tell their order.
    order = (
        (found.get("order") or [[kind, part] for kind in ("figures", "tables") for part in found[kind]])
        if found
        else []
    )
    return {
        "name": name,
        "title": (notebook_title(notebook) if notebook else "") or name,
        "about": CHAIN.get(name, ""),
        "notebook": notebook,
        "page": page if (reports_dir / page).is_file() else None,
        "complete": found is not None and found["complete"],
        "error": ran["error"] if ran else None,
        "seconds": ran["seconds"] if ran else None,
        "conclusion": found["facts"].get("conclusion", "") if found else "",
        "parts": [{"anchor": anchor_of(kind, part), "caption": found[kind][part]["caption"]} for kind, part in order]
        if found
        else [],
    }


def _write_pages(reports_dir: Path, sections: list[dict[str, Any]]) -> None:
    """Write the notebooks' pages anew, each with links to its neighbours and to its place in the report."""
    there = [each for each in sections if each["page"]]
    links = [{"href": f"{each['name']}.html", "title": each["title"]} for each in there]
    for number, each in enumerate(there):
        if each["notebook"]:
            around = {
                "previous": links[number - 1] if number else None,
                "report": {"href": f"../{REPORT}#{each['name']}", "title": "Report"},
                "next": links[number + 1] if number + 1 < len(links) else None,
            }
            write_notebook_page(each["notebook"], reports_dir / each["page"], around)


def _render(results: dict[str, dict[str, Any]], sections: list[dict[str, Any]], run: dict[str, Any] | None) -> str:
    models = [found["facts"]["model"] for found in results.values() if "model" in found["facts"]]
    return render_page(
        "report.html",
        sections=sections,
        run=run,
        summary=_summarise(results),
        unseen=_collect_unseen(results, {each["name"]: each["page"] for each in sections}),
        targets=_collect_targets(results),
        model=(run or {}).get("model") or (models[-1] if models else None),
        provenance=_newest_provenance(results),
    )


def _summarise(results: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Pick what the report's first sentence says, from the results that it stands over."""
    facts = results.get("03_evaluate", {}).get("facts", {})
    if "headlines" not in facts:
        return None
    collected = results.get("01_collect", {}).get("facts", {}).get("containers")
    summary: dict[str, Any] = facts | {
        "headline": min(facts["headlines"], key=lambda each: abs(each["horizon_s"] - HEADLINE_S)),
        "control": facts.get("control"),
        "collected": collected if collected != facts["n_containers"] else None,
    }
    return summary


def _collect_unseen(results: dict[str, dict[str, Any]], pages: dict[str, str | None]) -> list[dict[str, Any]]:
    """Collect the measures that say what training never saw, in the notebooks' order."""
    return [
        {
            **measure,
            "what": measure["unseen"],
            "score": name.partition(":")[0],
            "notebook": notebook,
            "page": pages[notebook],
        }
        for notebook, found in results.items()
        for name, measure in found.get("measures", {}).items()
        if measure.get("unseen") and measure["value"] is not None
    ]


def _collect_targets(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the notebooks' tables of targets together where their columns are the same, missed targets first."""
    collected: dict[tuple[str, ...], list[list[Any]]] = {}
    for found in results.values():
        if table := found["tables"].get(TARGETS):
            collected.setdefault(tuple(table["columns"]), []).extend(table["rows"])
    essential = {name for found in results.values() for name in found["facts"].get("essential_targets", [])}
    described = []
    for columns, rows in collected.items():
        place = columns.index("reached") if "reached" in columns else 0
        by_verdict = {sign: [row for row in rows if str(row[place])[:1] == sign] for sign in "✗?n✓"}
        missed, undecided, unmeasured, reached = map(len, by_verdict.values())
        told = f"All targets: {missed} missed, {undecided} not decided, {unmeasured} not measured, {reached} reached."
        ordered = [row for some in by_verdict.values() for row in some]
        first = [row for row in ordered if str(row[0]).partition(":")[0] in essential]
        shared = {"columns": columns, "id": ""}
        described.append(
            {
                "heading": f"{missed} of {len(rows) - unmeasured} targets missed",
                "essential": shared | {"fold": False, "caption": "The most important targets.", "rows": first},
                "all": shared | {"fold": True, "caption": told, "rows": ordered},
            }
        )
    return described


def _newest_provenance(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    newest: dict[str, Any] = max(
        (found["provenance"] for found in results.values()), key=lambda each: str(each["started_at"])
    )
    recordings = {each["sha256"]: each for found in results.values() for each in found["provenance"]["recordings"]}
    seeds = sorted({found["provenance"]["seed"] for found in results.values()} - {None})
    return newest | {"recordings": list(recordings.values()), "seeds": seeds}


def refuse_other_notebook(source: Path, out_dir: Path) -> None:
    """Refuse a folder in which a notebook's run would replace a notebook that no run made.

    Raises InputError if the executed notebook would replace its own source, or somebody's notebook.
    """
    target = out_dir / f"{source.stem}.ipynb"
    if target.exists() and source.exists() and target.samefile(source):
        what = f"its folder {out_dir.name}/ holds the notebooks themselves"
        raise InputError(what, where=str(out_dir.parent), hint="choose another folder (--out)")
    metadata = _read(target).get("metadata")
    # papermill notes in the metadata of what it ran.
    if target.exists() and not (isinstance(metadata, dict) and "papermill" in metadata):
        raise InputError("is a notebook that no run made", where=str(target), hint=_HINT)


def refuse_other_files(reports_dir: Path, sources: Iterable[Path]) -> None:
    """Refuse a folder of reports in which a run of all notebooks would replace a file that no run made.

    Nothing is recognised by its name alone: results say which notebook wrote them, and the page has podlab's title.
    Raises InputError if there is such a file; it is named.
    """
    for source in sources:
        refuse_other_notebook(source, reports_dir / PAGES)
        results = reports_dir / RESULTS / f"{source.stem}.json"
        if results.exists() and _read(results).get("notebook") != source.stem:
            raise InputError("is not a file of podlab's results", where=str(results), hint=_HINT)
    run = reports_dir / RUN_FILE
    if run.exists() and "notebooks" not in _read(run):
        raise InputError("is not a file of podlab's", where=str(run), hint=_HINT)
    refuse_other_page(reports_dir / REPORT)


def refuse_other_page(page: Path) -> None:
    """Refuse to replace a page that is not a report of podlab's."""
    if page.is_file() and _REPORT_TITLE not in page.read_text(encoding="utf-8", errors="replace"):
        raise InputError("is a page that podlab did not make", where=str(page), hint=_HINT)


def forget_runs(reports_dir: Path, names: Iterable[str]) -> None:
    """Remove what earlier runs of these notebooks made; everything else stays.

    Call :func:`refuse_other_files` before. Notebooks are named without folder and suffix.
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


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; nothing where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
