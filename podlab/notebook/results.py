"""What a notebook hands on to the report: facts, tables and figures, written down as they come.

A notebook shows each of them by the same call, so that what it shows and what the report says cannot differ.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.notebook.pages import render
from podlab.notebook.provenance import describe_run
from podlab.notebook.redact import redact, secret_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Where results and figures are, below the folder of reports.
RESULTS: Final = "results"
FIGURES: Final = "figures"
#: What is known of the last run of all notebooks, beside their results.
RUN_FILE: Final = "run.json"


class Results:
    """The results of one notebook, in ``results/<notebook>.json`` and ``figures/<notebook>-*.svg``.

    The file is written anew after each call, so that it holds what there was when a later cell failed.

    Parameters
    ----------
    notebook : str
        Its name without folder and suffix.
    reports : Path or str
        The folder of reports.
    recordings : sequence of Path or str
        The files of samples that the results are about.
    seed : int, optional
        The seed that everything random was made from.

    Raises
    ------
    InputError
        If a recording cannot be read or the file cannot be written.
    """

    def __init__(
        self, notebook: str, reports: Path | str, *, recordings: Sequence[Path | str] = (), seed: int | None = None
    ) -> None:
        self.notebook = notebook
        self.reports = Path(reports)
        self._secrets = secret_values()
        self._found: dict[str, Any] = {
            "notebook": notebook,
            "complete": False,
            "provenance": describe_run([Path(path) for path in recordings], seed),
            "facts": {},
            "tables": {},
            "figures": {},
        }
        self._write()

    def facts(self, **values: object) -> None:
        """Hand on single values by name: texts, numbers, lists and dicts of them."""
        self._found["facts"] |= {name: plain(value) for name, value in values.items()}
        self._write()

    def table(self, name: str, frame: pd.DataFrame, caption: str) -> None:
        """Hand on a table and show it.

        Parameters
        ----------
        name : str
            What the report calls it by.
        frame : DataFrame
            To be shown as it is, without its index; floats get two decimals.
        caption : str
            What the table tells, in a sentence.
        """
        rows = [[plain(value) for value in row] for row in frame.itertuples(index=False)]
        table = {"caption": caption, "columns": [str(column) for column in frame.columns], "rows": rows}
        self._found["tables"][name] = table
        self._write()
        from IPython.display import HTML, display

        display(HTML(render("macros.html", "table", table)))  # type: ignore[no-untyped-call]

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """Hand on a figure and show it.

        Parameters
        ----------
        name : str
            What the report calls it by; letters, digits and ``_``.
        figure : matplotlib Figure
        caption : str
            What the figure shows, in a sentence; it is also read out to those who do not see it.
        """
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"{name!r} is not made of letters, digits and _")
        file = f"{self.notebook}-{name}.svg"
        svg = redact(_draw_svg(figure), self._secrets)
        with atomic_file(self.reports / FIGURES / file) as temporary:
            temporary.write_text(svg, encoding="utf-8")
        self._found["figures"][name] = {"file": file, "caption": caption}
        self._write()
        from IPython.display import display

        display({"image/svg+xml": svg, "text/plain": caption}, raw=True, metadata={"alt": caption})  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Say that the notebook came to its end."""
        self._found["complete"] = True
        self._found["provenance"]["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write()

    def _write(self) -> None:
        write_json(redact(self._found, self._secrets), self.reports / RESULTS / f"{self.notebook}.json")


def read_results(reports: Path) -> dict[str, dict[str, Any]]:
    """Read what all notebooks handed on, by notebook, sorted.

    Raises
    ------
    InputError
        If a file of results is damaged.
    """
    return {path.stem: _read_json(path) for path in sorted((reports / RESULTS).glob("*.json"))}


def read_run(reports: Path) -> dict[str, Any] | None:
    """Read what :func:`podlab.notebook.chain.train_all` wrote of its last run, ``None`` if there was none."""
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
    """Turn a value into what JSON knows; what is missing or not finite becomes ``None``.

    Raises
    ------
    TypeError
        If it is made of something else than texts, numbers, times, lists and dicts.
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
    raise TypeError(f"cannot hand on a {type(value).__name__}")


def _draw_svg(figure: Figure) -> str:
    """Draw a figure so that the same figure gives the same bytes."""
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "podlab"}):
        figure.savefig(drawn, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()
