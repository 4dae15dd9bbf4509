"""Putting a model into use: a sound bundle takes the place of the one that is asked, which is kept."""

from __future__ import annotations

from pathlib import Path

from podlab.errors import InputError
from podlab.files import atomic_folder, refuse_inputs
from podlab.model import bundle
from podlab.model.manifest import BundleInfo, read_bundle, refuse_to_overwrite

#: Behind the name of the folder in use, where the bundle that was replaced is kept.
PREVIOUS = "-previous"


def promote(folder: Path, target: Path) -> tuple[BundleInfo, BundleInfo | None]:
    """Put a copy of a bundle, byte for byte, into the place of the one in use.

    The bundle that stood there is kept beside it, with ``-previous`` behind the folder's name; promoting that one
    takes the change back. A bundle that is not whole, or that cannot be loaded, is not put into use.

    Parameters
    ----------
    folder : Path
        The bundle to use.
    target : Path
        The folder in use, the setting ``model_path``.

    Returns
    -------
    tuple of (BundleInfo, BundleInfo or None)
        What is in use now, and what was before.

    Raises
    ------
    InputError
        If ``folder`` is no sound bundle or is the one in use, or a folder to be replaced holds something else.
    """
    if folder.resolve() == target.resolve():
        raise InputError("is the model in use already", where=str(folder), hint="name another bundle, or --to")
    refuse_inputs(target, [folder])
    info = bundle.load(folder).info
    files = _all_files(folder)
    previous = target.with_name(target.name + PREVIOUS)
    for each in (target, previous):
        refuse_to_overwrite(each)
    before = bundle.verify(target) if target.exists() else None
    if before is not None and before.digest != info.digest:
        _write(_all_files(target), previous)
    _write(files, target)
    return info, before


def _all_files(folder: Path) -> dict[str, bytes]:
    return {**read_bundle(folder)[1], bundle.MANIFEST: (folder / bundle.MANIFEST).read_bytes()}


def _write(files: dict[str, bytes], target: Path) -> None:
    with atomic_folder(target) as new:
        for name, content in files.items():
            (new / name).write_bytes(content)
