"""Run all notebooks in order, skip those whose inputs did not change, and build the report."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from joblib import cpu_count

import podlab
from podlab.config import Settings, explicitly_set
from podlab.data.draws import draws_file
from podlab.data.recordings import fingerprint
from podlab.data.units import format_duration
from podlab.errors import InputError
from podlab.evaluation.scenarios import COLUMNS, FAMILY_SETS
from podlab.files import sha256_of
from podlab.missing_columns import SCORE
from podlab.model import bundle
from podlab.model.bundle import BundleInfo
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.notebook.processes import Task, run_notebooks
from podlab.notebook.report import CHAIN, PAGES, build_report, forget_runs, refuse_other_files
from podlab.notebook.results import (
    RESULTS,
    RUN_FILE,
    find_root,
    library_versions,
    new_run_id,
    read_results,
    read_run,
    write_json,
)
from podlab.notebook.run import RunResult, count_cells, read_notebook, run_notebook
from podlab.progress import Progress, stop_on_sigterm

#: The default folder of reports: that of the product. Any other folder keeps its samples and its model inside.
REPORTS: Final = Path("reports")
#: The parameter that names what a notebook writes and later ones read, and its place in a folder of reports.
WRITES: Final = {"01_collect": ("samples", "samples.parquet"), "02_train": ("model_path", "models/default")}
#: Two notebooks at once keep two cores busy, where one alone often uses a single core; each takes up to a gigabyte.
_AT_ONCE: Final = 2
#: The notebooks that measure how long something takes.
_ALONE: Final = frozenset({"10_scale"})
#: The small recording and little of everything, to see that it works. The report says that it is a quick run.
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
    "own_draws": "1",
    "most_rows": "100000",
    "most_containers": "1000",
}


@dataclass(frozen=True)
class Chain:
    """The outcome of running all notebooks."""

    runs: tuple[RunResult, ...]  # of the notebooks that ran, in their order, up to the first that failed
    skipped: tuple[str, ...]  # the notebooks whose results stand, because none of their inputs changed
    #: The report's page; ``None`` where the first notebook failed before it had any result.
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
    """Run all notebooks, two at once where neither needs the other, and build the report; after a failure none begins.

    A notebook is skipped if it ran to its end before and nothing that it depends on changed since: its source and
    parameters, the recordings, podlab and its libraries, and the inputs of the notebooks whose files it reads. So a run
    goes on where the last one failed. Raises InputError before anything runs or is removed: if a notebook is missing, a
    parameter is unknown to all or mistyped, or the reports would replace a file that no run made.

    Parameters
    ----------
    notebooks_dir : Path
        Holds the notebooks of :data:`podlab.notebook.report.CHAIN`.
    reports_dir : Path
        Takes ``index.html``, ``notebooks/``, ``results/`` and ``figures/``. What an earlier run made of a notebook that
        runs again is removed first; nothing else there is touched. Unless it is :data:`REPORTS`, or parameters or
        settings name other places, the collected samples and the model go there as well.
    settings : Settings
        Those set by the user become parameters of the notebooks that have them.
    parameters : mapping of str to object, optional
        Further parameters; each goes to every notebook that has it, and must be known to at least one.
    quick : bool
        Take :data:`QUICK` for whatever ``parameters`` leaves open; the report says so.
    command : str
        What the report names as the way to get it again.
    progress : callable, optional
        Called before each cell; its text has the number of all notebooks' cells.
    """
    root = find_root(notebooks_dir)
    given = (dict(QUICK) if quick else {}) | dict(parameters or {})
    given.setdefault("reports", str(_from_root(reports_dir, root)))
    for name, place in own_places(reports_dir, root).items():
        if name not in explicitly_set(settings):
            given.setdefault(name, place)
    wanted = _share_out(notebooks_dir, settings, given)
    refuse_other_files(reports_dir, [notebooks_dir / f"{name}.ipynb" for name in wanted])
    keys = _input_keys(notebooks_dir, wanted, root or Path.cwd())
    last = read_run(reports_dir) or {}
    done = {
        name: entry for name, entry in _finished(last, reports_dir, wanted, root).items() if entry["key"] == keys[name]
    }
    run_id = str(last["id"]) if done else new_run_id()
    _refuse_older(reports_dir, run_id)
    forget_runs(reports_dir, [name for name in wanted if name not in done])
    taken_s, began_s = float(last["seconds"]) if done else 0.0, time.monotonic()
    run: dict[str, Any] = {
        "id": run_id,
        "quick": quick,
        "command": command,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": taken_s,
        "model": last.get("model") if done else None,
        "notebooks": [],
    }
    entries = {name: dict(entry) for name, entry in done.items()}
    runs: dict[str, RunResult] = {}
    tasks = _plan(notebooks_dir, {name: values for name, values in wanted.items() if name not in done})
    at_once = min(_AT_ONCE, cpu_count())
    with (
        stop_on_sigterm(),
        closing(
            run_notebooks(tasks, out_dir=reports_dir / PAGES, run_id=run_id, at_once=at_once, progress=progress)
        ) as results,
    ):
        for name, result in results:
            runs[name] = result
            entries[name] = _describe(result, keys[name])
            if result.ok and name in WRITES:
                entries[name]["output"] = _output_digest(_from(root, wanted[name], WRITES[name][0]))
            run["notebooks"] = [entries[each] for each in wanted if each in entries]
            run["seconds"] = round(taken_s + time.monotonic() - began_s, 1)
            write_json(run, reports_dir / RUN_FILE)
    if runs and len(entries) == len(wanted) and all(result.ok for result in runs.values()) and "02_train" in wanted:
        info = put_on_card(_from(root, wanted["02_train"], "model_path"), reports_dir)
        run["model"] = f"{info.name}, digest {info.digest}"
        write_json(run, reports_dir / RUN_FILE)
    has_results = any((reports_dir / RESULTS).glob("*.json"))
    in_order = tuple(runs[name] for name in wanted if name in runs)
    return Chain(in_order, tuple(done), build_report(reports_dir) if has_results else None)


def run_single(
    notebook: Path,
    parameters: Mapping[str, object],
    *,
    reports_dir: Path,
    settings: Settings,
    progress: Progress | None = None,
) -> RunResult:
    """Run one notebook into a folder of reports.

    A notebook of one's own joins the run whose report is there. One of podlab's own is refused there, since a report is
    about one run. Raises InputError as :func:`podlab.notebook.run.run_notebook`.

    Parameters
    ----------
    parameters : mapping of str to object
        Values by name, before the settings.
    reports_dir : Path
        What the notebook writes for others (samples, model) goes there as well, unless it is :data:`REPORTS` or a
        parameter or setting names another place.
    """
    root = find_root(notebook.parent)
    known = read_parameters(read_notebook(notebook), where=str(notebook))
    last = read_run(reports_dir)
    if last is not None and notebook.stem in CHAIN:
        hint = "use --all, which runs what changed, or choose another folder (--out)"
        raise InputError("holds the report of a run of all notebooks", where=str(reports_dir), hint=hint)
    values: dict[str, object] = {}
    if "reports" in known:
        values["reports"] = str(_from_root(reports_dir, root))
    own, _ = WRITES.get(notebook.stem, ("", ""))
    values |= {name: place for name, place in own_places(reports_dir, root).items() if name == own}
    values |= parameters_from(settings, notebook) | dict(parameters)
    run_id = last.get("id") if last is not None else None
    return run_notebook(notebook, values, out_dir=reports_dir / PAGES, run_id=run_id, progress=progress)


def own_places(reports_dir: Path, root: Path | None) -> dict[str, str]:
    """Name the places of samples and model in a folder of reports; the default folder's are the product's own."""
    folder = _from_root(reports_dir, root)
    if folder == REPORTS:
        return {}
    return {name: str(folder / place) for name, place in WRITES.values()}


def parameters_from(settings: Settings, notebook: Path) -> dict[str, object]:
    """Return the settings that the user set and that a notebook has parameters for, by name.

    Raises InputError if the notebook cannot be read.
    """
    known = read_parameters(read_notebook(notebook), where=str(notebook))
    return {name: _as_parameter(value) for name, value in explicitly_set(settings).items() if name in known}


def _refuse_older(reports_dir: Path, run_id: str) -> None:
    """Refuse to begin a run whose report could not be built, because of an own notebook's results of an older run."""
    for name, found in read_results(reports_dir).items():
        if name not in CHAIN and found.get("run") != run_id:
            hint = f"remove {RESULTS}/{name}.json, and run {name} again afterwards"
            raise InputError(f"{name} belongs to an older run than the report would", where=str(reports_dir), hint=hint)


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
        what = f"unknown parameter {first!r}"
        raise InputError(what, where=str(notebooks_dir), hint=f"they have {', '.join(known_to_any)}")
    return shared


def _input_keys(notebooks_dir: Path, wanted: Mapping[str, Mapping[str, object]], root: Path) -> dict[str, str]:
    """Digest all that a notebook's results depend on, by notebook; inputs are read relative to the root."""
    common = [library_versions(), _package_digest()]
    digests: dict[Path, str] = {}
    keys: dict[str, str] = {}
    for name, given in wanted.items():
        notebook = read_notebook(notebooks_dir / f"{name}.ipynb")
        known = read_parameters(notebook, where=name)
        values = {parameter: each.default for parameter, each in known.items()} | parse_parameters(
            known, given, where=name
        )
        written = {parameter: keys.get(writer, "") for writer, (parameter, _) in WRITES.items() if parameter in values}
        files = _named_files(
            [value for parameter, value in values.items() if parameter not in (*written, "reports")], root
        )
        digests |= {path: _digest(path) for path in files if path not in digests}
        cells = [cell.source for cell in notebook.cells]
        # A folder that the first run makes, such as a cache, must not count in the second.
        parts = [common, cells, values, written, [digests[path] for path in files if digests[path]]]
        # What a live source holds is new each time.
        live = "" if values.get("source", "recording") == "recording" else uuid.uuid4().hex
        keys[name] = hashlib.sha256(json.dumps([parts, live], default=str).encode()).hexdigest()
    return keys


def _package_digest() -> str:
    """Digest podlab's own source."""
    folder = Path(podlab.__file__).parent
    source = [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*.py"))]
    return hashlib.sha256(repr(source).encode()).hexdigest()


def _named_files(values: Iterable[object], root: Path) -> list[Path]:
    """Find the recordings, and the tables of draws next to them, that parameters name."""
    texts = [
        text for value in values for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
    ]
    paths = [root / text for text in texts if text]
    return [path for named in paths for path in (named, draws_file(named)) if path.exists()]


def _digest(path: Path) -> str:
    """Digest a file or a data set; any other folder, such as a cache, does not count."""
    try:
        return fingerprint(path)[0]
    except InputError:
        return ""


def _finished(
    last: Mapping[str, Any], reports_dir: Path, wanted: Mapping[str, Mapping[str, object]], root: Path | None
) -> dict[str, dict[str, Any]]:
    """Return the entries of the last run's notebooks whose results, pages and files are still there and unchanged."""
    found: dict[str, dict[str, Any]] = {}
    results = read_results(reports_dir) if last.get("id") else {}
    for entry in last.get("notebooks", ()):
        name = entry["notebook"]
        own = results.get(name, {})
        if name not in wanted or entry["error"] or not own.get("complete") or own.get("run") != last["id"]:
            continue
        if not (reports_dir / PAGES / f"{name}.html").is_file():
            continue
        if name in WRITES and entry.get("output") != _output_digest(_from(root, wanted[name], WRITES[name][0])):
            continue
        found[name] = entry
    return found


def _output_digest(path: Path) -> str | None:
    """Digest a file or a model; scores and card, which later notebooks add to a model, are left out."""
    if path.is_file():
        return sha256_of(path)
    try:
        files = bundle.verify(path).manifest["files"]
    except InputError:
        return None
    return hashlib.sha256(json.dumps({k: v for k, v in files.items() if k != bundle.CARD}).encode()).hexdigest()


def _from(root: Path | None, values: Mapping[str, object], name: str) -> Path:
    """Return the path that a parameter names, relative to the project's root; its default where it is not given."""
    default = Settings.model_fields["model_path"].default if name == "model_path" else "data/collected/samples.parquet"
    return (root or Path.cwd()) / str(values.get(name, default))


def _from_root(folder: Path, root: Path | None) -> Path:
    """Name a folder as the notebooks see it, which work in the project's root."""
    whole = folder.resolve()
    return whole.relative_to(root) if root is not None and whole.is_relative_to(root) else whole


def _as_parameter(value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    return str(value) if isinstance(value, Path) else value


def _plan(notebooks_dir: Path, wanted: Mapping[str, Mapping[str, object]]) -> dict[str, Task]:
    """Say of each notebook to run what it waits for: those that write what it reads."""
    tasks = {}
    for name, values in wanted.items():
        path = notebooks_dir / f"{name}.ipynb"
        notebook = read_notebook(path)
        known = read_parameters(notebook, where=str(path))
        needs = {writer for writer, (parameter, _) in WRITES.items() if parameter in known and writer in wanted} - {
            name
        }
        tasks[name] = Task(path, values, count_cells(notebook), needs, alone=name in _ALONE)
    return tasks


def _describe(run: RunResult, key: str) -> dict[str, Any]:
    return {
        "notebook": run.notebook.stem,
        "key": key,
        "seconds": round(run.seconds, 1),
        "error": None if run.ok else f"cell {run.failed_cell}: {run.error}",
    }


def put_on_card(folder: Path, reports: Path) -> BundleInfo:
    """Add to a model's scores what notebooks measured on the recordings that it was trained on.

    Results of other recordings are left out: they are another model's. Raises InputError if the folder is no sound
    bundle, or a file of results is damaged.

    Parameters
    ----------
    folder : Path
        The model's bundle. Its digest changes.
    reports : Path
        The folder of reports, with the notebooks' results.
    """
    trained_on = {each["sha256"] for each in bundle.verify(folder).manifest["recordings"]}
    own = {
        name: found
        for name, found in read_results(reports).items()
        if trained_on & {each["sha256"] for each in found["provenance"]["recordings"]}
    }
    measured: dict[str, Any] = {}
    if facts := own.get("03_evaluate", {}).get("facts"):
        measured["deployments_held_out"] = _pick(facts, "split", "n_services", "n_deployments", "headlines", "control")
    if facts := own.get("06_identify", {}).get("facts", {}).get("conditions"):
        measured[SCORE] = _fewer_columns(facts["conditions"])
    if targets := [
        row for name in ("06_identify", "03_evaluate", "07_unknown_and_similar") for row in _targets(own.get(name, {}))
    ]:
        measured["aimed_at_and_reached"] = targets
    if facts := own.get("07_unknown_and_similar", {}).get("facts"):
        measured["unknown_services"] = _pick(facts, "unknown_services", "unknown", "left_out", "anytime")
    if facts := own.get("09_detectors", {}).get("facts"):
        measured["detectors"] = _pick(facts, "per_start", "per_day", "days", "faults", "deployments")
        measured["detectors"]["aimed_at_and_reached"] = _targets(own["09_detectors"])
    return bundle.add_scores(folder, measured)


def _targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the rows of a notebook's table of targets, where it has one."""
    table = results.get("tables", {}).get("targets")
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] if table else []


def _fewer_columns(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pick what fewer families of columns cost on all containers; what could not be measured is left out."""
    kept = ("condition", "horizon_s", "n_deployments", "macro_f1", "lost", "lost_low", "lost_high", "guess_lost")
    return [
        {**_pick(row, *kept), "families": list(FAMILY_SETS[row["condition"]])}
        for row in conditions
        if row["group"] == COLUMNS and row["containers"] == "all" and row["lost"] is not None
    ]


def _pick(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}
