"""A disk that takes no more bytes while a bundle is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from podlab.model import bundle
from tests.support.bundles import write_bundle

# A limit on file size fails the write in the same place as a full disk does, and needs no rights to set up.
SAVE = """
import resource, sys
from pathlib import Path
from podlab.model import bundle
from podlab.errors import InputError

identifier = bundle.load(Path(sys.argv[1])).identifier
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    bundle.save(identifier, Path(sys.argv[1]), name="newer")
except InputError as error:
    print(error)
"""


def test_one_clear_line_and_the_old_bundle_stays(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "a")
    before = bundle.verify(folder).digest
    done = subprocess.run(
        [sys.executable, "-c", SAVE, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{folder}: the file would pass the size limit; raise the limit (ulimit -f)\n"
    assert bundle.load(folder).digest == before
    assert list(tmp_path.iterdir()) == [folder]
