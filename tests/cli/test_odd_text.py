"""Names and answers that cannot be written where they go: one clear line, or escaped, never a traceback or a loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podlab.data.recordings import read_recording, write_recording

CALL = [sys.executable, "-c", "import sys; from podlab.cli import main; sys.exit(main())"]


def podlab(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    given = [word if isinstance(word, bytes) else str(word) for word in words]
    return subprocess.run(
        [*CALL, *given], capture_output=True, timeout=120, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "words",
    [
        ("identify", b"b\xff.parquet"), ("score", "a.parquet", "--out", b"b\xff.parquet"),
        ("import", b"b\xff.csv", "--mapping", "m.toml", "--out", "o.parquet"), ("dataset", "show", b"\xfe"),
    ],
)  # fmt: skip
def test_a_path_that_is_no_text_is_one_line(words: tuple[object, ...]) -> None:
    done = podlab(*words)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode("ascii").endswith("is not UTF-8 text; rename the file\n")
    assert done.stderr.count(b"\n") == 1


@pytest.fixture
def odd(other_recording: Path, tmp_path: Path) -> Path:
    samples = read_recording([other_recording])
    write_recording(
        samples[samples["pod"] == samples["pod"].iloc[0]].assign(namespace="größe-日本"), tmp_path / "u.parquet"
    )
    return tmp_path / "u.parquet"


def test_a_name_neither_ends_a_row_nor_commands_the_terminal(odd: Path, model: Path) -> None:
    write_recording(read_recording([odd]).assign(pod="a\nb\x1b[31m"), odd)
    done = podlab("identify", odd, "--model", model)
    [_, row] = done.stdout.decode().splitlines()
    assert "a\\nb\\x1b[31m" in row
    assert done.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_answers_on_a_terminal_that_lacks_their_letters(odd: Path, model: Path, encoding: str) -> None:
    words = ("identify", odd, "--model", model)
    done = podlab(*words, "--json", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    [line] = done.stdout.decode(encoding).splitlines()
    assert json.loads(line)["namespace"] == "größe-日本"
    assert ("größe" in line) == (encoding == "utf-8")
    table = podlab(*words, PYTHONIOENCODING=encoding)
    assert (table.returncode, table.stderr) == (0, b"")
    assert "gr" in table.stdout.decode(encoding)
