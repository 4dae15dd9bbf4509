"""What the image's recipe promises; that it builds and starts is seen with `make image` (docs/kubernetes.md)."""

from __future__ import annotations

import os
import re
import subprocess
from importlib.metadata import distribution, distributions
from pathlib import Path, PurePath
from typing import Any

import pytest
from packaging.markers import Marker

from tests.deploy.conftest import DEPLOY
from tools.image_sizes import is_left_out, leave_out, measure, table
from tools.sbom import describe_image

ROOT = DEPLOY.parent
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def test_the_base_is_an_argument_and_nothing_else_is_pulled() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", CONTAINERFILE, flags=re.MULTILINE)
    assert stages[0] == ("${BASE}", "python")
    for number, (source, _) in enumerate(stages[1:], 1):
        assert source in ["scratch", *(name for _, name in stages[:number])]
    assert {"watcher", "trainer"} <= {name for _, name in stages}


def test_the_models_image_is_a_watchers_whose_model_is_checked() -> None:
    lines = (DEPLOY / "Containerfile.model").read_text().splitlines()
    [source] = [line for line in lines if line.startswith("FROM ")]
    assert source == "FROM ${WATCHER}"
    [copied] = [line.split()[-1] for line in lines if line.startswith("COPY ")]
    assert f'RUN ["podlab", "models", "verify", "{copied}"]' == lines[-1]
    assert f"PODLAB_MODEL_PATH={copied}" in (DEPLOY / "base" / "watcher.env").read_text().splitlines()


def test_it_runs_as_nobody_in_particular() -> None:
    user = CONTAINERFILE.index("USER 65532:65532")
    assert "RUN" not in CONTAINERFILE[user:].replace("PYTHONUNBUFFERED", "")
    assert CONTAINERFILE.index('ENTRYPOINT ["podlab"]') > user


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which image: watcher, trainer or model"),
        (["notebook"], "there is no image notebook"),
        (["model"], "there is no model in no/such/folder: train one"),
    ],
)
def test_wrong_use_is_told_before_anything_is_fetched(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [str(ROOT / "tools" / "image"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MODEL": "no/such/folder"},
    )
    assert done.returncode != 0
    assert words in done.stderr
    assert not any((ROOT / "build" / "image" / name).exists() for name in arguments)


def _install(folder: Path, name: str, version: str, files: dict[str, int]) -> None:
    """Put a package of such files into a folder, as an installer leaves it."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for file, size_bytes in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(bytes(size_bytes))
    (about / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_sizes_are_told_by_package_without_what_is_left_out(tmp_path: Path) -> None:
    _install(tmp_path, "small", "0.1", {"small.py": 60_000, "bin/small": 99, "small/tests/test_small.py": 99})
    _install(tmp_path, "tiny", "0.2", {"tiny.py": 40_000, "tiny.pyi": 99})
    _install(tmp_path, "large", "2.0", {"large/it.so": 3_000_000, "large.libs/other.so": 500_000, "large/gone.py": 99})
    (tmp_path / "large" / "gone.py").unlink()
    for _ in range(2):  # the same before and after it is removed
        sizes = measure(distributions(path=[str(tmp_path)]))
        assert list(sizes.items()) == [("large 2.0", 3_500_000), ("small 0.1", 60_000), ("tiny 0.2", 40_000)]
        leave_out(tmp_path)
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if ".dist-info" not in str(path)}
    assert there == {"small.py", "tiny.py", "large", "large/it.so", "large.libs", "large.libs/other.so"}
    assert table(sizes).splitlines()[2:] == ["| large 2.0 | 3.5 |", "| 2 others | 0.1 |", "| all packages | 3.6 |"]


#: Debian 12 with Python, without what the recipe removes, as built: docs/kubernetes.md.
BASE_BYTES = 121_000_000


def test_the_watchers_image_has_at_most_350_mb() -> None:
    lock = (ROOT / "requirements-watcher.lock").read_text()
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==([^ ]+)(?: ; (.+?))?(?: \\)?$", lock, flags=re.MULTILINE)
    needed = {name: version for name, version, marker in pinned if not marker or Marker(marker).evaluate()}
    packages = [distribution(name) for name in needed]
    assert {each.metadata["Name"]: each.version for each in packages}.keys() >= {"numpy", "pandas", "pyarrow"}
    assert [each.version for each in packages] == list(needed.values())
    sizes = measure(packages)
    files = [path for path in (ROOT / "podlab").rglob("*") if not is_left_out(path.relative_to(ROOT))]
    own = sum(path.stat().st_size for path in files if path.is_file())
    carried = sum(sizes.values()) + own
    assert carried > 150_000_000
    assert BASE_BYTES + carried <= 350_000_000, table(sizes)


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("numpy/_core/tests/test_umath.py", True),
        ("numpy/testing/__init__.py", False),
        ("numpy/__init__.pyi", True),
        ("pandas/_libs/tslibs/period.pyx", True),
        ("pyarrow/libarrow_flight.so.2600", True),
        ("pyarrow/_s3fs.cpython-311-x86_64-linux-gnu.so", True),
        ("pyarrow/include/arrow/api.h", True),
        ("pyarrow/includes/libarrow.pxd", True),
        ("pyarrow/libarrow_python.so", True),
        ("pyarrow/libarrow_python.so.2600", False),
        ("pyarrow/libarrow_dataset.so.2600", False),
        ("bin/podlab", True),
        ("lab/recorder.py", True),
        ("podlab/watcher/app.py", False),
    ],
)
def test_what_the_image_leaves_out(path: str, left_out: bool) -> None:
    assert is_left_out(PurePath(path)) is left_out


@pytest.mark.parametrize("part", ["watcher", "trainer"])
def test_the_bill_of_materials_lists_every_package_of_the_lock(part: str) -> None:
    lock = ROOT / f"requirements-{part}.lock"
    made = describe_image(lock)
    components: Any = made["components"]
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==([^ ]+)", lock.read_text(), flags=re.MULTILINE)
    assert len(pinned) > 20
    assert [(each["name"], each["version"]) for each in components] == pinned
    assert {each["purl"].split("@")[0] for each in components} >= {"pkg:pypi/numpy", "pkg:pypi/cryptography"}
    assert len({each["bom-ref"] for each in components}) == len(components)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
