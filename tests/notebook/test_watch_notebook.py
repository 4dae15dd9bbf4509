"""The notebook about a watcher's decisions runs to its end and hands on what it found."""

from __future__ import annotations

import json
from pathlib import Path

from podlab.data.recordings import write_recording
from podlab.notebook.run import run_notebook
from tests.notebook.conftest import NOTEBOOKS
from tests.support.decisions import line, write_log
from tests.support.synthetic import make_samples


def test_it_shows_decisions_beside_the_truth(tmp_path: Path) -> None:
    samples = make_samples(deployments_per_service=2, seconds=5)
    write_recording(samples, tmp_path / "truth.parquet")
    said = []
    for number, one in enumerate(samples.drop_duplicates("pod").itertuples()):
        answer = one.service if number else "miner"
        said.append(line(one.pod, 5.0 + number, answer, namespace=one.namespace, container=one.container))
    write_log(tmp_path / "watch.log", *said)
    parameters = {
        "decisions": str(tmp_path / "watch.log"),
        "samples": str(tmp_path / "truth.parquet"),
        "reports": str(tmp_path / "reports"),
    }
    run_notebook(NOTEBOOKS / "08_watch.ipynb", parameters, out_dir=tmp_path / "pages").raise_if_failed()
    found = json.loads((tmp_path / "reports" / "results" / "08_watch.json").read_text())
    assert found["complete"]
    assert found["facts"]["containers"] == samples["pod"].nunique()
    assert found["facts"]["right"] == round(1 - 1 / samples["pod"].nunique(), 4)
    assert set(found["figures"]) == {"outcomes", "lanes"}
    assert set(found["tables"]) == {"services", "mistakes"}
