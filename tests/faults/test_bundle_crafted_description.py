"""A model's description that the code could not work with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import replace_file, write_bundle


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"services": ["nginx"]}, "fewer than two services"),
        ({"services": ["nginx", "nginx"]}, "repeats a service"),
        ({"columns": ["image_size_bytes"]}, "columns that podlab does not know"),
        ({"features": ["pod.name"]}, "other features than this version's"),
        ({"features": ["a.mean"]}, "other features than this version's"),
        ({"looks": []}, "windows are missing or in disorder"),
        ({"looks": [{"kind": "birth", "length_s": -1.0}]}, "length is not positive"),
        ({"looks": [{"kind": "death", "length_s": 10.0}]}, "Invalid enum value 'death'"),
        ({"calibrations": []}, "a calibration is missing"),
        ({"calibrations": [{"looks": ["birth10s"], "temperatures": [1, 1, 0, 1]}]}, "a temperature is missing or not"),
        ({"interval_s": -1}, "sampling interval is negative"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"seed": "zero"}, "Expected `int`, got `str`"),
    ],
)
def test_the_fault_is_named(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    folder = write_bundle(tmp_path / "a")
    model = json.loads((folder / "model.json").read_text())
    replace_file(folder, "model.json", json.dumps({**model, **changes}).encode())
    with pytest.raises(InputError, match=f"model.json is not a model: .*{fault}"):
        bundle.load(folder)


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "a")
    replace_file(folder, "model.json", b"[" * 100_000)
    with pytest.raises(InputError, match=r"model\.json is not a model"):
        bundle.load(folder)
