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
from podlab.notebook.project import enter_project, find_root
from podlab.notebook.results import Results, plain, read_results


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
    }
    results.figure("curve", draw(), "A line.")
    results.finish()
    found = read_results(tmp_path)["03_evaluate"]
    assert found["complete"]
    assert found["figures"]["curve"] == {"file": "03_evaluate-curve.svg", "caption": "A line."}
    assert found["provenance"]["seed"] == 7
    assert (tmp_path / "figures" / "03_evaluate-curve.svg").read_text().startswith("<?xml")


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
    with pytest.raises(TypeError, match="cannot hand on a object"):
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
    assert enter_project() == tmp_path
    assert Path.cwd() == tmp_path
