"""A partition of a data set with other bytes than were written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podlab.data.store import open_dataset
from tests.support.datasets import assert_refused, make_dataset


def test_a_changed_byte(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "fleet")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(bytes(content))
    assert_refused(tmp_path / "fleet", path, "was changed since it was written; restore it")


def test_other_rows_in_a_sound_file(tmp_path: Path) -> None:
    path = make_dataset(tmp_path / "fleet")
    table = pd.read_parquet(path).assign(service="mysql")
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path, compression=None)
    assert_refused(tmp_path / "fleet", path, "was changed since it was written")


def test_two_partitions_that_changed_places(tmp_path: Path) -> None:
    make_dataset(tmp_path / "fleet")
    east, west = (tmp_path / "fleet" / each.name for each in open_dataset(tmp_path / "fleet").partitions)
    content = east.read_bytes()
    east.write_bytes(west.read_bytes())
    west.write_bytes(content)
    assert_refused(tmp_path / "fleet", east, "(was changed since it was written|is torn)")
