"""What work costs by size: copies are like the recording, and the notebook projects what it measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from podlab import identify
from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.data.recordings import write_recording
from podlab.data.samples import INSTANCE_KEY, is_sound
from podlab.detect import fit_library
from podlab.model import bundle
from podlab.notebook.run import run_notebook
from podlab.notebook.scaling import many_containers
from tests.notebook.conftest import NOTEBOOKS
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    return make_samples(("nginx", "mysql", "redis"), deployments_per_service=3, seconds=20)


@pytest.mark.parametrize("number", [2, 9, 25])
def test_copies_are_as_many_as_asked_and_like_the_recording(samples: pd.DataFrame, number: int) -> None:
    copies = many_containers(samples, number)
    assert is_sound(copies)
    lives = copies.groupby(list(INSTANCE_KEY), dropna=False)
    assert (lives.ngroups, lives.size().tolist()) == (number, [20] * number)
    origin = copies["pod"].str.rpartition("-")[0]
    assert set(origin) <= set(samples["pod"])
    own = samples.set_index("pod").loc[origin.unique()]
    assert copies.groupby(origin)["rx_bytes"].max().gt(0).all()
    ages = (copies["time"] - copies["started_at"]).dt.total_seconds()
    assert ages.max() == pytest.approx((own["time"] - own["started_at"]).dt.total_seconds().max())
    for name in (each for each in ORIGINAL_METRICS if CATALOGUE[each].kind == "counter"):
        assert (lives[name].diff().dropna() >= 0).all(), name  # a counter that falls is a restart
    assert not np.allclose(copies["memory_rss_bytes"], samples["memory_rss_bytes"].iloc[: len(copies)].mean())


def test_the_notebook_measures_projects_and_hands_on(samples: pd.DataFrame, tmp_path: Path) -> None:
    recording = tmp_path / "samples.parquet"
    write_recording(samples, recording)
    identifier = identify.fit(samples, horizons_s=(10.0,), jobs=1)
    model = {"name": "small", "recordings": [recording], "scores": {}, "library": fit_library(samples)}
    bundle.save(identifier, tmp_path / "model", **model)
    parameters = {
        "samples": str(recording), "model_path": str(tmp_path / "model"), "reports": str(tmp_path / "reports"),
        "most_rows": "600", "most_containers": "30",
    }  # fmt: skip
    run_notebook(NOTEBOOKS / "10_scale.ipynb", parameters, out_dir=tmp_path / "pages").raise_if_failed()
    found: dict[str, Any] = json.loads((tmp_path / "reports" / "results" / "10_scale.json").read_text())
    assert found["complete"]
    assert (set(found["figures"]), set(found["tables"])) == ({"scaling"}, {"growth", "projection"})
    assert [row[0] for row in found["tables"]["growth"]["rows"]] == [
        "identify a data set",
        "decide at once",
        "score one time step",
        "train a model",
    ]
    measured_at = {row[0]: row[2] for row in found["tables"]["growth"]["rows"]}
    assert measured_at["identify a data set"].endswith("600")
    assert measured_at["decide at once"] == "2 to 30"
    assert found["facts"]["bytes_per_row"] > 10
    loads = {row[0]: row[1] for row in found["tables"]["projection"]["rows"]}
    assert loads["identify a data set"] == "10,000,000,000 rows"
    assert loads["watcher: decide"] == "1,000,000 containers"
