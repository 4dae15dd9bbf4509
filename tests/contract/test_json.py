"""The keys and types of what commands print with ``--json``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import ASKED, BUNDLE, DATASET, TRAINING
from tests.contract.golden import HERE, check, shape_of
from tests.support.command import Call

IMPORT = HERE.parents[1] / "docs" / "import"


def _one(call: Call, *words: object, exit_code: int = 0) -> Any:
    done = call(*words, "--json")
    assert (done.exit_code, done.err) == (exit_code, "")
    [line] = done.lines
    return line


def test_fit(call: Call, tmp_path: Path) -> None:
    check("json-fit", shape_of(_one(call, "fit", TRAINING, "--out", tmp_path / "model", "--horizons", "30s")))


def test_models(call: Call, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(BUNDLE, models / "model")
    found = {
        "list": _one(call, "models", "list", models),
        "show": _one(call, "models", "show", models / "model"),
        "verify": _one(call, "models", "verify", models / "model"),
        "promote first": _one(call, "models", "promote", models / "model", "--to", models / "default"),
        "promote again": _one(call, "models", "promote", models / "model", "--to", models / "default"),
    }
    check("json-models", {name: shape_of(value) for name, value in found.items()})


def test_dataset(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    found = {
        "add": _one(call, "dataset", "add", folder, TRAINING),
        "add again": _one(call, "dataset", "add", folder, TRAINING),
        "show": _one(call, "dataset", "show", DATASET),
        "verify": _one(call, "dataset", "verify", DATASET),
        "tidy": _one(call, "dataset", "tidy", folder),
    }
    check("json-dataset", {name: shape_of(value) for name, value in found.items()})


def test_import(call: Call, tmp_path: Path) -> None:
    words = (IMPORT / "docker-stats.jsonl", "--mapping", IMPORT / "docker-stats.toml", "--out", tmp_path / "a.parquet")
    check("json-import", shape_of(_one(call, "import", *words)))


def test_lab(call: Call, tmp_path: Path) -> None:
    listed = _one(call, "lab", "list", TRAINING, ASKED)
    # What a machine lacks, and how many services there are, is no contract.
    listed["machine"] = [sorted(each) for each in listed["machine"][:1]]
    listed["services"] = listed["services"][:1]
    listed["together"] = sorted(listed["together"])
    words = ("--services", "redis", "--per-service", "1", "--out", tmp_path / "manifests")
    made = _one(call, "lab", "manifests", *words)
    made = made | {name: sorted(map(type, value.values()), key=str) == [] for name, value in made.items()
                   if isinstance(value, dict)}  # fmt: skip
    check("json-lab", {"list": shape_of(listed) | {"machine": listed["machine"], "together": listed["together"]},
                       "manifests": shape_of(made)})  # fmt: skip


@pytest.mark.usefixtures("no_folder")
def test_doctor(call: Call) -> None:
    told = _one(call, "doctor", "--influxdb-url", "http://127.0.0.1:1", "--model", BUNDLE, exit_code=1)
    check("json-doctor", shape_of(told))
