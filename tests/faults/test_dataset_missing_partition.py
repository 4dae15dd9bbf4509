"""A partition of a data set that is gone."""

from __future__ import annotations

from pathlib import Path

from tests.support.datasets import assert_refused, make_dataset


def test_a_missing_partition(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "fleet")
    path.unlink()
    assert_refused(tmp_path / "fleet", path, "is missing; restore it")
