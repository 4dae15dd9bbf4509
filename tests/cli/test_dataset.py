"""`podlab dataset`, and that what takes a FILE takes the folder of a data set as well."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.cli import main
from podlab.data.recordings import read_recording
from tests.data.store.test_tidy import kill_a_writer
from tests.support.command import Call


@pytest.fixture(scope="module")
def fleet(other_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset") / "fleet"
    assert main(["dataset", "add", str(folder), str(other_recording)]) == 0
    return folder


def test_add_shows_what_it_did_and_adds_a_file_once(call: Call, other_recording: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    rows = len(read_recording([other_recording]))
    first = call("dataset", "add", fleet, other_recording, "--json")
    assert first.lines == [{"file": str(other_recording), "added": True, "rows": rows, "partitions": 1}]
    assert call("dataset", "add", fleet, other_recording).out == f"{other_recording}: was added before, skipped\n"
    told = call("dataset", "show", fleet, "--json").lines[0]
    assert (told["rows"], told["folder"]) == (rows, str(fleet))
    assert told["clusters"][0].items() >= {"cluster": "local", "since": "2026-01-05", "rows": rows}.items()
    assert f"local    2026-01-05  2026-01-05           1   {rows}" in call("dataset", "show", fleet).out
    assert call("dataset", "verify", fleet).out == f"{fleet}: valid, 1 file, {rows} rows\n"


def test_identify_says_the_same_of_the_folder(call: Call, other_recording: Path, fleet: Path, model: Path) -> None:
    of_file = call("identify", other_recording, "--model", model, "--json").lines
    of_folder = call("identify", fleet, "--model", model, "--json").lines
    assert len(of_file) == 8
    assert of_folder == of_file


def test_score_gives_the_same_scores(
    call: Call, other_recording: Path, fleet: Path, model: Path, tmp_path: Path
) -> None:
    for name, recording in (("file.parquet", other_recording), ("folder.parquet", fleet)):
        assert call("score", recording, "--model", model, "--out", tmp_path / name).exit_code == 0
    scores = pd.read_parquet(tmp_path / "file.parquet")
    assert len(scores) == len(read_recording([other_recording]))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "folder.parquet"), scores)


def test_fit_learns_the_same_model(call: Call, recording: Path, model: Path, tmp_path: Path) -> None:
    call("dataset", "add", tmp_path / "fleet", recording)
    fitted = call("fit", tmp_path / "fleet", "--out", tmp_path / "model", "--horizons", "10s,30s", "--json").lines[0]
    known = call("models", "show", model, "--json").lines[0]
    assert {**fitted["files"], "MODEL_CARD.md": ""} == {**known["files"], "MODEL_CARD.md": ""}
    assert fitted["recordings"] == [
        {
            "name": "fleet",
            "sha256": call("dataset", "verify", tmp_path / "fleet", "--json").lines[0]["digest"],
            "size_bytes": sum(path.stat().st_size for path in (tmp_path / "fleet").rglob("*.parquet")),
        }
    ]


def test_scores_are_never_written_into_a_data_set(call: Call, fleet: Path, model: Path) -> None:
    answer = call("score", fleet, "--model", model, "--out", fleet / "scores.parquet")
    assert answer.exit_code == 2
    assert "is an input as well" in answer.err
    assert call("dataset", "verify", fleet).exit_code == 0


@pytest.mark.parametrize("command", ["identify", "score", "fit", "evaluate", "replay"])
def test_a_changed_partition_is_one_clear_line(
    call: Call, other_recording: Path, model: Path, tmp_path: Path, command: str
) -> None:
    call("dataset", "add", tmp_path / "fleet", other_recording)
    path = next((tmp_path / "fleet").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-7])
    options = {
        "identify": ("--model", model), "score": ("--model", model, "--out", tmp_path / "out.parquet"),
        "fit": ("--out", tmp_path / "out"),
    }  # fmt: skip
    answer = call(command, tmp_path / "fleet", *options.get(command, ()))
    assert answer.exit_code == 2
    assert answer.err.startswith(f"podlab: {path}: is torn: ")
    assert answer.err.count("\n") == 1
    assert list(tmp_path.glob("out*")) == []


def test_a_file_is_no_folder_to_add_to(call: Call, recording: Path, other_recording: Path) -> None:
    answer = call("dataset", "add", recording, other_recording)
    assert answer.exit_code == 2
    assert "is a file, a folder is needed" in answer.err


def test_a_data_set_is_not_added_to_itself(call: Call, other_recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    call("dataset", "add", folder, other_recording)
    rows = call("dataset", "show", folder, "--json").lines
    for file in (folder, next(folder.rglob("*.parquet"))):
        answer = call("dataset", "add", folder, file)
        assert answer.exit_code == 2
        assert answer.err == f"podlab: {file}: is in the data set already; name other recordings\n"
    assert call("dataset", "show", folder, "--json").lines == rows


def test_tidy_shows_and_removes_what_a_killed_writer_left(call: Call, other_recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    call("dataset", "add", folder, other_recording)
    kill_a_writer(folder)
    whole = call("dataset", "show", folder).out
    assert call("dataset", "tidy", folder).out == f"{folder}: 0 files, 0 bytes removed\n"  # it may be at work
    shown = call("dataset", "tidy", folder, "--older-than", "1ms", "--dry-run", "--json").lines[0]
    assert (len(shown["files"]), shown["removed"]) == (2, False)
    assert call("dataset", "tidy", folder, "--older-than", "1ms").out.endswith(
        f"{folder}: 2 files, {shown['bytes']} bytes removed\n"
    )
    assert not [each["file"] for each in shown["files"] if (folder / each["file"]).exists()]
    assert call("dataset", "show", folder).out == whole
    wrong = call("dataset", "tidy", folder, "--older-than", "7")
    assert (wrong.exit_code, wrong.err) == (
        2,
        "podlab: --older-than: '7' is not a duration; write it with a unit, such as 60s or 10m\n",
    )
