"""Several notebooks at once: those that need each other wait, a failure begins no more, and stopping stops all."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import nbformat
import pytest

from podlab.errors import InputError
from podlab.notebook.processes import Task, run_notebooks
from podlab.notebook.run import RunResult
from tests.notebook.test_run import FIXTURES, is_alive, shown

#: Fails instead of waiting for ever, should the other notebook never come.
MEET = """import os, signal
signal.alarm(300)
os.close(os.open({pipe!r}, {flag}))
signal.alarm(0)"""


def task(path: Path, source: str, needs: Collection[str] = (), alone: bool = False) -> Task:
    log = f"log = lambda what: print('{path.stem}', what, file=open({str(path.parent / 'log')!r}, 'a'))"
    cells = [nbformat.v4.new_code_cell(text) for text in ("n = 1", f"{log}\nlog('begins')", f"{source}\nlog('ends')")]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return Task(path, {"n": 2}, 3, needs, alone)


def run(tasks: dict[str, Task], tmp_path: Path) -> dict[str, RunResult]:
    return dict(run_notebooks(tasks, out_dir=tmp_path / "out", run_id="r", at_once=2))


def test_a_notebook_begins_when_what_it_needs_has_ended_and_measures_times_alone(tmp_path: Path) -> None:
    tasks = {
        "writes": task(tmp_path / "writes.ipynb", ""),
        "reads": task(tmp_path / "reads.ipynb", "", needs=["writes"]),
        "measures": task(tmp_path / "measures.ipynb", "", alone=True),
    }
    assert all(result.ok for result in run(tasks, tmp_path).values())
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 6
    assert lines.index("writes ends") < lines.index("reads begins")
    assert lines.index("measures ends") == lines.index("measures begins") + 1


def test_two_run_at_once_and_after_a_failure_the_other_ends_but_none_begins(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    meet = [MEET.format(pipe=pipe, flag=flag) for flag in (os.O_RDONLY, os.O_WRONLY)]
    tasks = {
        "fails": task(tmp_path / "fails.ipynb", meet[0] + "\nraise ValueError('no')"),
        "ends": task(tmp_path / "ends.ipynb", meet[1]),
        "never": task(tmp_path / "never.ipynb", "", needs=["fails", "ends"]),
    }
    steps: list[str] = []
    done = dict(
        run_notebooks(
            tasks, out_dir=tmp_path / "out", run_id="r", at_once=2,
            progress=lambda done, total, what="": steps.append(what),
        )
    )  # fmt: skip
    assert {name: result.error for name, result in done.items()} == {"fails": "ValueError: no", "ends": None}
    assert steps[-1] == "ends (7 of 11 cells)", "of four, four and, in the one that never begins, three"


def test_what_is_wrong_is_raised_here_as_it_was_there(tmp_path: Path) -> None:
    tasks = {"a": Task(tmp_path / "a.ipynb", {}, 1)}
    with pytest.raises(InputError, match="no such notebook") as refused:
        run(tasks, tmp_path)
    assert refused.value.where == str(tmp_path / "a.ipynb")


def test_stopping_stops_every_kernel_and_keeps_what_was_done(tmp_path: Path) -> None:
    waiting: set[str] = set()

    def stop(done: int, total: int, what: str = "") -> None:
        waiting.update({what[:10]} & {"a: Waiting", "b: Waiting"})
        if len(waiting) == 2:
            raise KeyboardInterrupt

    tasks = {}
    for name in "ab":
        path = tmp_path / f"{name}.ipynb"
        path.write_bytes((FIXTURES / "slow.ipynb").read_bytes())
        tasks[name] = Task(path, {}, 3)
    with pytest.raises(KeyboardInterrupt):
        dict(run_notebooks(tasks, out_dir=tmp_path / "out", run_id="r", at_once=2, progress=stop))
    for name in "ab":
        result = RunResult(tmp_path / f"{name}.ipynb", tmp_path / f"out/{name}.ipynb", tmp_path / f"out/{name}.html", 0)
        assert not is_alive(int(shown(result)[0]))
        assert "stopped from outside" in result.html.read_text()
