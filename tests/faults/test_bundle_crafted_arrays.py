"""Model files that agree with their manifest but were made to do harm."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import replace_file, write_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a")


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def arrays_of(folder: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(folder / name) as file:
        return dict(file)


def refused(folder: Path, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        bundle.load(folder)
    assert "\n" not in str(caught.value)


def test_a_tree_that_runs_in_circles(folder: Path) -> None:
    arrays = arrays_of(folder, "birth10s.npz")
    arrays["step"] = np.where(arrays["asked"] >= 0, 0, arrays["step"]).astype(np.uint16)
    replace_file(folder, "birth10s.npz", packed(arrays))
    refused(folder, r"birth10s\.npz: no usable forest: a node's child lies outside or before it")


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", "an array is longer or shorter than"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", "an array is longer or shorter than its header"),
        *(
            (header, "an array holds something else than numbers")
            for header in (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4\x00), }",
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3",
                "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
                "{'descr': '<f8', 'fortran_order': False, 'shape': (3L,), }",
                "{'descr': '<f8', 'fortran_order': True, 'shape': (0, 0), }",
                "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
                "{'descr': '<f3', 'fortran_order': False, 'shape': (), }",
                "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (), }",
                "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
                "(" * 300,
            )
        ),
    ],
)
def test_an_array_that_is_not_as_its_header_says(folder: Path, header: str, what: str) -> None:
    written = (header + " " * (64 - (len(header) + 11) % 64) + "\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("roots.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(written)) + written)
    replace_file(folder, "birth10s.npz", out.getvalue())
    refused(folder, what)


def test_a_zip_bomb(folder: Path) -> None:
    out = io.BytesIO()
    np.savez_compressed(out, roots=np.zeros(10**7))
    replace_file(folder, "birth10s.npz", out.getvalue())
    refused(folder, "it is compressed")


def test_something_else_than_arrays(folder: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../run.py", "print('hello')")
    replace_file(folder, "birth10s.npz", out.getvalue())
    refused(folder, "it holds something else than arrays")


def test_training_containers_of_no_service(folder: Path) -> None:
    arrays = arrays_of(folder, "birth10s.npz")
    arrays["known_service"] = arrays["known_service"] + np.int16(2)
    replace_file(folder, "birth10s.npz", packed(arrays))
    refused(folder, "array 'known_service' holds values out of range")


def test_a_calibration_out_of_order(folder: Path) -> None:
    arrays = arrays_of(folder, "calibration.npz")
    for name in ("deviations", "familiarity"):
        replace_file(folder, "calibration.npz", packed({**arrays, name: arrays[name][..., ::-1].copy()}))
        refused(folder, f"array '{name}' is not in order")
    replace_file(folder, "calibration.npz", packed({**arrays, "kept": arrays["kept"] + np.int32(1)}))
    refused(folder, "array 'kept' holds values out of range")


@pytest.mark.parametrize("part", ["usual", "deviations", "familiarity", "kept", "least", "basis"])
def test_a_calibration_of_another_length(folder: Path, part: str) -> None:
    arrays = arrays_of(folder, "calibration.npz")
    replace_file(folder, "calibration.npz", packed({**arrays, part: arrays[part][..., :-1]}))
    refused(folder, "has another type or shape")


def test_a_similarity_that_is_none(folder: Path) -> None:
    arrays = arrays_of(folder, "calibration.npz")
    replace_file(folder, "calibration.npz", packed({**arrays, "similarity": arrays["similarity"] - 2}))
    refused(folder, "array 'similarity' holds values out of range")
    replace_file(folder, "calibration.npz", packed({**arrays, "similarity": arrays["similarity"][:1]}))
    refused(folder, "array 'similarity' has another type or shape")


@pytest.mark.parametrize("part", ["feature", "scale", "weight", "points"])
def test_a_space_that_does_not_fit(folder: Path, part: str) -> None:
    arrays = arrays_of(folder, "birth10s.npz")
    replace_file(folder, "birth10s.npz", packed({**arrays, f"space_{part}": arrays[f"space_{part}"][..., :-1].copy()}))
    refused(folder, "has another type or shape")
    without = {name: array for name, array in arrays.items() if name != f"space_{part}"}
    replace_file(folder, "birth10s.npz", packed(without))
    refused(folder, f"array 'space_{part}' is missing")
