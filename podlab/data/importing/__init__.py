"""Recordings made elsewhere, by a mapping file that says what their columns are."""

from __future__ import annotations

from podlab.data.importing.convert import Imported, import_files
from podlab.data.importing.mapping import read_mapping

__all__ = ["Imported", "import_files", "read_mapping"]
