"""``podlab run``: notebooks by papermill, and the report of all of them."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podlab.cli.output import show_progress
from podlab.errors import InputError, PodlabError

if TYPE_CHECKING:
    from podlab.config import Settings

_NOTEBOOKS = Path("notebooks")


def run(
    notebook: Annotated[
        Path | None, typer.Argument(metavar="NOTEBOOK", help="The notebook to run.", show_default=False)
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Parameter of the notebook.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of reports: reports, with --quick reports/quick, for one notebook reports/single.",
            show_default=False,
        ),
    ] = None,
    whole_chain: Annotated[
        bool, typer.Option("--all", help="Run all notebooks in order and build the report.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="With --all: use the small recording and reduced settings, as a smoke test.")
    ] = False,
    repeat: Annotated[bool, typer.Option("--repeat", help="With --all: repeat every training_interval.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Only rebuild the report.")] = False,
) -> None:
    """Run a notebook with papermill. Parameters are checked first; a page is kept even if a cell fails.

    Settings of PODLAB_* and podlab.toml become parameters of the notebooks that have them.

    Example: podlab run notebooks/03_evaluate.ipynb -p folds=3
    """
    from podlab.config import load_settings

    if (notebook is not None) + whole_chain + report_only != 1 or ((repeat or quick) and not whole_chain):
        raise InputError(
            "give one notebook, or --all (which --quick and --repeat go with), or --report-only", where="podlab run"
        )
    settings = load_settings()
    given = _parse(parameters or [])
    if notebook is not None:
        _run_one(notebook, given, out or Path("reports/single"), settings)
    elif whole_chain:
        _run_all(given, out or Path("reports/quick" if quick else "reports"), settings, quick=quick, repeat=repeat)
    else:
        from podlab.notebook.report import build_report

        print(build_report(out or Path("reports")))


def _run_one(notebook: Path, given: dict[str, str], out: Path, settings: Settings) -> None:
    from podlab.notebook.chain import run_single

    with show_progress(notebook.stem) as progress:
        done = run_single(notebook, given, reports_dir=out, settings=settings, progress=progress)
    print(done.html)
    done.raise_if_failed()


def _run_all(given: dict[str, str], out: Path, settings: Settings, *, quick: bool, repeat: bool) -> None:
    from podlab.notebook.chain import train_all

    while True:
        began_s = time.monotonic()
        with show_progress("train") as progress:
            chain = train_all(
                notebooks_dir=_NOTEBOOKS,
                reports_dir=out,
                settings=settings,
                parameters=given,
                quick=quick,
                command=shlex.join(["podlab", *sys.argv[1:]]),
                progress=progress,
            )
        if chain.skipped:
            print(f"nothing changed in {', '.join(chain.skipped)}: not run again", file=sys.stderr)
        for path in (*(done.html for done in chain.runs), *([chain.report] if chain.report else [])):
            print(path)
        try:
            chain.raise_if_failed()
        except PodlabError as error:
            # With --repeat the next round gets its chance: a database may be back by then.
            if not repeat:
                raise
            print(f"podlab: {error}", file=sys.stderr)
        if not repeat:
            return
        time.sleep(max(0.0, began_s + settings.training_interval.total_seconds() - time.monotonic()))


def _parse(given: list[str]) -> dict[str, str]:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{text!r} is not NAME=VALUE", where="-p")
        values[name.strip()] = value
    return values
