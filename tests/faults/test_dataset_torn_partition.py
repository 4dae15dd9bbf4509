"""A partition of a data set that was cut off on its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.data.store import open_dataset
from tests.support.datasets import assert_refused, make_dataset


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_torn_partition(tmp_path: Path, share: float) -> None:
    path = make_dataset(tmp_path / "fleet")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_refused(tmp_path / "fleet", path, r"is torn: \d+ of \d+ bytes; restore it")


def test_the_other_partitions_can_still_be_opened(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "fleet")
    path.write_bytes(path.read_bytes()[:100])
    dataset = open_dataset(tmp_path / "fleet")
    with dataset.open(dataset.partitions[1]) as partition:
        assert partition.metadata.num_rows == dataset.partitions[1].rows == 20
