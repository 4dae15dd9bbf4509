"""A pickle, which could run anything when it is read, renamed to a model file."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import replace_file, write_bundle


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.path, "boom"))


@pytest.mark.parametrize("name", ["birth10s.npz", "calibration.npz", "model.json"])
def test_a_plain_pickle_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    folder, crater = write_bundle(tmp_path / "a"), tmp_path / "crater"
    replace_file(folder, name, pickle.dumps(Bomb(crater)))
    with pytest.raises(InputError, match=r"holds no arrays of numbers|is not a model"):
        bundle.load(folder)
    assert not crater.exists()


def test_a_pickle_inside_an_array_is_refused_and_not_run(tmp_path: Path) -> None:
    folder, crater = write_bundle(tmp_path / "a"), tmp_path / "crater"
    packed = io.BytesIO()
    np.savez(packed, roots=np.array([Bomb(crater)], dtype=object))
    replace_file(folder, "birth10s.npz", packed.getvalue())
    with pytest.raises(InputError, match=r"birth10s\.npz: holds no arrays of numbers"):
        bundle.load(folder)
    assert not crater.exists()
