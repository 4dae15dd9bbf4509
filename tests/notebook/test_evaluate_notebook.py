"""The notebook about honest scores says at which time they were taken."""

from __future__ import annotations

import json
from pathlib import Path

from podlab.data.recordings import write_recording
from podlab.notebook.run import run_notebook
from tests.notebook.conftest import NOTEBOOKS
from tests.support.synthetic import make_samples


def test_captions_name_the_longest_horizon_whatever_the_order(tmp_path: Path) -> None:
    write_recording(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=12), tmp_path / "a.parquet")
    given = {"samples": str(tmp_path / "a.parquet"), "reports": str(tmp_path), "horizons": "10s,5s", "folds": "2"}
    run_notebook(
        NOTEBOOKS / "03_evaluate.ipynb", given | {"controls": "false", "kinds_horizon": "5s"}, out_dir=tmp_path
    ).raise_if_failed()
    found = json.loads((tmp_path / "results" / "03_evaluate.json").read_text())
    assert found["tables"]["services"]["caption"] == "Each service after 10 s."
    assert "after 10 s" in found["figures"]["confusion"]["caption"]
