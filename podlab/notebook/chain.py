"""All notebooks in their order, and the report of them: the workbench's main job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from podlab.config import Settings, explicitly_set
from podlab.data.units import format_duration
from podlab.errors import InputError
from podlab.notebook.made import PAGES, forget_runs, refuse_other_files
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.notebook.project import find_root
from podlab.notebook.report import CHAIN, build_report
from podlab.notebook.results import RESULTS, RUN_FILE, write_json
from podlab.notebook.run import RunResult, read_notebook, run_notebook
from podlab.progress import Progress

#: A look at whether everything works, not at how good it is: the small recording, and little of everything. The quick
#: chain says so on its report.
QUICK: Mapping[str, str] = {
    "recordings": "data/recordings/first.parquet",
    "unknown_recordings": "",
    "fault_recordings": "",
    "folds": "3",
    "row_iterations": "3",
    "trees": "30",
    "shuffles": "1",
    "permutations": "200",
    "groups": "2",
    "look_every": "20s",
    "normal_recordings": "",
    "other_recordings": "",
    "baseline_podlab": "false",
    "machines": "2",
    "bake_off_horizons": "60s",
    "most_rows": "100000",
    "most_containers": "1000",
}


@dataclass(frozen=True)
class Chain:
    """What came of running all notebooks.

    Attributes
    ----------
    runs : tuple of RunResult
        In their order, up to the first that failed.
    report : Path or None
        The report's page; ``None`` where the first notebook failed before it had any result.
    """

    runs: tuple[RunResult, ...]
    report: Path | None

    def raise_if_failed(self) -> None:
        """Raise a PodlabError that names notebook, cell and reason, unless all notebooks ran to their end."""
        for run in self.runs:
            run.raise_if_failed()


def train_all(
    *,
    notebooks_dir: Path,
    reports_dir: Path,
    settings: Settings,
    parameters: Mapping[str, object] | None = None,
    quick: bool = False,
    command: str = "make train",
    progress: Progress | None = None,
) -> Chain:
    """Run all notebooks in their order, stop at the first that fails, and build the report of what is there.

    Parameters
    ----------
    notebooks_dir : Path
        Holds the notebooks of :data:`podlab.notebook.report.CHAIN`.
    reports_dir : Path
        Takes ``index.html``, ``notebooks/``, ``results/`` and ``figures/``; what an earlier run of these notebooks
        made is removed first, so that no report mixes two. Nothing else there is touched.
    settings : Settings
        Those set by the user become parameters of the notebooks that have them.
    parameters : mapping of str to object, optional
        Further parameters; each goes to every notebook that has it, and must be known to at least one.
    quick : bool
        Take :data:`QUICK` for whatever ``parameters`` leaves open; the report says so.
    command : str
        What the report names as the way to get it again.
    progress : callable, optional
        Told about each cell.

    Raises
    ------
    InputError
        Before anything runs or is removed: if a notebook is missing, a parameter is unknown to all or mistyped, or
        the reports would replace a file that no run made.
    """
    given = (dict(QUICK) if quick else {}) | dict(parameters or {})
    given.setdefault("reports", str(_from_root(reports_dir, find_root(notebooks_dir))))
    wanted = _share_out(notebooks_dir, settings, given)
    refuse_other_files(reports_dir, [notebooks_dir / f"{name}.ipynb" for name in wanted])
    forget_runs(reports_dir, wanted)
    runs: list[RunResult] = []
    began = datetime.now(UTC)
    for name, values in wanted.items():
        result = run_notebook(
            notebooks_dir / f"{name}.ipynb", values, out_dir=reports_dir / PAGES, progress=_prefix(progress, name)
        )
        runs.append(result)
        write_json(_tell(runs, command, began, quick=quick), reports_dir / RUN_FILE)
        if not result.ok:
            break
    has_results = any((reports_dir / RESULTS).glob("*.json"))
    return Chain(tuple(runs), build_report(reports_dir) if has_results else None)


def parameters_from(settings: Settings, notebook: Path) -> dict[str, object]:
    """Return the settings that the user set and that a notebook has parameters for, by name.

    Raises
    ------
    InputError
        If the notebook cannot be read.
    """
    known = read_parameters(read_notebook(notebook), where=str(notebook))
    return {name: _as_parameter(value) for name, value in explicitly_set(settings).items() if name in known}


def _share_out(notebooks_dir: Path, settings: Settings, given: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Give each notebook the parameters it has; refuse those that none has."""
    shared: dict[str, dict[str, object]] = {}
    unknown = set(given)
    known_to_any: dict[str, None] = {}
    for name in CHAIN:
        path = notebooks_dir / f"{name}.ipynb"
        known = read_parameters(read_notebook(path), where=str(path))
        own = {parameter: value for parameter, value in given.items() if parameter in known}
        parse_parameters(known, own, where=str(path))
        shared[name] = parameters_from(settings, path) | own
        unknown -= set(known)
        known_to_any |= dict.fromkeys(known)
    if unknown:
        first = min(unknown)
        raise InputError(
            f"unknown parameter {first!r}", where=str(notebooks_dir), hint=f"they have {', '.join(known_to_any)}"
        )
    return shared


def _from_root(folder: Path, root: Path | None) -> Path:
    """Name a folder as the notebooks see it, which work in the project's root."""
    whole = folder.resolve()
    return whole.relative_to(root) if root is not None and whole.is_relative_to(root) else whole


def _as_parameter(value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    return str(value) if isinstance(value, Path) else value


def _prefix(progress: Progress | None, name: str) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total, what="": progress(done, total, f"{name}: {what}" if what else name)


def _tell(runs: list[RunResult], command: str, began: datetime, *, quick: bool) -> dict[str, Any]:
    return {
        "quick": quick,
        "command": command,
        "started_at": began.isoformat(timespec="seconds"),
        "seconds": round(sum(run.seconds for run in runs), 1),
        "notebooks": [
            {
                "notebook": run.notebook.stem,
                "seconds": round(run.seconds, 1),
                "error": None if run.ok else f"cell {run.failed_cell}: {run.error}",
            }
            for run in runs
        ],
    }
