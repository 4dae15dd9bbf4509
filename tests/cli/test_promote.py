"""`podlab models promote` puts a sound bundle into use, keeps the one before, and never touches anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from podlab.model import bundle
from tests.support.bundles import write_keys
from tests.support.command import Call


@pytest.fixture
def other(model: Path, tmp_path: Path) -> Path:
    shutil.copytree(model, tmp_path / "other")
    bundle.add_scores(tmp_path / "other", {"measured": 1})
    return tmp_path / "other"


def test_a_model_is_put_into_use_and_taken_back(call: Call, model: Path, other: Path, tmp_path: Path) -> None:
    used = tmp_path / "models" / "used"
    first = call("models", "promote", model, "--to", used, "--json").lines[0]
    assert first == {"folder": str(used), "digest": bundle.verify(model).digest, "before": None}
    assert bundle.load(used).digest == first["digest"]
    second = call("models", "promote", other, "--to", used, "--json").lines[0]
    assert (second["digest"], second["before"]) == (bundle.verify(other).digest, first["digest"])
    assert {path.name for path in used.parent.iterdir()} == {"used", "used-previous"}
    back = call("models", "promote", f"{used}-previous", "--to", used, "--json").lines[0]
    assert (back["digest"], back["before"]) == (first["digest"], second["digest"])
    assert bundle.verify(used.parent / "used-previous").digest == second["digest"]


def test_promoting_the_same_again_keeps_what_was_before(call: Call, model: Path, other: Path, tmp_path: Path) -> None:
    used = tmp_path / "used"
    for each in (model, other, other):
        assert call("models", "promote", each, "--to", used).exit_code == 0
    assert bundle.verify(tmp_path / "used-previous").digest == bundle.verify(model).digest


def test_the_folder_in_use_comes_from_the_settings(
    call: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODLAB_MODEL_PATH", str(tmp_path / "mine"))
    assert f"{tmp_path}/mine: now small" in call("models", "promote", model).out
    assert bundle.verify(tmp_path / "mine").digest == bundle.verify(model).digest


def test_nothing_is_put_into_use_that_is_broken_or_is_there_already(
    call: Call, model: Path, other: Path, tmp_path: Path
) -> None:
    used = tmp_path / "used"
    call("models", "promote", model, "--to", used)
    broken = next(path for path in other.iterdir() if path.suffix == ".npz")
    broken.write_bytes(broken.read_bytes()[:-1] + b"x")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    for words, said in (
        ((other, "--to", used), broken.name),
        ((used, "--to", used), "in use already"),
        ((model, "--to", tmp_path / "notes"), "something else than a model"),
        ((tmp_path / "nowhere", "--to", used), "nowhere"),
    ):
        answer = call("models", "promote", *words)
        assert answer.exit_code == 2
        assert said in answer.err
        assert len(answer.err.splitlines()) == 1
    assert bundle.load(used).digest == bundle.verify(model).digest
    assert (tmp_path / "notes" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "used-previous").exists()


def test_a_bundle_is_signed_verified_and_described_as_a_bill_of_materials(
    call: Call, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(model, folder)
    private, public = write_keys(tmp_path)
    _, foreign = write_keys(tmp_path, "foreign")
    refused = call("models", "verify", folder, "--key", public)
    assert (refused.exit_code, refused.err.count("\n")) == (2, 1)
    assert "is not signed" in refused.err
    assert call("models", "sign", folder, "--key", private, "--json").lines[0]["signature"] == str(folder / "model.sig")
    assert call("models", "verify", folder, "--key", public, "--json").lines[0]["signed"] is True
    assert "is signed by another key" in call("models", "verify", folder, "--key", foreign).err
    [made] = call("models", "show", folder, "--cyclonedx").lines
    described = made["metadata"]["component"]
    info = bundle.verify(folder)
    assert (made["bomFormat"], described["type"], described["name"]) == (
        "CycloneDX", "machine-learning-model", info.name,
    )  # fmt: skip
    card = described["modelCard"]["modelParameters"]
    assert [each["format"] for each in card["inputs"]] == info.manifest["columns"]
    refs = {each["bom-ref"] for each in made["components"]}
    assert card["datasets"]
    assert {each["ref"] for each in card["datasets"]} <= refs
    assert {f"file:{name}" for name in info.manifest["files"]} <= refs
