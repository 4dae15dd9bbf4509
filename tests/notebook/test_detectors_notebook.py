"""The notebook about detectors hands on what the report shows; without faults it runs in the whole chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from podlab import identify
from podlab.data.recordings import write_recording
from podlab.detect import fit_library
from podlab.model import bundle
from podlab.notebook.chain import put_on_card
from podlab.notebook.run import run_notebook
from tests.detect.conftest import leak
from tests.notebook.conftest import NOTEBOOKS
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "mysql", "redis")


def test_it_tells_faults_and_what_each_way_to_a_detector_is_worth(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found["complete"]
    assert set(found["figures"]) == {"example", "minutes", "kinds", "transfer"}
    assert set(found["tables"]) == {
        "loads", "rivals", "bands", "ahead", "kinds", "parts", "end_to_end", "targets",
    }  # fmt: skip
    lines = {row[0]: row for row in found["tables"]["rivals"]["rows"]}
    assert float(lines["reused"][1].split()[0]) > 0.9  # such a leak is hard to miss
    assert float(lines["constant score"][1].split()[0]) < 0.5
    assert lines["constant score"][2].startswith("0.50")
    assert found["facts"]["faults"] == 3
    measures = found["measures"]
    assert measures["faults found"]["value"] > 0.9
    assert 0 <= measures["median delay, s"]["value"] < 20
    assert 0 < measures["VUS-PR relative to own long history"]["value"] < 2
    assert measures["false alarms per container start"]["low"] is not None
    targets = {row[0]: row[2] for row in found["tables"]["targets"]["rows"]}
    assert targets["Faults found"] == "? not decided"  # three of three prove little
    assert "detectors" not in bundle.load(tmp_path / "model").manifest["scores"], "a single notebook changes no model"
    on_card = put_on_card(tmp_path / "model", tmp_path / "reports").manifest["scores"]["detectors"]
    assert {row["target"]: row["reached"] for row in on_card["aimed_at_and_reached"]} == targets
    assert (on_card["faults"], on_card["deployments"]) == (3, 3)
    assert set(on_card["per_day"]) >= {"value", "low", "high"}


def run(folder: Path) -> dict[str, Any]:
    samples = make_samples(SERVICES, deployments_per_service=4, seconds=150, interval_s=2.0)
    recording, faults = folder / "samples.parquet", folder / "faults.parquet"
    write_recording(samples, recording)
    identifier = identify.fit(samples, horizons_s=(10.0,), jobs=1)
    library = fit_library(samples)
    bundle.save(identifier, folder / "model", name="small", recordings=[recording], scores={}, library=library)
    parameters = {
        "samples": str(recording), "fault_recordings": str(faults), "model_path": str(folder / "model"),
        "reports": str(folder / "reports"),
    }  # fmt: skip
    broken = leak(make_samples(SERVICES, deployments_per_service=1, seconds=110, seed=5), begin_s=80)
    broken["anomaly_kind"] = pd.Series("memory-leak", index=broken.index).where(broken["anomaly"])
    write_recording(broken, faults)
    name = "09_detectors"
    run_notebook(NOTEBOOKS / f"{name}.ipynb", parameters, out_dir=folder / "pages").raise_if_failed()
    told: dict[str, Any] = json.loads((folder / "reports" / "results" / f"{name}.json").read_text())
    return told
