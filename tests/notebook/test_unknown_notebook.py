"""The notebook about what no model knows runs with services kept apart, and with too few to leave any out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podlab import identify
from podlab.data.recordings import write_recording
from podlab.model import bundle
from podlab.notebook.run import run_notebook
from tests.notebook.conftest import NOTEBOOKS
from tests.support.synthetic import make_samples


@pytest.mark.parametrize("services", [("nginx", "mysql", "redis"), ("nginx", "mysql")])
def test_it_hands_on_what_it_found(tmp_path: Path, services: tuple[str, ...]) -> None:
    strange = ("valkey",) if len(services) > 2 else ()
    found = run(tmp_path, services, strange)
    assert found["complete"]
    always = {"novelty", "risk", "pairs", "earliness", "anytime", "explained"}
    if not strange:
        assert set(found["figures"]) == always
        assert found["facts"]["unknown"] == {}
        return
    assert set(found["figures"]) == always | {"roc", "left_out_services", "unknown_services"}
    tables = {"left_out", "unknown", "services", "relatives", "similar", "rules", "evidence", "targets"}
    assert set(found["tables"]) == tables
    facts = found["facts"]
    assert facts["unknown_services"] == ["valkey"]
    assert facts["unknown"]["all"]["n_unknown"] == 4
    assert facts["left_out"]["all"]["n_unknown"] == 12
    assert 0.5 < facts["unknown"]["all"]["auroc"]["value"] <= 1
    near = found["measures"]["AUROC near: unknown services, 12 s"]
    assert near["value"] == facts["unknown"]["near"]["auroc"]["value"]
    assert 0 < facts["anytime"]["median_s"]["value"] <= 12
    assert facts["explained"] == "valkey"
    assert facts["explained_in_words"]


def run(folder: Path, services: tuple[str, ...], strange: tuple[str, ...]) -> dict[str, Any]:
    samples = make_samples(services, deployments_per_service=4, seconds=25)
    recording, kept = folder / "samples.parquet", folder / "unknown.parquet"
    write_recording(samples, recording)
    identifier = identify.fit(samples, horizons_s=(6.0, 12.0), jobs=1)
    bundle.save(identifier, folder / "model", name="small", recordings=[recording], scores={})
    parameters = {
        "samples": str(recording), "model_path": str(folder / "model"), "reports": str(folder / "reports"),
        "horizons": "6s,12s", "horizon": "12s", "look_every": "6s", "folds": "2", "groups": "2",
    }  # fmt: skip
    if strange:
        write_recording(make_samples(strange, deployments_per_service=4, seconds=25, seed=9), kept)
        parameters["unknown_recordings"] = str(kept)
    name = "07_unknown_and_similar"
    run_notebook(NOTEBOOKS / f"{name}.ipynb", parameters, out_dir=folder / "pages").raise_if_failed()
    told: dict[str, Any] = json.loads((folder / "reports" / "results" / f"{name}.json").read_text())
    return told
