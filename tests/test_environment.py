"""The files that say what podlab needs agree with each other and name no registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
# Where conda calls a package otherwise than pyproject.toml does.
CONDA_NAMES = {
    "jupyter_client": "jupyter-client",
    "prometheus_client": "prometheus-client",
    "python-duckdb": "duckdb",
    "python-kubernetes": "kubernetes",
}
ALL = ("kubeconfig", "train", "workbench")
#: The images that have a lock of their own.
PARTS = ("watcher", "trainer")


def _requirement(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[a-z,]+\])?\s*(>=[\d.]+)?", text)
    assert match, text
    return match[1].lower(), match[2] or ""


def _wanted_by_pyproject(*extras: str) -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = project["dependencies"] + [text for name in extras for text in project["optional-dependencies"][name]]
    return dict(_requirement(text) for text in listed if not text.startswith("podlab["))


def _pinned(name: str) -> dict[str, str]:
    """Return a lock's entries, each with its digests, by name and version; whatever they are conditional on."""
    entries = re.findall(r"^(\S+==[^\\]+?) \\\n((?: .*\n?)+)", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {entry.partition(" ;")[0]: digests for entry, digests in entries}


def test_conda_environment_is_in_step_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = [_requirement(text) for text in environment["dependencies"] if isinstance(text, str)]
    conda = {CONDA_NAMES.get(name, name): version for name, version in listed}
    assert conda.pop("python") == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert conda.pop("pip") == ""
    assert conda == _wanted_by_pyproject(*ALL)
    assert {"pip": ["-e ."]} in environment["dependencies"]


@pytest.mark.parametrize(("name", "fewest"), [("requirements", 100), *((f"requirements-{part}", 30) for part in PARTS)])
def test_lock_pins_every_package_by_digest(name: str, fewest: int) -> None:
    lines = (ROOT / f"{name}.lock").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert len(starts) > fewest
    for number in starts:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==\S+( ; .+)? \\", lines[number]), lines[number]
        assert "--hash=sha256:" in lines[number + 1]


def test_lock_holds_every_package_that_pyproject_wants() -> None:
    everything = (*ALL, "scale")
    for name, extras in (
        ("requirements", everything),
        ("requirements-watcher", ("signing",)),
        ("requirements-trainer", ("train", "workbench", "scale", "signing")),
    ):
        pinned = {entry.split("==")[0].lower().replace("_", "-") for entry in _pinned(f"{name}.lock")}
        assert set(_wanted_by_pyproject(*extras)) <= pinned


@pytest.mark.parametrize("part", PARTS)
def test_locks_of_the_images_hold_what_the_large_one_holds(part: str) -> None:
    ours = _pinned(f"requirements-{part}.lock")
    assert ours.items() <= _pinned("requirements.lock").items()


def test_the_watchers_lock_leaves_out_what_no_watcher_in_a_pod_needs() -> None:
    watcher = {entry.split("==")[0] for entry in _pinned("requirements-watcher.lock")}
    assert not watcher & {
        "jupyterlab",
        "ipykernel",
        "papermill",
        "nbconvert",
        "matplotlib",
        "scikit-learn",
        "pytest",
        "dask",
        "fsspec",
        "kubernetes",
    }


@pytest.mark.parametrize("name", ["requirements", *(f"requirements-{part}" for part in PARTS)])
def test_lock_names_no_registry(name: str) -> None:
    assert not re.search(r"://|^-", (ROOT / f"{name}.lock").read_text(), flags=re.MULTILINE)
