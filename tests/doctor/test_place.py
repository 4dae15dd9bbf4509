"""What the doctor says of the model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from podlab.config import Settings
from podlab.doctor import check_installation, check_model
from tests.support.bundles import write_bundle


@pytest.mark.parametrize(
    ("detectors", "anomalies", "well"), [(False, True, False), (False, False, True), (True, True, True)]
)
def test_a_model_must_have_detectors_where_anomalies_are_looked_for(
    tmp_path: Path, detectors: bool, anomalies: bool, well: bool
) -> None:
    folder = write_bundle(tmp_path / "model", detectors=detectors)
    info, found = check_model(Settings(model_path=folder, watch_anomalies=anomalies))
    assert info is not None
    assert found.ok is well
    assert ("no detectors" in found.message) is not well
    assert (found.hint == "fit the model again, or leave watch_anomalies off") is not well


@pytest.mark.parametrize(
    ("missing", "ok", "words"),
    [
        ((), True, "workbench complete"),
        (("papermill", "nbconvert", "jupyterlab", "matplotlib", "seaborn", "sklearn"), True, "without the workbench"),
        (("seaborn",), False, "without seaborn"),
    ],
)
def test_a_workbench_is_asked_for_only_where_there_is_a_part_of_one(
    missing: tuple[str, ...], ok: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else object())
    found = check_installation()
    assert (found.ok, found.hint) == (ok, "" if ok else "make setup")
    assert found.message.endswith(words)
