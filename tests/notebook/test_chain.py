"""All notebooks run in order, stop at the first that fails, and never mix two runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from podlab.config import load_settings
from podlab.data.recordings import read_recording
from podlab.errors import InputError, PodlabError
from podlab.files import sha256_of
from podlab.model import bundle
from podlab.notebook.chain import parameters_from, train_all
from podlab.notebook.report import CHAIN, build_report
from tests.notebook.conftest import NOTEBOOKS, SMALL, Whole


def test_all_notebooks_run_to_their_end(whole: Whole) -> None:
    whole.chain.raise_if_failed()
    assert [run.notebook.stem for run in whole.chain.runs] == list(CHAIN)
    assert whole.chain.report == whole.reports / "index.html"
    for name in CHAIN:
        assert json.loads((whole.reports / "results" / f"{name}.json").read_text())["complete"], name
        assert (whole.reports / "notebooks" / f"{name}.html").is_file()
        assert (whole.reports / "notebooks" / f"{name}.ipynb").is_file()
    assert whole.steps[0].startswith("01_collect: ")
    assert set(CHAIN) <= {step.partition(" (")[0] for step in whole.steps}, "each says that it ended"


def test_a_quick_run_says_that_it_is_one_and_takes_what_is_given(whole: Whole, tmp_path: Path) -> None:
    assert whole.chain.report is not None
    assert "A quick run" in whole.chain.report.read_text()
    given = json.loads((whole.reports / "results" / "03_evaluate.json").read_text())["provenance"]
    assert given["recordings"][0]["file"].endswith("samples.parquet"), "not the small recording of the preset"
    reports = tmp_path / "reports"
    shutil.copytree(whole.reports, reports)
    run = json.loads((reports / "run.json").read_text())
    (reports / "run.json").write_text(json.dumps({**run, "quick": False}))
    assert "A quick run" not in build_report(reports).read_text()


def test_each_notebook_hands_its_work_to_the_next(whole: Whole) -> None:
    recorded, collected = whole.folder / "small.parquet", whole.folder / "samples.parquet"
    assert read_recording([collected]).equals(read_recording([recorded]))
    loaded = bundle.load(whole.folder / "model")
    assert loaded.manifest["recordings"][0]["sha256"] == sha256_of(collected)
    assert loaded.manifest["horizons_s"] == [5.0, 10.0]
    assert loaded.library is not None
    measured = loaded.manifest["scores"]
    assert measured["deployments_held_out"]["n_deployments"] == 16
    assert {each["target"] for each in measured["aimed_at_and_reached"]} >= {"Expected calibration error"}
    assert measured["unknown_services"]["left_out"]["all"]["auroc"]["value"] > 0
    assert f"digest {loaded.digest}" in (whole.reports / "index.html").read_text()
    results = json.loads((whole.reports / "results" / "03_evaluate.json").read_text())
    assert [each["horizon_s"] for each in results["facts"]["headlines"]] == [5.0, 10.0]


def test_settings_of_the_user_become_parameters(whole: Whole) -> None:
    assert parameters_from(load_settings(), NOTEBOOKS / "03_evaluate.ipynb") == {}
    settings = load_settings(services="nginx,redis", fetch_window="5m", model_path="data/models/x", training_ratio=0.5)
    found = {name: parameters_from(settings, NOTEBOOKS / f"{name}.ipynb") for name in CHAIN}
    assert found["01_collect"] == {"fetch_window": "5m", "services": ("nginx", "redis")}
    assert found["02_train"] == {"model_path": "data/models/x", "services": ("nginx", "redis")}
    assert found["03_evaluate"] == {"training_ratio": 0.5, "services": ("nginx", "redis")}
    results = json.loads((whole.reports / "results" / "03_evaluate.json").read_text())
    assert results["provenance"]["seed"] == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"colour": "red"}, "unknown parameter 'colour'; they have source, recordings"), ({"folds": "few"}, "'folds'")],
)
def test_bad_parameters_are_refused_before_anything_runs(
    tmp_path: Path, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_all(notebooks_dir=NOTEBOOKS, reports_dir=tmp_path, settings=load_settings(), parameters=parameters)
    assert list(tmp_path.iterdir()) == []


def test_the_first_failure_stops_the_chain_and_is_named(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    (reports / "results").mkdir(parents=True)
    (reports / "results" / "03_evaluate.json").write_text('{"notebook": "03_evaluate"}')
    (reports / "notebooks").mkdir()
    (reports / "notebooks" / "03_evaluate.ipynb").write_text('{"metadata": {"papermill": {}}}')
    (reports / "notebooks" / "03_evaluate.html").write_text("of an earlier run")
    parameters = {
        **SMALL,
        "recordings": str(tmp_path / "nowhere.parquet"),
        "samples": str(tmp_path / "samples.parquet"),
    }
    chain = train_all(notebooks_dir=NOTEBOOKS, reports_dir=reports, settings=load_settings(), parameters=parameters)
    with pytest.raises(
        PodlabError, match=r"01_collect.ipynb: cell 3 failed: InputError: .*nowhere.parquet: no such file"
    ):
        chain.raise_if_failed()
    assert len(chain.runs) == 1
    assert chain.report is None
    assert list(reports.glob("results/*")) == []
    assert [path.name for path in reports.glob("notebooks/*.html")] == ["01_collect.html"]
