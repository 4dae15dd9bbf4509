"""Recordings made elsewhere, by a mapping file that says what their columns are."""

from __future__ import annotations

from podlab.importing.convert import Imported, import_files
from podlab.importing.mapping import read_mapping

__all__ = ["Imported", "import_files", "read_mapping"]
