"""A bundle of which one byte was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import write_bundle


@pytest.mark.parametrize("name", ["model.json", "birth10s.npz", "calibration.npz", "MODEL_CARD.md"])
def test_the_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_bundle(tmp_path / "a")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    for read in (bundle.load, bundle.verify):
        with pytest.raises(
            InputError, match=rf"a/{name}: was changed: its digest is not the manifest's; fit the model"
        ):
            read(folder)


def test_a_cut_off_file_is_named(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "a")
    (folder / "birth10s.npz").write_bytes((folder / "birth10s.npz").read_bytes()[:-100])
    with pytest.raises(InputError, match=r"birth10s\.npz: was changed"):
        bundle.load(folder)
