"""A manifest that is missing, cut off, of another format, or names what it must not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podlab.errors import InputError
from podlab.model import bundle
from tests.support.bundles import change_manifest, write_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "a")


def refused(folder: Path, what: str) -> None:
    for read in (bundle.load, bundle.verify):
        with pytest.raises(InputError, match=what) as caught:
            read(folder)
        assert "\n" not in str(caught.value)


def test_no_such_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere: no such model; make one: podlab fit ")


def test_missing(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    refused(folder, r"manifest\.json: is missing")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b"null", b"[]", b'{"format": 1}'])
def test_no_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    refused(folder, r"manifest\.json: (is not a manifest|format None is not known)")


def test_another_format(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest.update(format=4))
    refused(folder, "format 4 is not known, only 1, 2, 3; use the podlab that wrote it")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "manifest.json", "..", ""])
def test_a_path_that_leads_elsewhere(folder: Path, name: str) -> None:
    def add(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"]["model.json"]

    change_manifest(folder, add)
    refused(folder, "is not a valid name for a model or its file")


def forget_card(manifest: dict[str, Any]) -> None:
    del manifest["files"]["MODEL_CARD.md"]


def promise_too_much(manifest: dict[str, Any]) -> None:
    manifest["files"].update({f"f{number}": manifest["files"]["model.json"] for number in range(100)})


@pytest.mark.parametrize("change", [forget_card, promise_too_much])
def test_no_card_or_too_many_files(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    change_manifest(folder, change)
    refused(folder, "names no model card, or too many files")


@pytest.mark.parametrize("change", [{"services": ["nginx", "mysql"]}, {"services": ["nginx", "tomcat"]},
                                    {"columns": ["rx_bytes"]}])  # fmt: skip
def test_services_or_columns_that_the_model_does_not_have(folder: Path, change: dict[str, list[str]]) -> None:
    change_manifest(folder, lambda manifest: manifest.update(change))
    with pytest.raises(InputError, match="manifest and model have different services"):
        bundle.load(folder)


def test_a_format_that_is_no_number(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest.update(format=True))
    refused(folder, "format True is not known")


def test_a_size_that_is_not_the_file_s(folder: Path) -> None:
    def lie(manifest: dict[str, Any]) -> None:
        manifest["files"]["model.json"]["size_bytes"] += 1

    change_manifest(folder, lie)
    refused(folder, r"model\.json: was changed")


def test_one_larger_than_any_is_not_read(folder: Path) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.write(b" " * 2**22)
    refused(folder, r"manifest\.json: is larger than 4194304 bytes")
