"""One fixture notebook for each way a run can end."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from podlab.errors import InputError, PodlabError
from podlab.notebook.run import RunResult, run_notebook

ROOT = Path(__file__).parent.parent.parent
FIXTURES = Path(__file__).parent / "fixtures"


def run(name: str, out_dir: Path, **parameters: object) -> RunResult:
    return run_notebook(FIXTURES / f"{name}.ipynb", parameters, out_dir=out_dir)


def shown(result: RunResult) -> list[str]:
    """What the cells gave as their values, as text."""
    cells = nbformat.read(result.executed, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]


def statuses(result: RunResult) -> list[str]:
    cells = nbformat.read(result.executed, as_version=4).cells
    return [cell.metadata.papermill["status"] for cell in cells if cell.cell_type == "code"]


class _Links(HTMLParser):
    """Everything a page loads or points to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "data", "srcset", "action")]


def test_a_good_notebook_gets_its_parameters_as_given(tmp_path: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    # A brace in the path is a place for a parameter to papermill; here it is a brace.
    result = run_notebook(
        FIXTURES / "good.ipynb",
        {"name": "007", "share": "2", "services": 'a "b",c\\d', "ratio": "0.5"},
        out_dir=tmp_path / "with {braces}",
        progress=lambda done, total, what="": steps.append((done, total, what)),
    )
    assert result.ok
    result.raise_if_failed()
    given, surroundings = (ast.literal_eval(text) for text in shown(result))
    assert given == ["007", 3, 2.0, False, ['a "b"', "c\\d"], 0.5]
    assert surroundings == {"python": sys.executable, "folder": str(ROOT)}
    assert set(statuses(result)) == {"completed"}
    assert steps == [
        (0, 4, "A good notebook"),
        (1, 4, "A good notebook"),
        (2, 4, "Greeting"),
        (3, 4, "Surroundings"),
        (4, 4, ""),
    ]


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = run("good", tmp_path).html.read_text()
    links = _Links()
    links.feed(page)
    assert all(link.startswith(("data:", "#")) for link in links.found), links.found
    assert page.count("<script>") == 1, "podlab's own"
    assert "<title>A good notebook</title>" in page
    assert "It says what it was given." in page


def test_a_failing_cell_leaves_notebook_and_page(tmp_path: Path) -> None:
    result = run("raises", tmp_path)
    assert (result.ok, result.failed_cell, result.error) == (False, 3, "ZeroDivisionError: division by zero")
    assert statuses(result) == ["completed", "completed", "failed", "pending"]
    assert shown(result) == ["'before'"]
    page = result.html.read_text()
    assert "This run is incomplete." in page
    assert 'id="failed"' in page
    assert "ZeroDivisionError" in page
    with pytest.raises(
        PodlabError, match=r"raises.ipynb: cell 3 failed: ZeroDivisionError: division by zero; see"
    ) as e:
        result.raise_if_failed()
    assert e.value.exit_code == 1


def test_a_dead_kernel_is_told_from_a_failing_cell(tmp_path: Path) -> None:
    result = run("dies", tmp_path)
    assert result.failed_cell == 3
    assert result.error is not None
    assert "kernel died" in result.error
    assert not is_alive(int(shown(result)[0])), "what the kernel started must go with it"
    assert statuses(result) == ["completed", "completed", "failed", "pending"]
    assert "kernel died" in result.html.read_text()


def test_a_cell_that_never_ends_is_ended(tmp_path: Path) -> None:
    result = run_notebook(FIXTURES / "slow.ipynb", out_dir=tmp_path, cell_timeout_s=10)
    assert (result.failed_cell, result.error) == (3, "it ran longer than 10 s")
    assert not is_alive(int(shown(result)[0]))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_no_kernel_and_keeps_what_was_done(tmp_path: Path, stop: signal.Signals) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from podlab.notebook.run import run_notebook\n"
        # A shell that starts a job in the background has it ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "say = lambda done, total, what='': print(what, flush=True)\n"
        "run_notebook(Path(sys.argv[1]), out_dir=Path(sys.argv[2]), progress=say)"
    )
    command = [sys.executable, "-c", script, str(FIXTURES / "slow.ipynb"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == "Waiting" for line in process.stdout)
        process.send_signal(stop)
        _, complaint = process.communicate(timeout=600)
    assert complaint.splitlines()[-1] == "KeyboardInterrupt"
    result = RunResult(FIXTURES / "slow.ipynb", tmp_path / "slow.ipynb", tmp_path / "slow.html", 0)
    assert not is_alive(int(shown(result)[0]))
    assert statuses(result) == ["completed", "completed", "failed"]
    assert "stopped from outside" in result.html.read_text()


def test_secrets_stand_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = 'pa"ss<w&örd\\1'
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", password)
    result = run("leaks", tmp_path)
    assert result.error is not None
    assert result.error.startswith("ValueError: cannot log in with")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"leaks.ipynb", "leaks.html"}
    for written in (*(path.read_text() for path in files), *shown(result), result.error):
        # Its middle is the same however the rest is quoted.
        for part in (password, "ss<w&", "ss&lt;w&amp;", "ss%3Cw"):
            assert part not in written


def test_no_secret_no_redaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PODLAB_INFLUXDB_PASSWORD", raising=False)
    assert "***" not in run("good", tmp_path).executed.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such notebook"),
        ("", "not a notebook"),
        ('{"cells": [{"cell_type": "code", "sour', "not a notebook"),
        ('{"services": ["nginx"]}', "not a notebook"),
        ("[]", "not a notebook"),
        ('{"nbformat": 1, "cells": [{"cell_type": "soup"}]}', "not a notebook"),
        ((FIXTURES / "good.ipynb").read_text().replace('"cell_type": "code"', '"cell_type": "soup"'), "not a notebook"),
        (
            '{"cells": [], "metadata": {"kernelspec": null}, "nbformat": 4, "nbformat_minor": 5}',
            "not a notebook: metadata.kernelspec: ",
        ),
        ((FIXTURES / "good.ipynb").read_text().replace('"language": "python"', '"language": "R"'), "a notebook for R"),
        ((FIXTURES / "no_parameters.ipynb").read_text(), "no cell tagged"),
    ],
)
def test_what_is_no_notebook_is_refused_and_leaves_nothing(tmp_path: Path, content: str | None, message: str) -> None:
    notebook = tmp_path / "a.ipynb"
    if content is not None:
        notebook.write_text(content)
    with pytest.raises(InputError, match=rf"a.ipynb: {message}"):
        run_notebook(notebook, out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", [3, 4])
def test_older_formats_run_without_a_warning(
    tmp_path: Path, version: int, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    code = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "outputs": []}
    sources = ["x = 1\n", "x + 1"]
    cells = [{**code, "metadata": code["metadata"] if source == "x = 1\n" else {}} for source in sources]
    if version == 3:
        cells = [{**cell, "input": source, "language": "python"} for cell, source in zip(cells, sources, strict=True)]
        content = {"worksheets": [{"cells": cells, "metadata": {}}]}
    else:
        cells = [
            {**cell, "source": source, "execution_count": None} for cell, source in zip(cells, sources, strict=True)
        ]
        content = {"cells": cells}
    notebook = tmp_path / "old.ipynb"
    # With the byte order mark that some editors put before it.
    text = json.dumps({**content, "metadata": {}, "nbformat": version, "nbformat_minor": 0})
    notebook.write_text(text, encoding="utf-8-sig")
    result = run_notebook(notebook, {"x": 41}, out_dir=tmp_path / "out")
    result.raise_if_failed()
    assert shown(result) == ["42"]
    assert not [warning for warning in recwarn if "nbformat" in str(warning.filename)]
    assert "Notebook JSON" not in caplog.text


def test_text_that_no_file_can_hold_is_shown_escaped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("print('a\\udcffb \\ud800')"),
            nbformat.v4.new_code_cell("from IPython.display import HTML\nHTML('<p>c\\udcff</p>')"),
        ]
    )
    path = tmp_path / "odd.ipynb"
    nbformat.write(notebook, path)
    result = run_notebook(path, out_dir=tmp_path / "out")
    result.raise_if_failed()
    printed, displayed = (cell.outputs[0] for cell in nbformat.read(result.executed, as_version=4).cells[1:])
    assert printed.text == "a\\udcffb \\ud800\n"
    assert displayed.data["text/html"] == "<p>c\\udcff</p>"
    assert "a\\udcffb" in result.html.read_text()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("given", [{"colour": "red"}, {"count": "many"}, {"influxdb_password": "x"}])
def test_bad_parameters_are_refused_before_a_kernel_starts(
    tmp_path: Path, given: dict[str, str], count_kernels: Callable[[], int]
) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        run("good", tmp_path, **given)
    assert list(tmp_path.iterdir()) == []
    assert count_kernels() == 0


def test_a_folder_that_cannot_be_written_is_refused_before_a_kernel_starts(
    tmp_path: Path, count_kernels: Callable[[], int]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="not a folder"):
        run("good", tmp_path / "file")
    assert count_kernels() == 0


def test_a_python_without_a_kernel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PodlabError, match=r"^/bin/false: no kernel could be started: .*; install podlab\[workbench\]"):
        run("good", tmp_path)


@pytest.fixture
def count_kernels() -> Callable[[], int]:
    """Count the processes that this one has started and that are not yet gone."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    return lambda: len(set(children.read_text().split()) - before)


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and more than an entry that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
