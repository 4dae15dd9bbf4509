"""Running one notebook from top to bottom, with parameters, in this very Python.

papermill runs the cells and keeps the book of them. What it lets pass is caught here: unknown and mistyped
parameters, a kernel that died, files half-written, secrets in what a cell printed.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import nbformat
import traitlets.log
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.engines import NotebookExecutionManager
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from podlab.errors import InputError, PodlabError
from podlab.files import atomic_file
from podlab.interrupts import stop_on_sigterm
from podlab.notebook.kernel import KERNEL_NAME, execute_cells
from podlab.notebook.made import refuse_other_notebook
from podlab.notebook.pages import write_notebook_page
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.notebook.project import find_root
from podlab.notebook.redact import redact, redact_text, secret_values
from podlab.progress import Progress

#: A cell that runs longer has gone astray; the longest of podlab's own takes a few minutes on slow machines.
CELL_TIMEOUT_S: Final = 3600

#: What nbformat raises for a file that is no notebook.
_NO_NOTEBOOK: Final = (
    ValueError, LookupError, AttributeError, TypeError, AssertionError, RecursionError, nbformat.ValidationError,
)  # fmt: skip


@dataclass(frozen=True)
class RunResult:
    """What came of running a notebook.

    Attributes
    ----------
    notebook : Path
        What was run.
    executed : Path
        The notebook with its outputs, as far as it came.
    html : Path
        The same as a page.
    seconds : float
        Time taken, the kernel's start included.
    failed_cell : int or None
        Which code cell failed, counted from 1 as in its prompt.
    error : str or None
        One line: why.
    """

    notebook: Path
    executed: Path
    html: Path
    seconds: float
    failed_cell: int | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return self.error is None

    def raise_if_failed(self) -> None:
        """Raise a PodlabError that names notebook, cell and reason, unless every cell ran."""
        if not self.ok:
            raise PodlabError(
                f"cell {self.failed_cell} failed: {self.error}", where=str(self.notebook), hint=f"see {self.html}"
            )


def run_notebook(
    path: Path,
    parameters: Mapping[str, object] | None = None,
    *,
    out_dir: Path,
    progress: Progress | None = None,
    cell_timeout_s: int = CELL_TIMEOUT_S,
) -> RunResult:
    """Run a notebook and keep it, executed, with a page of it.

    Its working folder is the project's root, so paths among the parameters are relative to that; outside of any
    project it is the current folder.

    Parameters
    ----------
    path : Path
        The notebook; it stays as it is.
    parameters : mapping of str to object, optional
        Values by name, as text or in the parameter's own type.
    out_dir : Path
        Takes ``<stem>.ipynb``, after each cell, and ``<stem>.html``, at the end, also when a cell fails.
    progress : callable, optional
        Told about each cell.
    cell_timeout_s : int
        After so many seconds a cell counts as failed.

    Returns
    -------
    RunResult
        Also when a cell failed, ran too long, or took the kernel down with it.

    Raises
    ------
    InputError
        Before a kernel starts: if the notebook cannot be read, the parameters do not fit it, or the executed
        notebook would replace one that no run made; or if the files cannot be written.
    PodlabError
        If no kernel could be started.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM, after the kernel was stopped and the files were written.
    """
    where = str(path)
    notebook = read_notebook(path)
    values = parse_parameters(read_parameters(notebook, where=where), parameters or {}, where=where)
    refuse_other_notebook(path, out_dir)
    if values:
        notebook = parameterize_notebook(notebook, values, kernel_name=KERNEL_NAME, language="python")
    keeper = _Keeper(notebook, out_dir / f"{path.stem}.ipynb", secret_values(), progress)
    page = out_dir / f"{path.stem}.html"
    started_s = time.monotonic()
    keeper.notebook_start()
    try:
        with stop_on_sigterm():
            execute_cells(keeper, find_root(path.parent) or Path.cwd(), cell_timeout_s)
    except KeyboardInterrupt:
        keeper.note_failure("stopped from outside")
        raise
    except DeadKernelError:
        keeper.note_failure("the kernel died (killed for its memory, or ended by the cell itself)")
    except CellTimeoutError:
        keeper.note_failure(f"it ran longer than {cell_timeout_s} s")
    finally:
        keeper.notebook_complete()
        write_notebook_page(keeper.redacted(), page, failed_cell=keeper.failed_cell, error=keeper.error)
    return RunResult(
        path, keeper.target, page, time.monotonic() - started_s, failed_cell=keeper.failed_cell, error=keeper.error
    )


def read_notebook(path: Path) -> NotebookNode:
    """Read a Python notebook, without the values that an earlier run may have put into it.

    Raises
    ------
    InputError
        If there is none, or it is not one.
    """
    where = str(path)
    try:
        notebook = _to_current_format(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError("no such notebook", where=where) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    except _NO_NOTEBOOK as error:
        # A place is known where it is a notebook, but for a detail.
        place = ".".join(map(str, getattr(error, "absolute_path", ())))
        detail = f": {place}: {str(error).splitlines()[0][:100]}" if place else ""
        raise InputError(f"not a notebook{detail}", where=where, hint="give a file that JupyterLab opens") from error
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise InputError(f"a notebook for {language}, not for Python", where=where)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    return cast(NotebookNode, load_notebook_node(notebook))


def _to_current_format(text: str) -> NotebookNode:
    """Read a notebook of any version of the format as one of the current, valid and with an id in each cell."""
    # nbformat logs and warns of what is older or invalid; podlab says it in one line of its own, or converts it.
    nbformat_log = cast(logging.Logger, traitlets.log.get_logger())
    disabled, nbformat_log.disabled = nbformat_log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = nbformat.reads(text, as_version=nbformat.current_nbformat)  # type: ignore[no-untyped-call]
            converted["nbformat_minor"] = max(converted["nbformat_minor"], nbformat.current_nbformat_minor)
            _, normal = nbformat.validator.normalize(converted)
            # A converted notebook is made of nodes of its old version, which papermill takes for no notebook.
            notebook = cast(NotebookNode, nbformat.from_dict(normal))  # type: ignore[no-untyped-call]
            nbformat.validate(notebook)
            return notebook
    finally:
        nbformat_log.disabled = disabled


class _Keeper(NotebookExecutionManager):  # type: ignore[misc]
    """Writes the notebook down after each cell, whole and without secrets, and remembers what failed."""

    def __init__(self, notebook: NotebookNode, target: Path, secrets: Sequence[str], progress: Progress | None) -> None:
        super().__init__(notebook, progress_bar=False)
        self.target = target
        self.failed_cell: int | None = None
        self.error: str | None = None
        self._secrets = secrets
        self._progress = progress
        self._code = [index for index, cell in enumerate(notebook.cells) if _is_run(cell)]
        self._running: int | None = None

    def redacted(self) -> NotebookNode:
        return cast(NotebookNode, redact(self.nb, self._secrets))

    def save(self, **_: Any) -> None:
        with atomic_file(self.target) as temporary:
            text = nbformat.writes(self.redacted())  # type: ignore[no-untyped-call]
            temporary.write_text(text + "\n", encoding="utf-8")
        self.last_save_time = self.now()

    def cell_start(self, cell: NotebookNode, cell_index: int = 0, **kwargs: Any) -> None:
        if cell_index in self._code:
            self._running = cell_index
            self._report(self._code.index(cell_index), _heading_above(self.nb, cell_index))
        super().cell_start(cell, cell_index, **kwargs)

    def cell_exception(self, cell: NotebookNode, cell_index: int = 0, **kwargs: Any) -> None:
        super().cell_exception(cell, cell_index, **kwargs)
        error = kwargs["exception"]
        assert isinstance(error, CellExecutionError)
        first_line = (str(error.evalue).strip().splitlines() or [""])[0]
        self._remember(cell_index, f"{error.ename}: {first_line}".removesuffix(": "))

    def note_failure(self, why: str) -> None:
        """Mark the running cell as failed for a reason that left no output of its own."""
        if self._running is None:
            return
        cell = self.nb.cells[self._running]
        note = {"output_type": "error", "ename": "Failed", "evalue": why, "traceback": [why]}
        cell.outputs.append(nbformat.from_dict(note))  # type: ignore[no-untyped-call]
        super().cell_exception(cell, self._running)
        self._remember(self._running, why)

    def notebook_complete(self, **kwargs: Any) -> None:
        # papermill calls every cell after the last one run "completed"; the ones that never ran are not.
        never_run = [cell for cell in self.nb.cells if cell.metadata.papermill["status"] == self.PENDING]
        super().notebook_complete(**kwargs)
        for cell in never_run:
            cell.metadata.papermill["status"] = self.PENDING
        self.save()
        if self.error is None:
            self._report(len(self._code), "")

    def _remember(self, cell_index: int, error: str) -> None:
        self.failed_cell = self._code.index(cell_index) + 1
        self.error = redact_text(error, self._secrets)

    def _report(self, done: int, what: str) -> None:
        if self._progress is not None:
            self._progress(done, len(self._code), what)


def _is_run(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and cell.source.strip())


def _heading_above(notebook: NotebookNode, index: int) -> str:
    """Find the heading under which a cell stands, to say what is going on."""
    for cell in reversed(notebook.cells[: index + 1]):
        headings = [line for line in cell.source.splitlines() if line.startswith("#") and cell.cell_type == "markdown"]
        if headings:
            return str(headings[-1]).lstrip("#").strip()
    return ""
