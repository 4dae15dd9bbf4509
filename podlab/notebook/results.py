"""The results of a notebook: facts, tables, figures and measures, shown in the notebook and kept for the report.

They are kept only in a run (``podlab run``, ``make train``), which names itself to the kernel. Cells run by hand show
their results and write nothing, so that they cannot change the report of a run.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

import podlab
from podlab.data.recordings import fingerprint
from podlab.data.units import format_number
from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.notebook.pages import render
from podlab.notebook.redact import redact, secret_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from podlab.evaluation.metrics import Estimate

#: Where results and figures are, below the folder of reports.
RESULTS: Final = "results"
FIGURES: Final = "figures"
#: The last run of all notebooks, next to their results.
RUN_FILE: Final = "run.json"
#: Where cells run by hand write what a run would write elsewhere, below the folder of reports.
SCRATCH: Final = "scratch"
#: The environment variable by which a run names itself to the kernel.
RUN_VARIABLE: Final = "NOTEBOOK_RUN_ID"
#: A folder that holds one of these is a project's root.
_MARKERS: Final = ("pyproject.toml", "podlab.toml")
#: The libraries whose version may change a number.
_LIBRARIES: Final = ("numpy", "pandas", "pyarrow", "scikit-learn", "matplotlib", "papermill")


class Results:
    """The results of one notebook.

    In a run they are kept in ``results/<notebook>.json`` and ``figures/<notebook>-*.svg``. The file is written after
    each call, so that it holds what there was when a later cell failed. By hand they are only shown. Raises InputError
    if a recording cannot be read or the file cannot be written.

    Parameters
    ----------
    notebook : str
        Its name without folder and suffix.
    reports : Path or str
        The folder of reports.
    recordings : sequence of Path or str
        The files of samples that the results are about.
    seed : int, optional
        The seed of everything random.
    """

    def __init__(
        self,
        notebook: str,
        reports: Path | str = "reports",
        *,
        recordings: Sequence[Path | str] = (),
        seed: int | None = None,
    ) -> None:
        self.notebook = notebook
        self.reports = Path(reports)
        self.run_id = os.environ.get(RUN_VARIABLE)
        self._secrets = secret_values()
        # DataFrames that a notebook displays by itself write numbers as the tables do.
        pd.set_option("display.float_format", format_number)
        self._found: dict[str, Any] = {
            "notebook": notebook,
            "run": self.run_id,
            "complete": False,
            "provenance": describe_run([Path(path) for path in recordings], seed),
            "order": [],
            "facts": {},
            "measures": {},
            "tables": {},
            "figures": {},
        }
        self._write()

    def __repr__(self) -> str:
        where = f"kept in {self.reports}" if self.run_id else "only shown, not part of a run"
        return f"Results({self.notebook!r}, {where})"

    def output(self, path: Path | str) -> Path:
        """Return where to write a file or folder that other notebooks read: in a run the path itself.

        Cells run by hand get a place in the folder of scratch files instead, and a line says so.
        """
        if self.run_id:
            return Path(path)
        scratch = self.reports / SCRATCH / Path(path).name
        print(f"Run by hand: written to {scratch}, not to {path}.")  # noqa: T201
        return scratch

    def facts(self, **values: object) -> None:
        """Keep single values by name: texts, numbers, lists and dicts of them."""
        self._found["facts"] |= {name: plain(value) for name, value in values.items()}
        self._write()

    def measure(
        self,
        name: str,
        value: float | Estimate,
        deployments: int | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        best_guess: float | None = None,
        unseen: str = "",
    ) -> None:
        """Keep a number that a target of ``data/targets.toml`` or the report's first part is about.

        Parameters
        ----------
        name : str
            The target's ``measure``.
        value : float or Estimate
            An estimate brings its 95 % interval along.
        deployments : int, optional
            How many were tested.
        low, high : float, optional
            The 95 % interval of a plain number.
        best_guess : float, optional
            The same number if the most probable service counted where the answer was "unknown".
        unseen : str
            What training never saw where this was measured; the report then shows it first, under the name up to a
            colon.
        """
        found = {
            "value": getattr(value, "value", value),
            "low": getattr(value, "low", low),
            "high": getattr(value, "high", high),
            "deployments": deployments,
            "best_guess": best_guess,
            "unseen": unseen,
        }
        self._found["measures"][name] = plain(found)
        self._write()

    def targets(self, caption: str = "Targets and results.") -> None:
        """Show the notebook's targets next to what was measured, as the report does."""
        from podlab.notebook.tables import compare_targets, read_targets

        own = [target for target in read_targets() if target.notebook == self.notebook]
        self.facts(essential_targets=[target.name for target in own if target.essential])
        self.table("targets", compare_targets(own, self._found["measures"]), caption)

    def table(self, name: str, frame: pd.DataFrame, caption: str, *, fold: bool = False) -> None:
        """Show a table and keep it.

        Parameters
        ----------
        name : str
            What the report calls it.
        frame : DataFrame
            Shown as it is, without its index; floats get two decimals.
        caption : str
            What the table shows, in a sentence.
        fold : bool
            Whether only the caption is shown until it is opened.
        """
        rows = [[plain(value) for value in row] for row in frame.itertuples(index=False)]
        table: dict[str, Any] = {"caption": caption, "columns": [str(column) for column in frame.columns], "rows": rows}
        table["fold"] = fold
        self._keep("tables", name, table)
        from IPython.display import HTML, display

        display(HTML(render("macros.html", "table", {**table, "id": anchor_of("tables", name)})))  # type: ignore[no-untyped-call]

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """Show a figure and keep it.

        Parameters
        ----------
        name : str
            What the report calls it; letters, digits and ``_``.
        caption : str
            What the figure shows, in a sentence; screen readers read it.
        """
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"{name!r} is not made of letters, digits and _")
        file = f"{self.notebook}-{name}.svg"
        svg = redact(_draw_svg(figure), self._secrets)
        if self.run_id:
            with atomic_file(self.reports / FIGURES / file) as temporary:
                temporary.write_text(svg, encoding="utf-8")
        self._keep("figures", name, {"file": file, "caption": caption})
        from IPython.display import display

        display(
            {"image/svg+xml": svg, "text/plain": caption},
            raw=True,
            metadata={"alt": caption, "id": anchor_of("figures", name)},
        )  # type: ignore[no-untyped-call]
        # A figure of pyplot would be shown a second time at the end of the cell.
        import matplotlib.pyplot as plt

        plt.close(figure)

    def finish(self) -> None:
        """Mark the notebook as run to its end."""
        self._found["complete"] = True
        self._found["provenance"]["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write()

    def _keep(self, kind: str, name: str, found: dict[str, Any]) -> None:
        if [kind, name] not in self._found["order"]:
            self._found["order"].append([kind, name])
        self._found[kind][name] = found
        self._write()

    def _write(self) -> None:
        if self.run_id:
            write_json(redact(self._found, self._secrets), self.reports / RESULTS / f"{self.notebook}.json")


def anchor_of(kind: str, name: str) -> str:
    """Name the place of one of a notebook's ``tables`` or ``figures`` on its page."""
    return f"{kind.removesuffix('s')}-{name}"


def new_run_id() -> str:
    """Make an identifier for a run."""
    return uuid.uuid4().hex[:12]


def read_results(reports: Path) -> dict[str, dict[str, Any]]:
    """Read the results of all notebooks, by notebook, sorted.

    Raises InputError if a file of results is damaged.
    """
    return {path.stem: _read_json(path) for path in sorted((reports / RESULTS).glob("*.json"))}


def read_run(reports: Path) -> dict[str, Any] | None:
    """Read what :func:`podlab.notebook.chain.train_all` wrote about its last run, ``None`` if there was none."""
    path = reports / RUN_FILE
    return _read_json(path) if path.exists() else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("damaged results", where=str(path), hint="run its notebook again") from error
    if not isinstance(found, dict):
        raise InputError("damaged results", where=str(path), hint="run its notebook again")
    return found


def write_json(value: object, target: Path) -> None:
    """Write plain values as a JSON file, whole or not at all."""
    with atomic_file(target) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def plain(value: object) -> Any:
    """Turn a value into JSON's types; what is missing or not finite becomes ``None``.

    Raises TypeError if it consists of something else than texts, numbers, times, lists and dicts.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(part) for part in value]
    raise TypeError(f"cannot keep a {type(value).__name__}")


def _draw_svg(figure: Figure) -> str:
    """Draw a figure so that the same figure gives the same bytes."""
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "podlab"}):
        figure.savefig(drawn, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    # A hundredth of a point is less than anybody sees; the digits after it are a fifth of the file.
    return re.sub(r"(?<!scale\()\b(\d+\.\d\d)\d{2,}", r"\1", drawn.getvalue())


def describe_run(recordings: Sequence[Path], seed: int | None) -> dict[str, Any]:
    """Collect what someone needs to get the same numbers again.

    Raises InputError if a recording cannot be read.

    Parameters
    ----------
    recordings : sequence of Path
        The files and data sets of samples.

    Returns
    -------
    dict
        ``started_at``, ``seed``, ``podlab``, ``python``, ``versions`` by library, ``machine`` (no host name), and
        ``recordings`` with ``file``, ``sha256`` and ``bytes``.
    """
    digests = [(path.name, *fingerprint(path)) for path in recordings]
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "podlab": podlab.__version__,
        "python": platform.python_version(),
        "versions": library_versions(),
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}",
        "recordings": [{"file": name, "sha256": digest, "bytes": size} for name, digest, size in digests],
    }


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that may change a number."""
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def find_root(start: Path) -> Path | None:
    """Return the nearest folder above ``start`` (or ``start`` itself) that is a project's root, if there is one."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if any((folder / marker).is_file() for marker in _MARKERS):
            return folder
    return None


def enter_project() -> None:
    """Make the project's root the working folder, so that paths in a notebook are relative to it.

    JupyterLab starts a notebook in the notebook's own folder, ``podlab run`` in the project's root; after this call
    both are the same. Outside of any project the working folder stays as it is.
    """
    root = find_root(Path.cwd())
    if root is not None:
        os.chdir(root)
