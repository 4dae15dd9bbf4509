"""Files of a bundle that are missing, too many, or not what they seem."""

from __future__ import annotations

import errno
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
    with pytest.raises(InputError, match=r"extra\.py does not belong to the model; remove it"):
        bundle.load(folder)


def test_one_that_the_manifest_names_but_the_model_does_not(folder: Path) -> None:
    (folder / "extra.npz").write_bytes((folder / "birth10s.npz").read_bytes())
    change_manifest(folder, lambda m: m["files"].update({"extra.npz": m["files"]["birth10s.npz"]}))
    with pytest.raises(InputError, match=r"extra\.npz is missing or does not belong to the model"):
        bundle.load(folder)


def test_a_link_that_leads_out_is_not_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = (folder / "birth10s.npz").rename(tmp_path / "elsewhere.npz")
    (folder / "birth10s.npz").symlink_to(elsewhere)
    with pytest.raises(InputError, match=r"birth10s\.npz: is not a plain file"):
        bundle.load(folder)


def test_links_in_a_circle_lead_nowhere(folder: Path) -> None:
    (folder / "birth10s.npz").unlink()
    (folder / "birth10s.npz").symlink_to("birth10s.npz")
    with pytest.raises(InputError, match=r"birth10s\.npz: is not a plain file|birth10s\.npz: .*symbolic links"):
        bundle.load(folder)


def test_a_pipe_does_not_make_it_wait(folder: Path) -> None:
    (folder / "birth10s.npz").unlink()
    os.mkfifo(folder / "birth10s.npz")
    with pytest.raises(InputError, match=r"birth10s\.npz: is not a plain file"):
        bundle.load(folder)


def test_one_larger_than_any_is_not_read(folder: Path) -> None:
    os.truncate(folder / "birth10s.npz", 2**30 + 1)  # sparse: takes no room
    with pytest.raises(InputError, match=r"birth10s\.npz: is larger than 1073741824 bytes"):
        bundle.load(folder)


def test_a_disk_that_fails_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(InputError, match=r"manifest\.json: Input/output error"):
        bundle.load(folder)


def test_a_folder_that_kubernetes_mounted_is_read_through_its_links(folder: Path, tmp_path: Path) -> None:
    digest, mounted = bundle.verify(folder).digest, tmp_path / "mounted"
    mounted.mkdir()
    folder.rename(mounted / "..2026_01_05")
    (mounted / "..data").symlink_to("..2026_01_05")
    for path in (mounted / "..data").iterdir():
        (mounted / path.name).symlink_to(f"..data/{path.name}")
    assert bundle.load(mounted).digest == digest
