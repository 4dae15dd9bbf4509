"""A manifest of a data set that cannot be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podlab.data.store import open_dataset
from tests.support.datasets import assert_refused, make_dataset


def manifest_of(folder: Path) -> Path:
    make_dataset(folder)
    return min((folder / "manifest").iterdir())


def change(path: Path, **entries: Any) -> None:
    manifest = json.loads(path.read_bytes())
    manifest["partitions"][0] |= {name: value for name, value in entries.items() if name != "format"}
    manifest |= {name: value for name, value in entries.items() if name == "format"}
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"{}"])
def test_no_json_or_something_else(tmp_path: Path, content: bytes) -> None:
    path = manifest_of(tmp_path / "fleet")
    path.write_bytes(content)
    assert_refused(tmp_path / "fleet", path, "a damaged manifest: .*; restore it from a copy")


def test_a_later_format(tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "fleet")
    change(path, format=2)
    assert_refused(tmp_path / "fleet", path, "is of format 2, this podlab reads 1; upgrade podlab")


@pytest.mark.parametrize("name", ["../outside.parquet", "/etc/passwd", "cluster=a/day=2026-01-05/x.parquet"])
def test_names_outside_of_its_own(tmp_path: Path, name: str) -> None:
    path = manifest_of(tmp_path / "fleet")
    change(path, name=name)
    assert_refused(tmp_path / "fleet", path, "names a file that is not its own")


def test_a_manifest_of_another_name(tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "fleet")
    path = path.rename(path.with_name("copy.json"))
    assert_refused(tmp_path / "fleet", path, "is not a manifest of a data set; move it away")


def test_another_schema_than_the_file_has(tmp_path: Path) -> None:
    path = manifest_of(tmp_path / "fleet")
    dataset = open_dataset(tmp_path / "fleet")
    change(path, columns={**dataset.partitions[0].columns, "rx_bytes": "double"})
    partition = tmp_path / "fleet" / dataset.partitions[0].name
    assert_refused(tmp_path / "fleet", partition, "has another schema than its manifest says")
