"""Where the project's root is, so that a notebook finds its files wherever it is opened."""

from __future__ import annotations

import os
from pathlib import Path

#: A folder that holds one of these is a project's root.
MARKERS = ("pyproject.toml", "podlab.toml")


def find_root(start: Path) -> Path | None:
    """Return the nearest folder above ``start`` (or ``start`` itself) that is a project's root, if there is one."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if any((folder / marker).is_file() for marker in MARKERS):
            return folder
    return None


def enter_project() -> Path:
    """Make the project's root the working folder, so that paths in a notebook are relative to it.

    JupyterLab starts a notebook in the notebook's own folder, ``podlab run`` in the project's root; after this
    call both are the same. Outside of any project the working folder stays as it is.

    Returns
    -------
    Path
        The working folder.
    """
    root = find_root(Path.cwd())
    if root is not None:
        os.chdir(root)
    return Path.cwd()
