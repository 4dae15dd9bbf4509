"""Files on disk: what podlab writes today has the form of what it wrote before, which loads."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.contract.conftest import ASKED, BUNDLE, DATASET, TRAINING
from tests.contract.golden import HERE, check, shape_of
from tests.support.command import Call


def _form_of_bundle(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            found[path.name] = shape_of(json.loads(path.read_text(encoding="utf-8")))
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found[path.name] = {name: f"{arrays[name].dtype} {arrays[name].ndim}d" for name in sorted(arrays)}
        else:
            text = path.read_text(encoding="utf-8")
            found[path.name] = [line for line in text.splitlines() if line.startswith("#")]
    return {"format": json.loads((folder / "manifest.json").read_text())["format"], "files": found}


@pytest.mark.parametrize("made", ["before", "now"])
def test_form_of_a_bundle(fitted: Path, made: str) -> None:
    if made == "before":
        check("bundle", _form_of_bundle(BUNDLE))
    else:
        check("bundle-fitted", _form_of_bundle(fitted))


def _form_of_dataset(folder: Path) -> dict[str, object]:
    """Give the paths with their digests and times left out, and the form of what is in them."""
    found: dict[str, Any] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = re.sub(r"\d{19}-[0-9a-f]{12}", "TIME-DIGEST", str(path.relative_to(folder)))
        if path.suffix == ".json":
            manifest = json.loads(path.read_text(encoding="utf-8"))
            found[name] = {"format": manifest["format"], "state": manifest["state"], "shape": shape_of(manifest)}
        else:
            found[name] = _columns(path)
    return found


def _columns(path: Path) -> dict[str, str]:
    return {field.name: str(field.type) for field in pq.ParquetFile(path).schema_arrow}


@pytest.mark.parametrize("made", ["before", "now"])
def test_form_of_a_data_set(call: Call, made: str, tmp_path: Path) -> None:
    folder = DATASET if made == "before" else tmp_path / "dataset"
    if made == "now":
        assert call("dataset", "add", folder, ASKED).exit_code == 0
    check("dataset", _form_of_dataset(folder))


def test_a_data_set_of_before_is_whole_and_takes_more(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    shutil.copytree(DATASET, folder)
    [again] = call("dataset", "add", folder, ASKED, "--json").lines
    assert not again["added"]
    [added] = call("dataset", "add", folder, TRAINING, "--json").lines
    assert added["added"]
    assert call("dataset", "verify", folder).exit_code == 0
    [shown] = call("dataset", "show", folder, "--json").lines
    assert shown["rows"] == sum(pq.ParquetFile(path).metadata.num_rows for path in (ASKED, TRAINING))


def test_columns_of_a_recording(call: Call, tmp_path: Path) -> None:
    given, out = HERE.parents[1] / "docs" / "import", tmp_path / "imported.parquet"
    words = (given / "docker-stats.jsonl", "--mapping", given / "docker-stats.toml", "--out", out)
    assert call("import", *words).exit_code == 0
    check("recording", {"imported": _columns(out), "recorded": _columns(TRAINING)})
