"""Run several notebooks at once, each in a process of its own, and each as soon as what it needs has been made."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from podlab.errors import PodlabError
from podlab.notebook.run import RunResult, run_notebook
from podlab.progress import Progress

#: A new interpreter, since a copy of this one would share its threads' locks.
_PROCESSES: Final = get_context("spawn")
#: A notebook that is stopped writes what it has, and ends its kernel; after so long it is killed.
_STOP_S: Final = 30.0


@dataclass(frozen=True)
class Task:
    """A notebook to run."""

    path: Path
    parameters: Mapping[str, object]
    cells: int  # how many cells have code, for the progress until it begins; parameters may add one
    needs: Collection[str] = ()  # names of the notebooks that must have ended before
    alone: bool = False  # whether no other may run meanwhile, because it measures times


def run_notebooks(
    tasks: Mapping[str, Task], *, out_dir: Path, run_id: str, at_once: int, progress: Progress | None = None
) -> Generator[tuple[str, RunResult], None, None]:
    """Run notebooks and give each one's outcome when it has ended; after one that failed no other is begun.

    What :func:`podlab.notebook.run.run_notebook` raises is raised here, and stops the others; so does Ctrl-C.

    Parameters
    ----------
    tasks : mapping of str to Task
        By name, in the order in which they begin if nothing keeps them from it. What one needs must be among them.
    at_once : int
        How many run at the same time.
    progress : callable, optional
        Called before each cell; its text has the number of all notebooks' cells.
    """
    waiting, failed = dict(tasks), False
    running: dict[Connection[Any, Any], tuple[str, Any]] = {}
    cells_done = dict.fromkeys(tasks, 0)
    cells = {name: task.cells for name, task in tasks.items()}
    try:
        while True:
            while not failed and len(running) < at_once:
                name = _find_next(waiting, {name for name, _ in running.values()}, tasks)
                if name is None:
                    break
                task = waiting.pop(name)
                receiver, sender = _PROCESSES.Pipe(duplex=False)
                arguments = (sender, task.path, dict(task.parameters), out_dir, run_id)
                process = _PROCESSES.Process(target=_work, args=arguments, daemon=True)
                process.start()
                sender.close()
                running[receiver] = name, process
            if not running:
                return
            ready = wait(list(running))
            for receiver in [each for each in running if each in ready]:
                name, process = running[receiver]
                try:
                    message = receiver.recv()
                except EOFError:
                    raise PodlabError("was killed, most likely for lack of memory", where=name) from None
                if isinstance(message, BaseException):
                    raise message
                if isinstance(message, RunResult):
                    del running[receiver]
                    process.join()
                    failed |= not message.ok
                    yield name, message
                    continue
                cells_done[name], cells[name], what = message
                if progress is not None:
                    place = f"{name}: {what}" if what else name
                    # Not as steps, from which the time left would be estimated: cells take from no time to minutes.
                    progress(0, 0, f"{place} ({sum(cells_done.values())} of {sum(cells.values())} cells)")
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join(_STOP_S)
            process.kill()


def _find_next(waiting: Mapping[str, Task], running: Collection[str], tasks: Mapping[str, Task]) -> str | None:
    """Name the first notebook that may begin now."""
    if any(tasks[name].alone for name in running):
        return None
    for name, task in waiting.items():
        if not any(need in waiting or need in running for need in task.needs) and not (task.alone and running):
            return name
    return None


def _work(
    sender: Connection[Any, Any], path: Path, parameters: Mapping[str, object], out_dir: Path, run_id: str
) -> None:
    # Ctrl-C at a terminal goes to all processes of its group; whoever began this one will stop it, once.
    os.setsid()

    def report(done: int, total: int, what: str = "") -> None:
        sender.send((done, total, what))

    try:
        sender.send(run_notebook(path, parameters, out_dir=out_dir, run_id=run_id, progress=report))
    except KeyboardInterrupt:
        return
    except Exception as error:  # noqa: BLE001  it is raised where the notebooks were asked for
        sender.send(error)
