"""Files of a bundle that are missing, too many, or not what they seem."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import change_manifest, write_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a")


def test_missing(folder: Path) -> None:
    (folder / "birth10s.npz").unlink()
    with pytest.raises(InputError, match=r"birth10s\.npz: is missing"):
        bundle.load(folder)


def test_one_too_many(folder: Path) -> None:
    (folder / "extra.py").write_text("print('hello')")
    with pytest.raises(InputError, match=r"extra\.py does not belong to the bundle; remove it"):
        bundle.load(folder)


def test_one_that_the_manifest_names_but_the_model_does_not(folder: Path) -> None:
    (folder / "extra.npz").write_bytes((folder / "birth10s.npz").read_bytes())
    change_manifest(folder, lambda m: m["files"].update({"extra.npz": m["files"]["birth10s.npz"]}))
    with pytest.raises(InputError, match=r"extra\.npz is missing or does not belong to the model"):
        bundle.load(folder)


def test_a_link_that_leads_out_is_not_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = (folder / "birth10s.npz").rename(tmp_path / "elsewhere.npz")
    (folder / "birth10s.npz").symlink_to(elsewhere)
    with pytest.raises(InputError, match=r"birth10s\.npz: is no plain file"):
        bundle.load(folder)


def test_links_in_a_circle_lead_nowhere(folder: Path) -> None:
    (folder / "birth10s.npz").unlink()
    (folder / "birth10s.npz").symlink_to("birth10s.npz")
    with pytest.raises(InputError, match=r"birth10s\.npz: is no plain file|birth10s\.npz: .*symbolic links"):
        bundle.load(folder)


def test_a_pipe_does_not_make_it_wait(folder: Path) -> None:
    (folder / "birth10s.npz").unlink()
    os.mkfifo(folder / "birth10s.npz")
    with pytest.raises(InputError, match=r"birth10s\.npz: is no plain file"):
        bundle.load(folder)
