"""Run one notebook from top to bottom, with parameters, in this Python.

papermill runs the cells and records their state. This module adds what papermill does not check: unknown and mistyped
parameters, a dead kernel, half-written files, and secrets in the outputs.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import nbformat
import traitlets.log
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from podlab.errors import InputError, PodlabError
from podlab.files import atomic_file, refuse_device
from podlab.notebook.pages import FAILURE, write_notebook_page
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.notebook.redact import pack, redact, redact_text, secret_values
from podlab.notebook.report import refuse_other_notebook
from podlab.notebook.results import RUN_VARIABLE, find_root, new_run_id
from podlab.progress import Progress, stop_on_sigterm

KERNEL_NAME: Final = "python3"
#: The longest cells of podlab's own notebooks take a few minutes on slow machines.
CELL_TIMEOUT_S: Final = 3600
_START_TIMEOUT_S: Final = 60

# nbclient logs as an error what it also raises.
_quiet = logging.getLogger(__name__)
_quiet.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class RunResult:
    """The outcome of running a notebook."""

    notebook: Path  # what was run
    executed: Path  # the notebook with its outputs, up to the cell that failed
    html: Path  # the same as a page
    seconds: float  # time taken, including the kernel's start
    failed_cell: int | None = None  # the code cell that failed, counted from 1 as in its prompt
    error: str | None = None  # the reason, in one line

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return self.error is None

    def raise_if_failed(self) -> None:
        """Raise a PodlabError that names notebook, cell and reason, unless every cell ran."""
        if not self.ok:
            what = f"cell {self.failed_cell} failed: {self.error}"
            raise PodlabError(what, where=str(self.notebook), hint=f"see {self.html}")


def run_notebook(
    path: Path,
    parameters: Mapping[str, object] | None = None,
    *,
    out_dir: Path,
    run_id: str | None = None,
    progress: Progress | None = None,
    cell_timeout_s: int = CELL_TIMEOUT_S,
) -> RunResult:
    """Run a notebook; write it with its outputs, and as a page.

    The working folder is the project's root, so that paths among the parameters are relative to it; outside of a
    project it is the current folder. Raises InputError before a kernel starts: if the notebook cannot be read, the
    parameters do not fit it, or the executed notebook would replace one that no run made; or if the files cannot be
    written; PodlabError if no kernel could be started; KeyboardInterrupt on Ctrl-C or SIGTERM, after the kernel was
    stopped and the files were written.

    Parameters
    ----------
    path : Path
        The notebook; it is not changed.
    parameters : mapping of str to object, optional
        Values by name, as text or in the parameter's own type.
    out_dir : Path
        Takes ``<stem>.ipynb`` after each cell, and ``<stem>.html`` at the end, also when a cell fails.
    run_id : str, optional
        The run that the notebook's results belong to; a new one by default.
    progress : callable, optional
        Called before each cell.
    cell_timeout_s : int
        A cell that runs longer has failed.

    Returns
    -------
    RunResult
        Also when a cell failed, ran too long, or ended the kernel.
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
            _execute_cells(keeper, find_root(path.parent) or Path.cwd(), run_id or new_run_id(), cell_timeout_s)
    except KeyboardInterrupt:
        keeper.note_failure("stopped from outside")
        raise
    except DeadKernelError:
        keeper.note_failure("the kernel died (killed for its memory, or ended by the cell itself)")
    except CellTimeoutError:
        keeper.note_failure(f"it ran longer than {cell_timeout_s} s")
    finally:
        keeper.notebook_complete()
        write_notebook_page(keeper.redacted(), page)
    return RunResult(
        path, keeper.target, page, time.monotonic() - started_s, failed_cell=keeper.failed_cell, error=keeper.error
    )


def read_notebook(path: Path) -> NotebookNode:
    """Read a Python notebook, without the values that an earlier run may have put into it.

    Raises InputError if there is none, or it is not one.
    """
    where = str(path)
    refuse_device(path)
    try:
        notebook = _to_current_format(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError("no such notebook", where=where) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from error
    except Exception as error:
        # nbformat converts what it has not checked, so a file that is not a notebook may raise anything. Of a notebook
        # with one wrong detail the place is known: say which.
        place = ".".join(map(str, getattr(error, "absolute_path", ())))
        detail = f": {place}: {str(error).splitlines()[0][:100]}" if place else ""
        raise InputError(f"not a notebook{detail}", where=where, hint="give a file that JupyterLab opens") from error
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise InputError(f"a notebook for {language}, not for Python", where=where)
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    return cast(NotebookNode, load_notebook_node(notebook))


def _to_current_format(text: str) -> NotebookNode:
    """Read a notebook of any version of the format as a valid one of the current version, with an id in each cell."""
    # nbformat logs and warns about what is older or invalid; podlab converts it, or refuses it in one line.
    nbformat_log = cast(logging.Logger, traitlets.log.get_logger())
    disabled, nbformat_log.disabled = nbformat_log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = nbformat.reads(text, as_version=nbformat.current_nbformat)  # type: ignore[no-untyped-call]
            converted["nbformat_minor"] = max(converted["nbformat_minor"], nbformat.current_nbformat_minor)
            _, normal = nbformat.validator.normalize(converted)
            # A converted notebook consists of nodes of its old version, which papermill does not accept.
            notebook = cast(NotebookNode, nbformat.from_dict(normal))  # type: ignore[no-untyped-call]
            nbformat.validate(notebook)
            return notebook
    finally:
        nbformat_log.disabled = disabled


class _Keeper(NotebookExecutionManager):  # type: ignore[misc]
    """Writes the notebook after each cell, whole and without secrets, and remembers what failed."""

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
        # papermill marks every cell after the last one run as "completed"; those that never ran are not.
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
        self.nb.metadata[FAILURE] = {"failed_cell": self.failed_cell, "error": self.error}

    def _report(self, done: int, what: str) -> None:
        if self._progress is not None:
            self._progress(done, len(self._code), what)


def count_cells(notebook: NotebookNode) -> int:
    """Count the cells that a run goes through."""
    return sum(_is_run(cell) for cell in notebook.cells)


def _is_run(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and cell.source.strip())


def _heading_above(notebook: NotebookNode, index: int) -> str:
    """Find the last heading before a cell, for the progress display."""
    for cell in reversed(notebook.cells[: index + 1]):
        headings = [line for line in cell.source.splitlines() if line.startswith("#") and cell.cell_type == "markdown"]
        if headings:
            return str(headings[-1]).lstrip("#").strip()
    return ""


class _ThisPython(KernelSpecManager):
    """Knows one kernel: the Python that podlab runs in, whatever kernels are installed on the machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


def _execute_cells(keeper: NotebookExecutionManager, folder: Path, run_id: str, cell_timeout_s: int) -> None:
    """Run the cells of the keeper's notebook in a new kernel in that folder, and stop the kernel in any case.

    Raises nbclient's DeadKernelError and CellTimeoutError; an exception in a cell goes to the keeper instead.
    """
    with tempfile.TemporaryDirectory(prefix="podlab-") as private:
        # Sockets in a private folder: nobody else can connect, and two runs cannot take each other's ports.
        manager = AsyncKernelManager(
            kernel_name=KERNEL_NAME,
            kernel_spec_manager=_ThisPython(),
            transport="ipc",
            connection_file=str(Path(private) / "kernel.json"),
        )
        groups: list[int] = []

        def note_group(**_: object) -> None:
            if isinstance(manager.provisioner, LocalProvisioner) and manager.provisioner.pgid is not None:
                groups.append(manager.provisioner.pgid)

        client = PapermillNotebookClient(
            keeper,
            km=manager,
            timeout=cell_timeout_s,
            startup_timeout=_START_TIMEOUT_S,
            log=_quiet,
            # The kernel's own log would go to our stderr; what fails in a cell comes as a message anyway.
            extra_arguments=["--log-level=CRITICAL", f"--Session.packer={pack.__module__}.{pack.__name__}"],
            on_notebook_start=note_group,
        )
        # The user's own IPython start-up files must not change what a notebook gives.
        environment = os.environ | {"IPYTHONDIR": private, "PYDEVD_DISABLE_FILE_VALIDATION": "1", RUN_VARIABLE: run_id}
        environment |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        try:
            client.execute(cwd=str(folder), env=environment, cleanup_kc=True)
        except DeadKernelError:
            # The processes it started outlive it, such as joblib's, which wait for work.
            for group in groups:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGTERM)
            raise
        except RuntimeError as error:
            what = f"no kernel could be started: {error}"
            raise PodlabError(what, where=sys.executable, hint="install podlab[workbench] in it") from error
