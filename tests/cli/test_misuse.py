"""What every command says when it is called wrongly: one line that a user can act on, and no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from podlab.cli import main
from tests.support.command import Call


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("collect", "--out", "x.parquet", "--since", "600"), "--since"),
        (("collect", "--out", "x.parquet", "--since", "99999999999d"), "--since"),
        (("collect", "--out", "x.parquet", "--interval", "60"), "--interval"),
        (("collect", "--out", "x.parquet", "--influxdb-url", "here"), "--influxdb-url"),
        (("evaluate", "x.parquet", "--iterations", "100000"), "--iterations"),
        (("evaluate", "x.parquet", "--training-ratio", "2"), "--training-ratio"),
        (("watch", "--sinks", "nobody"), "--sinks"),
    ],
)
def test_a_bad_value_is_told_by_the_option_that_it_was_given_with(
    call: Call, words: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = call(*words)
    assert called.exit_code == 2
    assert called.err.startswith(f"podlab: {option}: ")
    assert option in call(words[0], "--help").out


@pytest.mark.parametrize(
    "words", [("import", "a", "--mapping", "m", "--out", "x.csv"), ("run", "x.ipynb"), ("doctor",)]
)
def test_a_working_folder_that_is_gone_is_one_line(
    call: Call, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    called = call(*words)
    assert called.exit_code == 2
    assert called.err == "podlab: the working folder is gone; change into another one\n"


@pytest.mark.parametrize(
    "words", [("lab", "list"), ("lab", "list", "--json"), ("--version",), ("models", "list", "/nowhere")]
)
def test_output_that_was_closed_is_discarded(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(words) == (2 if "/nowhere" in words else 0)


def test_a_number_of_cores_that_is_none_is_told_by_its_variable(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "all")
    called = call("fit", "x.parquet", "--out", "model")
    assert called.exit_code == 2
    assert called.err == "podlab: LOKY_MAX_CPU_COUNT: is not a number of cores; correct or unset it\n"


@pytest.mark.parametrize("words", [("--version",), ("lab", "list", "--json"), ("lab", "list")])
def test_output_into_a_file_on_a_full_disk_is_told_in_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", "import sys; from podlab.cli import main; sys.exit(main())", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "podlab: output or temporary files: the disk is full; free some space\n"
    assert done.returncode == 2


def test_an_output_that_cannot_be_is_refused_before_any_work(
    call: Call, recording: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("podlab.identify.fit", lambda *_, **__: pytest.fail("it began to train"))
    monkeypatch.setattr("podlab.live.live_source", lambda *_, **__: pytest.fail("it began to collect"))
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    for words, said in (
        (("fit", recording, "--out", "bad name"), "'bad name' is not a valid name for a model"),
        (("fit", recording, "--out", "folder"), "holds something else than a model"),
        (("fit", recording, "--out", "file/model"), "is a file, not a folder"),
        (("collect", "--out", "file/x.parquet"), "is a file, not a folder"),
        (("collect", "--out", "x.parquet", "--label-table", "nowhere.csv"), "nowhere.csv: no such file"),
        (("collect", "--out", "x.parquet", "--label-table", "file"), "file: is neither CSV nor Parquet"),
        (("score", recording, "--model", model, "--out", model / "scores.parquet"), "is an input as well"),
    ):
        answer = call(*words)
        assert answer.exit_code == 2, answer
        assert said in answer.err
        assert answer.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "mine"]
    assert call("models", "verify", model).exit_code == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_says_so_and_leaves_nothing(
    recording: Path, model: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    code = f"""
import os, signal, sys
from podlab.cli import main
from podlab.data import recordings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background is deaf to it, and its children
recordings.read_recording = lambda files: os.kill(os.getpid(), {int(sent)})  # as it begins to write
sys.exit(main())
"""
    command = [sys.executable, "-c", code, "score", recording, "--model", model, "--out", tmp_path / "scores.parquet"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "podlab: stopped\n")
    assert list(tmp_path.iterdir()) == []
