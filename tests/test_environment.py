"""The files that say what podlab needs agree with each other and name no registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
# Where conda calls a package otherwise than pyproject.toml does.
CONDA_NAMES = {"python-kubernetes": "kubernetes"}


def _requirement(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[a-z,]+\])?\s*(>=[\d.]+)?", text)
    assert match, text
    return match[1].lower(), match[2] or ""


def _wanted_by_pyproject() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = project["dependencies"] + extras["train"] + extras["workbench"]
    return dict(_requirement(text) for text in listed if not text.startswith("podlab["))


def test_conda_environment_is_in_step_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = [_requirement(text) for text in environment["dependencies"] if isinstance(text, str)]
    conda = {CONDA_NAMES.get(name, name): version for name, version in listed}
    assert conda.pop("python") == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert conda.pop("pip") == ""
    assert conda == _wanted_by_pyproject()
    assert {"pip": ["-e ."]} in environment["dependencies"]


def test_lock_pins_every_package_by_digest() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert len(starts) > 100
    for number in starts:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==\S+( ; .+)? \\", lines[number]), lines[number]
        assert "--hash=sha256:" in lines[number + 1]


def test_lock_holds_every_package_that_pyproject_wants() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lock.splitlines() if "==" in line}
    assert set(_wanted_by_pyproject()) <= pinned


def test_lock_names_no_registry() -> None:
    assert not re.search(r"://|^-", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
