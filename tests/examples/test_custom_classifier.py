"""The example of a classifier of one's own: it is fitted, cross-validated, saved and loaded in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from podlab.data.recordings import read_recording
from podlab.errors import InputError
from podlab.identify import storage
from podlab.model import bundle

ROOT = Path(__file__).parents[2]
TRAINING = ROOT / "tests/contract/fixtures/train.parquet"


def test_the_notebook_runs_and_its_model_loads_where_the_class_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples/custom_classifier.ipynb", as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = f"recording = {str(TRAINING)!r}\nfolder = {str(tmp_path / 'model')!r}"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert re.search(r"\d+% of the best guesses are right", shown)
    assert "logistic@" in shown

    with pytest.raises(InputError, match="unknown kind 'logistic'") as caught:
        bundle.load(tmp_path / "model")
    assert "register_classifier" in str(caught.value)
    monkeypatch.setattr(storage.CLASSIFIERS, "_codecs", {})
    space = {"__name__": "example"}
    saving = next(cell.source for cell in notebook.cells if "register_classifier" in cell.source)
    exec("import podlab\nfrom sklearn.linear_model import LogisticRegression\n" + saving.split("podlab.save")[0], space)
    identifier = bundle.load(tmp_path / "model").identifier
    samples = read_recording(TRAINING)
    found = identifier.predict(samples, horizon_s=10.0)
    truth = samples.groupby("pod_uid", sort=False)["service"].first().to_numpy()
    assert (found.filter(regex="^p_").idxmax(axis=1).str.removeprefix("p_").to_numpy() == truth).mean() > 0.8
