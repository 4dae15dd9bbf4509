"""What a notebook hands on is written whole, in plain values, without secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from podlab.errors import InputError
from podlab.evaluation.metrics import Estimate
from podlab.notebook.results import RUN_VARIABLE, Results, enter_project, find_root, plain, read_results


@pytest.fixture(autouse=True)
def a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_VARIABLE, "abc")


def draw() -> Figure:
    figure = Figure()
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


def test_results_are_there_after_each_call(tmp_path: Path) -> None:
    results = Results("03_evaluate", tmp_path, seed=7)
    results.facts(share=np.float32(0.5), none=float("nan"))
    results.table("scores", pd.DataFrame({"who": ["a", None], "value": [1.0, np.nan], "n": [1, 2]}), "Caption.")
    found = read_results(tmp_path)["03_evaluate"]
    assert not found["complete"]
    assert found["facts"] == {"share": 0.5, "none": None}
    assert found["tables"]["scores"] == {
        "caption": "Caption.",
        "columns": ["who", "value", "n"],
        "rows": [["a", 1.0, 1], [None, None, 2]],
        "fold": False,
    }
    results.figure("curve", draw(), "A line.")
    results.finish()
    found = read_results(tmp_path)["03_evaluate"]
    assert found["complete"]
    assert found["figures"]["curve"] == {"file": "03_evaluate-curve.svg", "caption": "A line."}
    assert found["provenance"]["seed"] == 7
    assert found["run"] == "abc"
    assert found["order"] == [["tables", "scores"], ["figures", "curve"]]
    assert (tmp_path / "figures" / "03_evaluate-curve.svg").read_text().startswith("<?xml")


def test_cells_run_by_hand_show_their_results_and_keep_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Results("03_evaluate", tmp_path).finish()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.delenv(RUN_VARIABLE)
    results = Results("03_evaluate", tmp_path)
    results.facts(share=0.5)
    results.measure("macro-F1", 0.5)
    results.table("scores", pd.DataFrame({"a": [1]}), "A number.")
    results.figure("curve", draw(), "A line.")
    results.finish()
    assert "only shown" in repr(results)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert results.output("data/models/default") == tmp_path / "scratch" / "default"
    assert "not to data/models/default" in capsys.readouterr().out


def test_a_run_writes_where_its_parameters_say(tmp_path: Path) -> None:
    assert Results("02_train", tmp_path).output("data/models/default") == Path("data/models/default")


def test_targets_are_compared_with_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "targets.toml").write_text(
        '[[target]]\nname = "Macro-F1"\nnotebook = "n"\nmeasure = "f1"\nat_least = 0.8\n'
        '[[target]]\nname = "Seconds"\nnotebook = "n"\nmeasure = "s"\nat_most = 20\n'
        '[[target]]\nname = "Coverage"\nnotebook = "n"\nmeasure = "c"\nat_least = 0.94\nat_most = 0.97\n'
        '[[target]]\nname = "Elsewhere"\nnotebook = "m"\nmeasure = "f1"\nat_least = 0.8\n'
    )
    results = Results("n", tmp_path)
    results.measure("f1", Estimate(0.9, 0.85, 0.95), deployments=7)
    results.measure("s", 31.0)
    results.targets()
    assert read_results(tmp_path)["n"]["tables"]["targets"]["rows"] == [
        ["Seconds", "at most 20", "✗ no", "31.0", "-", "-", None],
        ["Coverage", "0.94 to 0.97", "not measured", "-", "-", "-", None],
        ["Macro-F1", "at least 0.80", "✓ yes", "0.90", "0.85 to 0.95", "-", 7],
    ]


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Results("n", tmp_path / name).figure("line", draw(), "A line.")
    first, second = ((tmp_path / name / "figures" / "n-line.svg").read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize("name", ["INFLUXDB_PASSWORD", "INFLUXDB_TOKEN", "PROMETHEUS_PASSWORD", "PROMETHEUS_TOKEN"])
def test_secrets_are_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"PODLAB_{name}", "hunter2&co")
    figure = draw()
    figure.suptitle("hunter2&co")
    results = Results("n", tmp_path)
    results.facts(error="refused hunter2&co")
    results.table("t", pd.DataFrame({"url": ["http://host/?p=hunter2%26co"]}), "With hunter2&co in it.")
    results.figure("f", figure, "With hunter2&co in it.")
    for path in tmp_path.rglob("*.*"):
        assert "hunter2" not in path.read_text(), path


def test_plain_values() -> None:
    given = {"t": datetime(2026, 1, 5, tzinfo=UTC), 2: (1, np.int64(2)), "p": Path("a/b"), "x": [pd.NA, np.inf, True]}
    assert plain(given) == {"t": "2026-01-05T00:00:00+00:00", "2": [1, 2], "p": "a/b", "x": [None, None, True]}
    json.dumps(plain(given), allow_nan=False)
    with pytest.raises(TypeError, match="cannot keep a object"):
        plain(object())


def test_recordings_are_named_by_digest_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"abc")
    Results("n", tmp_path, recordings=[tmp_path / "a.parquet"])
    (recording,) = read_results(tmp_path)["n"]["provenance"]["recordings"]
    assert recording["file"] == "a.parquet"
    assert recording["sha256"].startswith("ba7816bf")
    with pytest.raises(InputError, match=r"nowhere.parquet: no such file"):
        Results("n", tmp_path, recordings=[tmp_path / "nowhere.parquet"])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a part of the path is a file"):
        Results("n", tmp_path / "file")


def test_the_project_is_entered_from_any_folder_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.chdir(tmp_path / "notebooks")
    assert find_root(Path()) == tmp_path
    enter_project()
    assert Path.cwd() == tmp_path
