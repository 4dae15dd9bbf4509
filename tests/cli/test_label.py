"""`podlab label` and what follows: a label table, and a model adapted to it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.cli import label as command
from podlab.data.labels import read_label_table
from podlab.data.recordings import write_recording
from tests.support.command import Call
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.Series]:
    """A recording without labels, of services of which one is new to the model; and what they are."""
    samples = make_samples(("nginx", "mysql", "mongodb"), deployments_per_service=3, seconds=70, seed=31)
    path = tmp_path_factory.mktemp("own") / "own.parquet"
    write_recording(samples.drop(columns=["service", "deployment"]), path)
    return path, samples.drop_duplicates("pod").set_index("pod")["service"]


def test_labels_filled_in_adapt_a_model(
    call: Call, unlabelled: tuple[Path, pd.Series], model: Path, tmp_path: Path
) -> None:
    path, service = unlabelled
    table = tmp_path / "labels.csv"
    done = call("label", path, "--model", model, "--number", 4, "--out", table, "--json")
    assert done.exit_code == 0
    assert [line["pod"] for line in done.lines] == pd.read_csv(table)["pod"].tolist()
    assert len(done.lines) == 4
    empty = call("fit", path, "--base", model, "--label-table", table, "--out", tmp_path / "mine")
    assert (empty.exit_code, empty.out) == (2, "")
    assert "row 0: the service is empty; name it or remove the row" in empty.err
    filled = pd.read_csv(table).drop(columns="service")
    filled.assign(service=service[filled["pod"]].to_numpy()).to_csv(table, index=False)
    done = call("fit", path, "--base", model, "--label-table", table, "--out", tmp_path / "mine", "--json")
    assert done.exit_code == 0
    (line,) = done.lines
    assert line["base"]["name"] == "small"
    assert "mongodb" in line["services"]
    answers = call("identify", path, "--model", tmp_path / "mine", "--json").lines
    hits = [next(iter(answer["candidates"])) == service[answer["pod"]] for answer in answers]
    assert sum(hits) >= 8
    again = call("label", path, "--model", model, "--label-table", table, "--number", 9, "--json").lines
    assert not {line["pod"] for line in again} & set(filled["pod"])
    assert len(again) == 5


def test_a_terminal_asks(
    call: Call, unlabelled: tuple[Path, pd.Series], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = unlabelled
    answers = iter(["2", "mongodb", "", "q"])
    monkeypatch.setattr(command.typer, "prompt", lambda *_, **__: next(answers))
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(getattr(command.sys, stream), "isatty", lambda: True, raising=False)
    table = tmp_path / "labels.csv"
    done = call("label", path, "--model", model, "--number", 5, "--out", table)
    assert done.exit_code == 0
    written = read_label_table(table)
    assert len(written) == 2
    assert written["service"].iloc[1] == "mongodb"


def test_mistakes_are_one_line(call: Call, recording: Path, model: Path, tmp_path: Path) -> None:
    done = call("label", recording, "--model", model)
    assert (done.exit_code, done.out) == (2, "")
    assert "no container is left to label" in done.err
    (tmp_path / "other.csv").write_text("pod,service\nnobody,nginx\n")
    done = call("fit", recording, "--base", model, "--label-table", tmp_path / "other.csv", "--out", tmp_path / "m")
    assert "label table: names none of the containers" in done.err
    done = call("fit", recording, "--base", model, "--horizons", "5s", "--out", tmp_path / "m")
    assert "--base: has horizons of its own; leave out --horizons" in done.err
    assert not (tmp_path / "m").exists()


def test_the_worth_of_labels_is_shown(call: Call, recording: Path, model: Path) -> None:
    words = ("evaluate", recording, "--base", model, "--labels", "1,2", "--horizons", "30s", "--json")
    (lines,) = call(*words).lines
    assert [(line["labels"], line["model"]) for line in lines] == [
        (0, "base model"),
        (1, "own labels alone"),
        (1, "base and own labels"),
        (2, "own labels alone"),
        (2, "base and own labels"),
    ]
    assert all(line["macro_f1_low"] <= line["macro_f1"] <= line["macro_f1_high"] for line in lines)
    refused = call(*words[:5], "x")
    assert refused.exit_code == 2
