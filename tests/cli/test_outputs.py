"""No command writes its output over one of its inputs, whatever way leads there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.files import refuse_inputs
from tests.support.command import Call

EXAMPLES = Path(__file__).parents[2] / "docs" / "import"


def itself(path: Path) -> Path:
    return path


def other_spelling(path: Path) -> Path:
    (path.parent / "sub").mkdir()
    return path.parent / "sub" / ".." / path.name


def symbolic_link(path: Path) -> Path:
    link = path.with_name("link.parquet")
    link.symlink_to(path)
    return link


def hard_link(path: Path) -> Path:
    link = path.with_name("hard.parquet")
    link.hardlink_to(path)
    return link


def link_to_folder(path: Path) -> Path:
    link = path.parent.parent / "folder"
    link.symlink_to(path.parent)
    return link / path.name


@pytest.fixture
def here(tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(EXAMPLES / "arff.arff", folder)
    shutil.copy(EXAMPLES / "arff.toml", folder)
    shutil.copy(recording, folder / "in.parquet")
    (folder / "labels.csv").write_text("pod,service\nweb,nginx\n")
    (folder / "password").write_text("secret\n")
    (folder / "podlab.toml").write_text('influxdb_password_file = "password"\n')
    monkeypatch.chdir(folder)
    return folder


IMPORT = ("import", "arff.arff", "--mapping", "arff.toml", "--out")
COLLECT = ("collect", "--label-table", "labels.csv", "--out")


@pytest.mark.parametrize("way", [itself, other_spelling, symbolic_link, hard_link, link_to_folder])
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (IMPORT, "arff.arff"), (IMPORT, "arff.toml"), (IMPORT, "podlab.toml"), (COLLECT, "labels.csv"),
        (COLLECT, "password"), (("score", "in.parquet", "--model", "model", "--out"), "in.parquet"),
        (("fit", "in.parquet", "--out"), "in.parquet"),
    ],
)  # fmt: skip
def test_an_output_that_is_an_input_is_refused(
    call: Call, here: Path, way: Callable[[Path], Path], words: tuple[str, ...], name: str
) -> None:
    target = way(here / name)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = call(*words, target)
    assert done.exit_code == 2
    assert done.err == f"podlab: {target}: is an input as well; choose another name for the output\n"
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "words",
    [(*IMPORT, "."), (*COLLECT, ".."), ("fit", "in.parquet", "--out", "."), ("dataset", "add", ".", "in.parquet")],
)
def test_the_folder_of_an_input_is_no_output(call: Call, here: Path, words: tuple[str, ...]) -> None:
    before = sorted(here.parent.rglob("*"))
    done = call(*words)
    assert done.exit_code == 2
    assert done.err.count("\n") == 1
    assert sorted(here.parent.rglob("*")) == before


def test_a_bundle_is_not_promoted_into_itself(call: Call, model: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(model, bundle)
    for target in (bundle / "used", tmp_path):
        done = call("models", "promote", bundle, "--to", target)
        assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert sorted(path.name for path in bundle.iterdir()) == sorted(path.name for path in model.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_catalogues_files_are_no_recording(call: Call, tmp_path: Path) -> None:
    service = tmp_path / "mine.toml"
    service.write_text('name = "mine"\n')
    for words in (("record", "--out", service), ("manifests", "--out", tmp_path)):
        done = call("lab", *words, "--catalogue", tmp_path)
        assert (done.exit_code, done.err.count("\n")) == (2, 1)
        assert "is an input as well" in done.err
    assert service.read_text() == 'name = "mine"\n'


def test_addresses_of_object_stores_are_compared_by_their_paths(tmp_path: Path) -> None:
    refuse_inputs(Path("s3:/bucket/fleet"), [tmp_path / "a.parquet"])
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "a.parquet").write_text("")
    with pytest.raises(InputError, match=r"holds .*, which is an input as well"):
        refuse_inputs(Path(f"file://{tmp_path}/fleet"), [tmp_path / "fleet" / "a.parquet"])


@pytest.mark.parametrize("words", [IMPORT, COLLECT, ("score", "in.parquet", "--model", "model", "--out")])
def test_a_dash_is_no_output(call: Call, here: Path, words: tuple[str, ...]) -> None:
    """It would be a folder of that name: what one file holds is no table to print."""
    done = call(*words, "-")
    assert (done.exit_code, done.err) == (
        2,
        "podlab: -: is not the standard output; name a file, or a folder as ./name\n",
    )
    assert not (here / "-").exists()
