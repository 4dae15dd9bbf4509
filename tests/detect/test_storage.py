"""A library on disk: it comes back as it was, without code, and crafted files are refused."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from podlab.detect import DetectorLibrary, default_estimators, fit_library
from podlab.detect import storage as detectors
from podlab.errors import InputError
from podlab.features.rows import read_rows
from podlab.model import bundle
from tests.detect.conftest import leak
from tests.detect.test_scoring import own_services, run
from tests.support.bundles import change_manifest, replace_file
from tests.support.models import small_identifier
from tests.support.synthetic import make_samples

SERVICES = ("mysql", "nginx", "redis")


def test_a_loaded_library_scores_as_the_saved_one(library: DetectorLibrary, samples: pd.DataFrame) -> None:
    files = detectors.to_files(library)
    loaded = detectors.from_files(files, services=SERVICES, where="model")
    assert detectors.to_files(loaded) == files
    rows = read_rows(leak(samples))
    saved, read = run(library, rows, own_services(rows)), run(loaded, rows, own_services(rows))
    for name in saved:
        assert np.array_equal(saved[name], read[name])


def write(folder: Path) -> Path:
    """A bundle with detectors."""
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=40)
    library = fit_library(samples, make_estimators=default_estimators)
    bundle.save(small_identifier(), folder, name="small", library=library)
    return folder


def test_a_bundle_holds_them_and_one_without_is_still_read(tmp_path: Path) -> None:
    assert write(tmp_path / "with").joinpath("detectors.npz").is_file()
    loaded = bundle.load(tmp_path / "with")
    assert loaded.library is not None
    assert sorted(loaded.library.detectors) == ["nginx", "redis"]
    assert "Anomaly detectors: nginx (3 deployments, 120 rows), redis (3 deployments, 120 rows)" in loaded.info.card
    bundle.save(small_identifier(), tmp_path / "without", name="small")
    assert bundle.load(tmp_path / "without").library is None


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a") / "detectors.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"detectors\.npz: was changed"):
        bundle.load(tmp_path / "a")


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def shorten(name: str) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda arrays: arrays.update({name: arrays[name][..., :-1].copy()})


def fill(name: str, value: float) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda arrays: arrays.update({name: np.full_like(arrays[name], value)})


ARRAYS = (
    "centre", "stray", "modes", "mode_count", "middle", "root", "levels", "share", "shape", "learned", "threshold",
)  # fmt: skip
HARM = {
    **{f"{name} cut": shorten(name) for name in ARRAYS},
    **{f"{name} without": lambda arrays, name=name: arrays.pop(name) for name in ARRAYS},
    "no number": fill("centre", np.nan),
    "no stray": fill("stray", 0),
    "too many modes": fill("mode_count", 2**62),
    "negative modes": fill("mode_count", -1),
    "a share above 1": fill("share", 1.5),
    "all of it is tail": fill("share", 1.0),
    "no tail": fill("share", 0.0),
    "a shape below 0": fill("shape", -1.0),
    "no shape": fill("shape", 0.0),
    "no threshold": fill("threshold", 0.0),
    "a threshold below 0": fill("threshold", -2.0),
    "levels of nothing": fill("levels", 0.0),
    "learned from less than nothing": fill("learned", -1),
    "levels that fall": lambda arrays: arrays.update(levels=arrays["levels"][..., ::-1].copy()),
    "an array too many": lambda arrays: arrays.update(more=np.zeros(1)),
    "another type": lambda arrays: arrays.update(centre=arrays["centre"].astype(np.float32)),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_crafted_arrays_are_refused(library: DetectorLibrary, harm: Callable[[dict[str, np.ndarray]], object]) -> None:
    files = detectors.to_files(library)
    with np.load(io.BytesIO(files["detectors.npz"])) as file:
        arrays = dict(file)
    harm(arrays)
    with pytest.raises(InputError, match=r"detectors\.npz: (holds no usable detectors|array)") as caught:
        detectors.from_files({**files, "detectors.npz": packed(arrays)}, services=SERVICES, where="model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("detectors.json", b"{", "is not a library"),
        ("detectors.json", b'{"services": ["nginx"], "signals": []}', "other signals"),
        ("detectors.npz", pickle.dumps({"centre": 1}), "holds no arrays"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write(tmp_path / "a")
    replace_file(tmp_path / "a", name, content)
    with pytest.raises(InputError, match=said):
        bundle.load(tmp_path / "a")


def test_services_that_the_model_does_not_have_are_refused(library: DetectorLibrary) -> None:
    with pytest.raises(InputError, match="services that the model does not have"):
        detectors.from_files(detectors.to_files(library), services=("nginx",), where="model")


def test_a_format_that_promises_detectors_must_hold_them(tmp_path: Path) -> None:
    bundle.save(small_identifier(), tmp_path / "a", name="small")
    change_manifest(tmp_path / "a", lambda manifest: manifest.update(format=2))
    with pytest.raises(InputError, match=r"detectors\.json is missing"):
        bundle.load(tmp_path / "a")
    write(tmp_path / "b")
    change_manifest(tmp_path / "b", lambda manifest: manifest.update(format=1))
    with pytest.raises(InputError, match="does not belong to the model"):
        bundle.load(tmp_path / "b")


def test_parts_of_others_are_not_stored(library: DetectorLibrary) -> None:
    ensemble = replace(library.pooled.change_ensemble, components=(IsolationForest(),))
    strange = replace(library, pooled=replace(library.pooled, change_ensemble=ensemble))
    with pytest.raises(InputError, match="IsolationForest cannot be stored"):
        detectors.to_files(strange)
