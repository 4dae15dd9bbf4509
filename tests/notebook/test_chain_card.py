"""What notebooks measured of a model goes into its bundle, and nothing that they measured of another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from podlab.missing_columns import SCORE, cost_of
from podlab.model import bundle
from podlab.notebook.chain import put_on_card
from tests.support.models import small_identifier

ROW = {
    "group": "fewer columns", "condition": "no I/O", "containers": "all", "horizon_s": 60.0, "n_deployments": 420,
    "macro_f1": 0.97, "lost": 0.012, "lost_low": 0.004, "lost_high": 0.02, "guess_lost": 0.003, "worst_draw": None,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model trained on a recording, and results of a notebook on the same."""
    recording = tmp_path / "a.parquet"
    recording.write_bytes(b"rows")
    bundle.save(small_identifier(), tmp_path / "model", name="small", recordings=[recording])
    [entry] = bundle.verify(tmp_path / "model").manifest["recordings"]
    rows = [ROW, ROW | {"containers": "idle"}, ROW | {"group": "mid-run"}, ROW | {"condition": "memory", "lost": None}]
    results = {"facts": {"conditions": {"conditions": rows}}, "provenance": {"recordings": [entry]}}
    (tmp_path / "reports" / "results").mkdir(parents=True)
    (tmp_path / "reports" / "results" / "06_identify.json").write_text(json.dumps(results))
    return tmp_path


def test_what_fewer_columns_cost_is_on_the_card_and_read_from_it(folder: Path) -> None:
    info = put_on_card(folder / "model", folder / "reports")
    [row] = info.manifest["scores"][SCORE]
    assert row["families"] == ["cpu", "memory", "network", "filesystem", "volume"]
    assert "idle" not in str(row)
    assert "fewer_columns" in info.card
    cost = cost_of(bundle.load(folder / "model").info, ["io_read_bytes", "io_write_bytes"])
    assert (cost.measured, cost.exact, cost.lost) == ("no I/O", True, 0.012)


def test_results_of_another_recording_are_left_out(folder: Path) -> None:
    path = folder / "reports" / "results" / "06_identify.json"
    results = json.loads(path.read_text())
    results["provenance"]["recordings"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(results))
    assert SCORE not in put_on_card(folder / "model", folder / "reports").manifest["scores"]
