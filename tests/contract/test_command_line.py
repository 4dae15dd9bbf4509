"""Commands, their options, and what they return."""

from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.contract.golden import check
from tests.contract.support import app


def _parameter(given: Any) -> dict[str, object]:
    default = given.default
    if isinstance(default, enum.Enum):
        default = default.value
    elif isinstance(default, Path):
        default = str(default)
    choices = getattr(given.type_descriptor, "choices", None)
    return {
        "kind": given.param_type_name,
        "names": [*given.opts, *given.secondary_opts],
        "required": given.required,
        "default": default,
        "many": given.multiple or given.nargs != 1,
        "flag": bool(getattr(given, "is_flag", False)),
        "choices": None if choices is None else [str(getattr(each, "value", each)) for each in choices],
        "min": getattr(given, "min", None),
        "max": getattr(given, "max", None),
    }


def _commands(command: Any, name: str) -> dict[str, object]:
    own = {each.name: _parameter(each) for each in command.params if each.name != "help"}
    found: dict[str, object] = {name: own}
    for word, inner in getattr(command, "commands", {}).items():
        found |= _commands(inner, f"{name} {word}")
    return found


def test_every_command_has_the_options_it_had() -> None:
    check("command-line", _commands(typer.main.get_command(app), "podlab"))


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["--version"], 0),
        (["doctor", "--source", "influxdb", "--influxdb-url", "http://127.0.0.1:1"], 1),
        (["identify", "nowhere.parquet", "--model", "nowhere"], 2),
        (["identify", "--no-such-option"], 2),
    ],
)
def test_exit_codes_of_the_installed_command(words: list[str], exit_code: int, tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "podlab"
    done = subprocess.run([command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code
    if exit_code == 2:
        [line] = done.stderr.splitlines()
        assert line.startswith("podlab: ")
        assert done.stdout == ""
