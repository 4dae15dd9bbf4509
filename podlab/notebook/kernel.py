"""The process that runs a notebook's cells: this very Python, out of others' reach, gone when the run is over."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager

from podlab.errors import PodlabError
from podlab.notebook.packing import pack

KERNEL_NAME: Final = "python3"
_START_TIMEOUT_S: Final = 60

# nbclient logs as an error what is raised as well, and is told to the user from there.
_quiet = logging.getLogger(__name__)
_quiet.setLevel(logging.CRITICAL + 1)


class _ThisPython(KernelSpecManager):
    """Knows one kernel: the Python that podlab runs in, whatever kernels are installed on the machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


def execute_cells(keeper: NotebookExecutionManager, folder: Path, cell_timeout_s: int) -> None:
    """Run the cells of the keeper's notebook in a new kernel and stop it, whatever happens.

    Parameters
    ----------
    keeper : NotebookExecutionManager
        Holds the notebook; told about each cell's start, end and exception.
    folder : Path
        The working folder.
    cell_timeout_s : int
        How long one cell may run.

    Raises
    ------
    DeadKernelError, CellTimeoutError
        From nbclient. An exception in a cell is not raised; the keeper is told.
    PodlabError
        If no kernel could be started.
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
        environment = os.environ | {"IPYTHONDIR": private, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
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
