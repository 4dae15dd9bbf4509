"""A recording whose columns or values are not those of a samples table."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from podlab.data.labels import read_label_table
from podlab.data.recordings import read_recording, write_recording
from podlab.errors import InputError
from podlab.importing.readers import read_table

HEADER = "time,pod,container,rx_bytes"


def write_csv(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_missing_column(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "time,container,rx_bytes", "2026-01-01T00:00:00Z,c,1")
    with pytest.raises(InputError, match=r"a\.csv: column 'pod' is missing"):
        read_recording([path])


def test_text_where_a_number_belongs_names_column_and_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path, HEADER, "2026-01-01T00:00:00Z,p,c,1", "2026-01-01T00:00:01Z,p,c,many")
    with pytest.raises(InputError, match=r"a\.csv: column 'rx_bytes', row 1: 'many' is not a number"):
        read_recording([path])


def test_no_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv: no rows"):
        read_recording([write_csv(tmp_path, HEADER)])


def test_ragged_rows_name_the_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path, HEADER, "2026-01-01T00:00:00Z,p,c,1", "2026-01-01T00:00:01Z,p,c")
    with pytest.raises(InputError, match=r"a\.csv: not a readable CSV file: .*Row #3: Expected 4 columns, got 3"):
        read_recording([path])


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER.encode() + b"\n2026-01-01T00:00:00Z,\xff\xfe,c,1\n")
    with pytest.raises(InputError, match=r"a\.csv: not a readable CSV file: .*(UTF8|utf-8)"):
        read_recording([path])


def test_csv_that_is_packed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(HEADER.encode()))
    for read in (lambda: read_recording([path]), lambda: read_label_table(path)):
        with pytest.raises(InputError, match=r"a\.csv: .*is not text, but gzip: unpack it first"):
            read()


def test_a_column_twice(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "time,pod,pod,container,rx_bytes", "2026-01-01T00:00:00Z,p,p,c,1")
    with pytest.raises(InputError, match="column 'pod' is there twice"):
        read_recording([path])


def test_an_empty_line_before_the_columns_names(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "", HEADER, "2026-01-01T00:00:00Z,1e5,c,1", "")
    assert read_recording([path])["pod"].tolist() == ["1e5"]
    with pytest.raises(InputError, match="not a readable CSV file"):
        read_recording([write_csv(tmp_path, "", "")])


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_stored_in_another_unit_than_they_were_taken_in(tmp_path: Path, unit: str) -> None:
    far = pa.array([253402300800 * {"s": 1, "ms": 1_000, "us": 1_000_000}[unit]], pa.timestamp(unit, "UTC"))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"time": far, "pod": ["p"], "container": ["c"], "rx_bytes": [1]}), path)
    with pytest.raises(
        InputError, match=r"a\.parquet: column 'time', row 0: '10000-01-01T00:00:00[.0]*' is not a time"
    ):
        read_recording([path])


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = {"time": ["2026-01-01T00:00:00Z"], "pod": [b"\xff"], "container": ["c"], "rx_bytes": [1]}
    pq.write_table(pa.table(table), path)
    with pytest.raises(InputError, match=r"a\.parquet: column 'pod' holds bytes that are no text"):
        read_recording([path])


def test_lists_in_a_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"time": [1], "pod": ["p"], "container": ["c"], "rx_bytes": [[1, 2]]}), path)
    with pytest.raises(InputError, match="column 'rx_bytes' holds lists or records"):
        read_recording([path])


def test_what_is_no_samples_table_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'time' is missing"):
        write_recording(pd.DataFrame({"pod": ["p"]}), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_the_bad_one_of_several_files_is_named(tmp_path: Path) -> None:
    good = write_csv(tmp_path, HEADER, "2026-01-01T00:00:00Z,p,c,1")
    bad = tmp_path / "bad.csv"
    bad.write_text(HEADER + "\nnever,p,c,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.csv: column 'time', row 0: 'never' is not a time"):
        read_recording([good, bad])


@pytest.mark.parametrize(
    "read", [lambda path: read_recording([path]), read_label_table, lambda path: read_table(path, None)]
)
@pytest.mark.parametrize("where", ["name", "value"])
def test_parquet_may_hold_text_that_is_not_utf_8(tmp_path: Path, read: Callable[[Path], object], where: str) -> None:
    """As other programs write it; Arrow reads it without a look, and fails where it is used."""
    pods = pa.array([b"web\x99" if where == "value" else b"web"], pa.binary()).view(pa.string())
    table = pa.table({"pod": pods, "service": ["nginx"], "odd_name": [1], "time": [pd.Timestamp("2026-01-01T00:00Z")]})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    if where == "name":
        content = (tmp_path / "a.parquet").read_bytes()
        (tmp_path / "a.parquet").write_bytes(content.replace(b"odd_name", b"odd_\x99ame"))
    with pytest.raises(InputError, match=r"a\.parquet: .*('utf-8' codec|column 'pod': .*UTF8)"):
        read(tmp_path / "a.parquet")
