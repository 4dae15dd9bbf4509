"""A disk that takes no more bytes while rows are appended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from podlab.data.recordings import read_recording
from tests.faults.test_recording_disk_full import WRITE
from tests.support.datasets import contents_of, make_dataset


def test_one_clear_line_and_no_row_of_it_appears(tmp_path: Path) -> None:
    make_dataset(tmp_path / "fleet")
    before = contents_of(tmp_path / "fleet")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path / "fleet")], capture_output=True, text=True, check=True, timeout=60
    )
    assert "the file would pass the size limit; raise the limit (ulimit -f)" in done.stdout
    after = contents_of(tmp_path / "fleet")
    assert before.items() <= after.items()
    assert not [path for path in set(after) - set(before) if path.suffix == ".parquet"]
    assert len(read_recording([tmp_path / "fleet"])) == 40
