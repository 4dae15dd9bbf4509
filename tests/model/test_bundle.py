"""Bundles: what is saved comes back, the same model gives the same files, and nothing else is ever replaced."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.files import sha256_of
from podlab.identify import Identifier
from podlab.model import bundle
from tests.support.models import small_identifier
from tests.support.synthetic import make_samples

CREATED = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def identifier() -> Identifier:
    return small_identifier()


def test_a_loaded_model_answers_as_the_saved_one(identifier: Identifier, tmp_path: Path) -> None:
    info = bundle.save(identifier, tmp_path / "a", name="first")
    loaded = bundle.load(tmp_path / "a")
    new = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=20, seed=9)
    before, after = identifier.identify(new), loaded.identifier.identify(new)
    assert [answer.candidates for answer in after] == [answer.candidates for answer in before]
    assert [answer.similar for answer in after] == [answer.similar for answer in before]
    assert [answer.novelty for answer in after] == [answer.novelty for answer in before]
    assert {answer.model for answer in after} == {f"first@{info.digest}"}


def test_the_manifest_says_where_the_model_comes_from(identifier: Identifier, tmp_path: Path) -> None:
    recording = tmp_path / "r.parquet"
    recording.write_bytes(b"samples")
    info = bundle.save(
        identifier, tmp_path / "a", name="first", recordings=[recording], scores={"macro_f1": 0.9}, created=CREATED
    )
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest == info.manifest
    assert manifest["format"] == 3
    assert manifest["created"] == "2026-02-03T04:05:06+00:00"
    assert manifest["services"] == ["nginx", "redis"]
    assert manifest["columns"] == list(identifier.columns)
    assert manifest["horizons_s"] == [10.0]
    assert manifest["seed"] == 0
    assert manifest["scores"] == {"macro_f1": 0.9}
    assert set(manifest["libraries"]) == {"python", "numpy", "pandas", "scikit-learn"}
    digest = hashlib.sha256(b"samples").hexdigest()
    assert manifest["recordings"] == [{"name": "r.parquet", "sha256": digest, "size_bytes": 7}]
    files = {path.name: sha256_of(path) for path in (tmp_path / "a").iterdir() if path.name != "manifest.json"}
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == files
    assert info.digest == sha256_of(tmp_path / "a" / "manifest.json")
    for told in ("nginx, redis", digest, "0.9", "2026-02-03"):
        assert told in info.card


def test_the_same_model_gives_the_same_bytes(identifier: Identifier, tmp_path: Path) -> None:
    a = bundle.save(identifier, tmp_path / "a", name="first", created=CREATED)
    b = bundle.save(identifier, tmp_path / "b", name="first", created=CREATED)
    assert a.digest == b.digest


def test_a_newer_bundle_takes_the_place_of_an_older_one(identifier: Identifier, tmp_path: Path) -> None:
    bundle.save(identifier, tmp_path / "a", name="first")
    bundle.save(identifier, tmp_path / "a", name="second")
    assert bundle.verify(tmp_path / "a").name == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_nothing_but_a_bundle_is_replaced(identifier: Identifier, tmp_path: Path) -> None:
    precious = tmp_path / "a" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(InputError, match="holds something else than a model; choose another folder"):
        bundle.save(identifier, tmp_path / "a", name="first")
    precious.unlink()
    bundle.save(identifier, tmp_path / "a", name="first")
    precious.write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        bundle.save(identifier, tmp_path / "a", name="second")
    assert precious.read_text() == "years of work"
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match="is not a folder"):
        bundle.save(identifier, tmp_path / "file", name="first")


@pytest.mark.parametrize("name", ["", "../up", "a b", "a\nb", ".hidden", "x" * 101])
def test_an_unusable_name_is_refused(identifier: Identifier, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a valid name for a model"):
        bundle.save(identifier, tmp_path / "a", name=name)
    assert list(tmp_path.iterdir()) == []


def test_models_in_a_folder_are_listed_and_broken_ones_named(
    identifier: Identifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b", "a", "broken"):
        bundle.save(identifier, tmp_path / name, name=name)
    (tmp_path / "broken" / "model.json").unlink()
    (tmp_path / "no-bundle").mkdir()
    assert [info.name for info in bundle.list_models(tmp_path)] == ["a", "b"]
    assert f"{tmp_path}/broken/model.json: is missing" in caplog.text
    with pytest.raises(InputError, match="no such folder; fit a model first"):
        bundle.list_models(tmp_path / "nowhere")


def test_its_digest_names_a_loaded_model(identifier: Identifier, tmp_path: Path) -> None:
    info = bundle.save(identifier, tmp_path / "a", name="first")
    assert bundle.load(tmp_path / "a").digest == info.digest
    assert repr(info) == f"BundleInfo('first', 2 services, digest {info.digest[:12]}, in {tmp_path / 'a'})"


def test_a_model_says_when_it_was_made(identifier: Identifier, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    created = datetime.fromisoformat(bundle.save(identifier, tmp_path / "a", name="first").created)
    assert before <= created <= datetime.now(UTC)
    assert created.utcoffset() == timedelta(0)


def test_scores_are_added_and_those_of_the_same_name_replaced(identifier: Identifier, tmp_path: Path) -> None:
    bundle.save(identifier, tmp_path / "a", name="first", scores={"old": 1, "both": 1}, created=CREATED)
    info = bundle.add_scores(tmp_path / "a", {"both": 2, "new": 2})
    assert info.manifest["scores"] == {"old": 1, "both": 2, "new": 2}
    assert bundle.load(tmp_path / "a").manifest == info.manifest
    assert '"new": 2' in info.card


def test_a_library_that_is_not_installed_is_left_out_of_the_manifest(
    identifier: Identifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "numpy":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(bundle, "version", version)
    libraries = bundle.save(identifier, tmp_path / "a", name="first").manifest["libraries"]
    assert set(libraries) == {"python", "pandas", "scikit-learn"}


def test_the_card_says_what_a_model_does_not_have(identifier: Identifier, tmp_path: Path) -> None:
    card = bundle.save(identifier, tmp_path / "a", name="first").card
    assert "Anomaly detectors: none: it cannot score" in card
    assert "- not named" in card
    assert "Horizons since the start: 10 s" in card
