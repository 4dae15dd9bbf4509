"""What the image's recipe promises; that it builds and starts is seen with `make image` (docs/kubernetes.md)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY

ROOT = DEPLOY.parent
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def test_the_base_is_an_argument_and_nothing_else_is_pulled() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", CONTAINERFILE, flags=re.MULTILINE)
    assert stages[0] == ("${BASE}", "python")
    for number, (source, _) in enumerate(stages[1:], 1):
        assert source in [name for _, name in stages[:number]]
    assert {"watcher", "trainer"} <= {name for _, name in stages}


def test_it_runs_as_nobody_in_particular() -> None:
    user = CONTAINERFILE.index("USER 65532:65532")
    assert "RUN" not in CONTAINERFILE[user:].replace("PYTHONUNBUFFERED", "")
    assert CONTAINERFILE.index('ENTRYPOINT ["podlab"]') > user


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "which image: watcher or trainer"), (["notebook"], "there is no image notebook")]
)
def test_wrong_use_is_told_before_anything_is_fetched(arguments: list[str], words: str) -> None:
    done = subprocess.run([str(ROOT / "tools" / "image"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert words in done.stderr
    assert not (Path(ROOT) / "build" / "image" / "notebook").exists()
