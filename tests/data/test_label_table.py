"""An explicit table of services is read from CSV or Parquet, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.labels import LabelRules, label_containers, read_label_table
from podlab.errors import InputError

ROWS = [("shop", "NA", "", "mysql"), ("", "007", "", "nginx"), ("", "", "proxy", "nginx")]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_both_formats_say_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    frame = pd.DataFrame(ROWS, columns=["namespace", "pod", "container", "service"])
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    asked = pd.DataFrame({"namespace": "shop", "pod": ["NA", "007", "x", "x"], "container": ["a", "b", "proxy", "a"]})
    report = label_containers(asked, LabelRules(table=read_label_table(path)))
    assert report.service.fillna("-").tolist() == ["mysql", "nginx", "nginx", "-"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", ["pod,service", "pod, service", "pod;service", "sep=;\r\npod;service", "pod\tservice"])
def test_as_spreadsheets_and_editors_write_it(tmp_path: Path, head: str, encoding: str) -> None:
    between = head.splitlines()[-1][3]
    path = tmp_path / "table.csv"
    path.write_bytes(f"{head}\r\n007{between}mysql\r\nä{between}nginx\r\n".encode(encoding))
    read = read_label_table(path)
    assert read.to_dict("list") == {"pod": ["007", "ä"], "service": ["mysql", "nginx"]}


@pytest.mark.parametrize("index", [["pod"], ["namespace", "pod"], None])
def test_the_index_that_pandas_keeps_in_parquet_is_a_column(tmp_path: Path, index: list[str] | None) -> None:
    frame = pd.DataFrame({"namespace": ["a", "b"], "pod": ["x", "x"], "service": ["mysql", "nginx"]})
    frame = pd.concat([frame[:1], frame[:0], frame[1:]]).set_axis([5, 5]) if index is None else frame.set_index(index)
    frame.to_parquet(tmp_path / "table.parquet")
    report = label_containers(
        pd.DataFrame({"namespace": ["b", "a"], "pod": "x"}),
        LabelRules(table=read_label_table(tmp_path / "table.parquet")),
    )
    assert report.service.tolist() == ["nginx", "mysql"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is neither CSV nor Parquet"),
        (b"pod\na\n", "column 'service' is missing"),
        (b"pod,service\na,\n", "row 0: the service is empty"),
        (b"pod,service\na,x\nb,N/A\n", "row 1: the service is 'N/A'"),
        (b"pod,service\na, <none> \n", "row 0: the service is '<none>'"),
        (b"pod,service\na,b,c,d\na\n", "is neither CSV nor Parquet: .*Expected 2 columns, got 4"),
        (b'pod,service\n"a,b\n', "is neither CSV nor Parquet"),
        (b"pod,service\n007\xff,b\n", "is neither CSV nor Parquet"),
        (b"PAR1 not really", "is neither CSV nor Parquet"),
        (b"\xff\xfe\x00", "is neither CSV nor Parquet"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        read_label_table(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_label_table(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="cannot be read: "):
        read_label_table(tmp_path)
