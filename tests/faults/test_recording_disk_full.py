"""A disk that takes no more bytes while a recording is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# A limit on file size fails the write in the same place as a full disk does, and needs no rights to set up.
WRITE = """
import resource, sys
from pathlib import Path
from podlab.errors import InputError
from podlab.data.recordings import write_recording
from tests.support.synthetic import make_samples

samples = make_samples(deployments_per_service=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_recording(samples, Path(sys.argv[1]))
except InputError as error:
    print(error)
"""


def test_one_clear_line_and_nothing_half_written(tmp_path: Path) -> None:
    target = tmp_path / "a.parquet"
    target.write_bytes(b"the old recording")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(target)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{target}: the file would pass the size limit; raise the limit (ulimit -f)\n"
    assert target.read_bytes() == b"the old recording"
    assert list(tmp_path.iterdir()) == [target]
