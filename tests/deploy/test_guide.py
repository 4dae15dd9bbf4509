"""What the guide says to type does what the guide says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from podlab.model import bundle
from tests.deploy.conftest import DEPLOY, FOLDERS, Objects
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


def test_the_namespace_is_made_by_its_manifest_before_anything_is_put_into_it() -> None:
    """One that ``kubectl create`` made is warned about by each later ``kubectl apply``."""
    assert "create namespace" not in GUIDE
    [*_, applied] = re.findall(r"kubectl apply -f (\S+)", GUIDE)
    assert yaml.safe_load((DEPLOY.parent / applied).read_text())["kind"] == "Namespace"
    for secret in re.finditer(r"^ *kubectl -n podlab create secret", GUIDE, flags=re.MULTILINE):
        assert f"kubectl apply -f {applied}" in GUIDE[: secret.start()].rpartition("```console")[2]


def test_uninstalling_deletes_all_but_the_volumes_and_the_namespace(objects: Objects) -> None:
    section = GUIDE.partition("## Uninstalling")[2].partition("\n## ")[0]
    joined = section.replace("\\\n", "")
    commands = re.findall(r"^kubectl .*delete.* -l app\.kubernetes\.io/part-of=podlab.*", joined, re.MULTILINE)
    deleted = {kind for command in commands for word in command.split() if "," in word for kind in word.split(",")}
    made = {each["kind"].lower() for folder in FOLDERS if folder != "dask" for each in objects(folder)}
    assert made - deleted == {"namespace", "persistentvolumeclaim"}
    assert deleted <= made


def test_uninstalling_finds_what_the_watcher_wrote_onto_pods_and_nothing_else() -> None:
    section = GUIDE.partition("## Uninstalling")[2].partition("\n## ")[0]
    [pattern] = re.findall(r"grep -E '(.+)'", section)
    done = subprocess.run(
        ["grep", "-E", pattern],
        input="lab web service.podlab.dev/app\nlab web confidence.podlab.dev/app\n"
        "lab podlab.dev other.dev/podlab.dev\nlab service.podlab.dev.x my.service.podlab.dev/x\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["lab", "web", "service.podlab.dev/app", "lab", "web", "confidence.podlab.dev/app"]
    assert "-l podlab.dev/service podlab.dev/service-" in section
