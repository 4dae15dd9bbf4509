"""What help looks like, what completion answers, and what both cost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_examples import COMMANDS
from tests.support.command import Call

RUN = "import sys; from podlab.cli import main; sys.exit(main())"


@pytest.mark.parametrize("group", ["models", "dataset", "lab"])
def test_a_group_alone_shows_its_commands(call: Call, group: str) -> None:
    answer = call(group)
    assert (answer.exit_code, answer.out) == (2, "")
    assert answer.err == call(group, "--help").out
    names = [words[1] for words in COMMANDS if words[0] == group]
    assert names
    for name in names:
        assert f"\n  {name} " in answer.err


@pytest.mark.parametrize("group", [(), ("models",), ("dataset",), ("lab",)], ids=" ".join)
def test_no_summary_of_a_command_is_cut_at_80_columns(
    call: Call, group: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = call(*group, "--help").out.partition("\nCommands:\n")[2].splitlines()
    assert len(listed) >= 4
    assert [line for line in listed if not line.endswith(".") or line.endswith("...") or len(line) > 80] == []


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_names_kinds_of_values_in_words_and_has_an_example_on_one_line(call: Call, words: tuple[str, ...]) -> None:
    out = call(*words, "--help").out
    assert not [line for line in out.splitlines() if "list[" in line or " <" in line or "{" in line]
    assert re.search(rf"\nExamples?:\n  podlab {' '.join(words)} ?", out)


def test_one_name_takes_one_kind_of_value_everywhere() -> None:
    kinds: dict[str, set[str | None]] = {}
    for command in COMMANDS.values():
        for given in command.params:
            if given.param_type_name == "option":
                kinds.setdefault(given.opts[0], set()).add(given.metavar)
    different = {name for name, found in kinds.items() if len(found) > 1}
    # What is written, where to, and whether a mapping is short enough for the command line depend on the command.
    assert different == {"--out", "--to", "--mapping"}


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_terminals_and_those_who_want_them(no_color: str) -> None:
    reader, writer = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", RUN, "models", "--help"], stdout=writer, stderr=writer, check=True,
        env={**os.environ, "NO_COLOR": no_color, "TERM": "xterm"},
    )  # fmt: skip
    os.close(writer)
    shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert done.returncode == 0
    assert ("\x1b[" in shown) == (no_color == "")
    assert "promote" in shown


def test_completion_knows_commands_and_options() -> None:
    def complete(line: str) -> list[str]:
        words = line.split(" ")
        given = {"_PODLAB_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        done = subprocess.run(
            [sys.executable, "-c", RUN], env={**os.environ, **given}, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert {"fit", "models", "lab"} <= set(complete("podlab "))
    assert complete("podlab models pro") == ["promote"]
    assert complete("podlab evaluate --hori") == ["--horizons", "--horizon"]
    assert complete("podlab check --format h") == ["html"]


@pytest.mark.parametrize("words", [("--help",), ("models", "--help"), ("score", "--help"), ("evaluate", "--help")])
def test_help_loads_no_library_for_data(words: tuple[str, ...]) -> None:
    heavy = ("numpy", "pandas", "pyarrow", "pydantic", "pydantic_settings", "sklearn", "duckdb", "rich.console")
    code = f"""
import sys
from podlab.cli import main
main({list(words)!r})
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_completion_loads_no_library_for_data() -> None:
    given = {"_PODLAB_COMPLETE": "complete_bash", "COMP_WORDS": "podlab score --ma", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", RUN], env={**os.environ, **given}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["--mapping", "--map"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer.completion" in loaded
    assert not loaded & {"numpy", "pandas", "pyarrow", "pydantic", "rich.console"}


def test_the_format_is_chosen_by_name(call: Call, recording: Path, model: Path) -> None:
    words = ("identify", recording, "--model", model)
    containers = len(call(*words, "--json").lines)
    assert len(call(*words, "--format", "json").lines) == containers
    lines = call(*words, "--format", "csv").out.splitlines()
    assert lines[0] == "namespace,pod,container,seconds,service,confidence,most similar,does"
    assert len(lines) == containers + 1
    page = call(*words, "--format", "html").out
    assert page.startswith("<!doctype html>")
    assert page.count("nginx") >= 1
    assert "://" not in page
    refused = call(*words, "--explain", "--format", "csv")
    assert (refused.exit_code, refused.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(("name", "said"), [("s.txt", "no table is written as .txt"), ("s", "has no suffix")])
def test_a_table_is_written_as_its_suffix_says_or_not_at_all(
    call: Call, recording: Path, model: Path, tmp_path: Path, name: str, said: str
) -> None:
    words = ("score", recording, "--model", model, "--out")
    refused = call(*words, tmp_path / name)
    assert refused.exit_code == 2
    assert f"{said}" in refused.err
    assert list(tmp_path.iterdir()) == []
    assert call(*words, tmp_path / "s.csv").exit_code == 0
    assert (tmp_path / "s.csv").read_text().splitlines()[0].startswith('"time","namespace"')


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["csv", "--json"], "--format csv and --json are two forms; give one of them"),
        (["xml"], "Invalid value for '--format': 'xml' is not one of 'table', 'json', 'csv', 'html'"),
    ],
)
def test_two_formats_and_one_that_there_is_not_are_refused(call: Call, given: list[str], told: str) -> None:
    answer = call("models", "list", ".", "--format", *given)
    assert (answer.exit_code, answer.out) == (2, "")
    assert answer.err.startswith(f"podlab: {told}")
