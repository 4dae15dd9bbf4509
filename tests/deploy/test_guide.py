"""What the guide says to type does what the guide says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from podlab import bundle
from tests.deploy.conftest import DEPLOY
from tests.support.bundles import write_bundle

GUIDE = (DEPLOY.parent / "docs" / "kubernetes.md").read_text()


def test_a_model_that_is_copied_into_the_volume_takes_the_place_of_the_one_there(tmp_path: Path) -> None:
    """Its lines are done here, in the folder that stands for the volume: ``kubectl cp``, then each ``kubectl exec``."""
    [copied_to] = re.findall(r"kubectl -n podlab cp data/models/default podlab-model-loader:(/models/\S+)", GUIDE)
    commands = re.findall(r"kubectl -n podlab exec podlab-model-loader -- (.+)", GUIDE)
    assert commands
    first, second = write_bundle(tmp_path / "first"), write_bundle(tmp_path / "second", detectors=True)
    (tmp_path / "models").mkdir()
    for model in (first, second):
        shutil.copytree(model, f"{tmp_path}{copied_to}")
        for command in commands:
            words = shlex.split(command.replace("/models/", f"{tmp_path}/models/"))
            program = shutil.which(words[0], path=f"{Path(sys.executable).parent}:/usr/bin:/bin")
            assert program, words
            subprocess.run([program, *words[1:]], check=True)
        assert bundle.verify(tmp_path / "models" / "default").digest == bundle.verify(model).digest
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"default", "default-previous"}
