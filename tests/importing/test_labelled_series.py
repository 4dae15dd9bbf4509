"""Series of other formats become samples by a mapping, and mistakes in it are one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.importing.labelled_series import parse_mapping, read_series
from tests.support.machine import MAPPING, write_machine


def test_a_public_format_is_read(tmp_path: Path) -> None:
    samples = read_series(write_machine(tmp_path / "machine-1.csv", seconds=50), parse_mapping(MAPPING))
    assert len(samples) == 50
    assert samples["pod"].unique().tolist() == ["machine-1"]
    assert samples["cpu_usage_nanocores"].between(0, 1e9).all()
    assert samples["rx_bytes"].dtype == "Int64"
    assert np.diff(samples["rx_bytes"].astype(int)) == pytest.approx(3000, abs=1500)  # a rate became a counter
    assert samples["anomaly"].sum() == 20
    assert samples["time"].diff().dropna().eq(pd.Timedelta(seconds=1)).all()


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("cpu", "'cpu' is not a mapping"),
        ("cpu=cpu_usage_nanocores", "no column is mapped to time"),
        ("t=time,x=temperature", "'temperature' is not a metric"),
        ("t=time,x=rate:memory_rss_bytes", "is not a counter"),
        ("t=time,x=memory_rss_bytes*1e", "'1e' is not a number above 0"),
        ("t=time,x=memory_rss_bytes*1e400", "'1e400' is not a number above 0"),
        ("t=time,x=memory_rss_bytes*-1", "'-1' is not a number above 0"),
        ("t=time,x=rx_bytes,y=rate:rx_bytes", "rx_bytes is to come from two columns; keep one"),
    ],
)
def test_mistakes_in_a_mapping_are_told(mapping: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_mapping(mapping)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("t,x\nsoon,1\n", "row 1: 'soon' is not a time"),
        ("t,x\n,1\n5,1\n", "column 't', row 1: nothing is not a time"),
        ("t,x\n0001-01-01,1\n", "is not a time between"),
        ('t,x\n0,1\n1,"1,5"\n', "column 'x', row 2: '1,5' is not a number"),
        ("t,y\n1,1\n", "column 'x' is missing; it has t, y"),
        ("", "no rows"),
        ("t,x\n0,1,5\n1,2,6\n", "not a readable csv file: line 2 has 3 fields, not 2"),
        ("t,x,x\n0,1,2\n", r"column 'x' is missing; it has t, x \(1\), x \(2\)"),
        ("PK\x03\x04", "is not text, but zip"),
    ],
)
def test_files_that_do_not_fit_are_told(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_series(path, parse_mapping("t=time,x=memory_rss_bytes"))
    with pytest.raises(InputError, match="no such file"):
        read_series(tmp_path / "none.csv", parse_mapping("t=time,x=memory_rss_bytes"))


def read(tmp_path: Path, content: str, mapping: str) -> pd.DataFrame:
    (tmp_path / "a.csv").write_text(content)
    return read_series(tmp_path / "a.csv", parse_mapping(mapping))


def test_a_label_that_is_neither_0_nor_1_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'label', row 1: 'yes' is neither 0 nor 1"):
        read(tmp_path, "t,x,label\n0,1,yes\n1,2,no\n", "t=time,x=memory_rss_bytes,label=anomaly")
    samples = read(tmp_path, "t,x,label\n0,1,True\n1,2,\n2,3,False\n", "t=time,x=memory_rss_bytes,label=anomaly")
    assert samples["anomaly"].tolist() == [True, False, False]


def test_a_separator_at_the_end_of_each_row_moves_no_column(tmp_path: Path) -> None:
    samples = read(tmp_path, "t,x,y\n0,1,7,\n1,2,7,\n", "t=time,x=memory_rss_bytes")
    assert samples["memory_rss_bytes"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_what_separates_fields_and_the_encoding_are_found(tmp_path: Path, separator: str) -> None:
    content = "t,x\n0,1\n1,2\n".replace(",", separator)
    (tmp_path / "a.csv").write_bytes(content.encode("utf-16"))
    samples = read_series(tmp_path / "a.csv", parse_mapping("t=time,x=memory_rss_bytes"))
    assert samples["memory_rss_bytes"].tolist() == [1.0, 2.0]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [f"{n},{n * 10},{n % 2}" for n in range(6)]
    mapping = "t=time,x=rate:rx_bytes,y=anomaly"
    forward = read(tmp_path, "t,x,y\n" + "\n".join(rows), mapping)
    assert forward["rx_bytes"].tolist() == [0, 10, 30, 60, 100, 150]
    pd.testing.assert_frame_equal(read(tmp_path, "t,x,y\n" + "\n".join(reversed(rows)), mapping), forward)
    with pytest.raises(InputError, match="column 'x', row 2: 'much' is not a number"):
        read(tmp_path, "t,x,y\n5,1,0\n4,much,0\n3,1,0\n", mapping)


def test_times_with_and_without_a_fraction_of_a_second(tmp_path: Path) -> None:
    content = "t,x\n2026-01-01 00:00:00,1\n2026-01-01 00:00:01.500000,2\n2026-01-01 00:00:03,3\n"
    samples = read(tmp_path, content, "t=time,x=memory_rss_bytes")
    assert samples["time"].diff().dropna().dt.total_seconds().tolist() == [1.5, 1.5]


@pytest.mark.parametrize("nothing", ["inf", "", "NaN"])
def test_a_rate_that_is_not_known_is_that_of_the_next_one(tmp_path: Path, nothing: str) -> None:
    samples = read(tmp_path, f"t,x,y\n0,5,1\n1,{nothing},1\n2,7,1\n", "t=time,x=rate:rx_bytes,y=memory_rss_bytes")
    assert samples["rx_bytes"].tolist() == [0, pd.NA, 14]


@pytest.mark.parametrize("labels", [(1, 1, -1), (0, 1, 2), ("0", "0.5", "1"), (0, 0, "outlier")])
def test_labels_that_could_be_turned_round_are_refused(tmp_path: Path, labels: tuple[object, ...]) -> None:
    content = "t,x,label\n" + "".join(f"{n},1,{label}\n" for n, label in enumerate(labels))
    with pytest.raises(
        InputError, match=r"'.+' is neither 0 nor 1; say what marks an anomaly, such as label=anomaly:-1"
    ):
        read(tmp_path, content, "t=time,x=memory_rss_bytes,label=anomaly")
    odd = next(label for label in labels if label not in (0, 1, "0", "1"))
    samples = read(tmp_path, content, f"t=time,x=memory_rss_bytes,label=anomaly:{odd}")
    assert samples["anomaly"].tolist() == [label == odd for label in labels]


@pytest.mark.parametrize(
    "times",
    [
        ("02/03/2014 14:27:00", "03/03/2014 14:27:00"), ("13/03/2014", "14/03/2014"), ("02-03-2014", "03-03-2014"),
        ("10:00:00", "10:00:01"), ("Mar 2 2014", "Mar 3 2014"), ("2/3/14", "3/3/14"),
    ],
)  # fmt: skip
def test_times_that_could_be_read_in_two_ways_are_refused(
    tmp_path: Path, times: tuple[str, str], recwarn: pytest.WarningsRecorder
) -> None:
    content = "t,x\n" + "".join(f"{time},1\n" for time in times)
    with pytest.raises(InputError, match=r"column 't', row 1: '.*' could be read in several ways, or has no date; say"):
        read(tmp_path, content, "t=time,x=memory_rss_bytes")
    assert not recwarn.list


def test_times_are_read_as_the_mapping_says(tmp_path: Path) -> None:
    content = "t,x\n02/03/2014 14:27:00,1\n03/03/2014 14:27:00,1\n"
    samples = read(tmp_path, content, "t=time:%d/%m/%Y %H:%M:%S,x=memory_rss_bytes")
    assert samples["time"].dt.strftime("%F").tolist() == ["2014-03-02", "2014-03-03"]
    assert read(tmp_path, "t,x\n2014/3/2 10:00,1\n", "t=time,x=memory_rss_bytes")["time"].tolist() == [
        pd.Timestamp("2014-03-02T10:00:00Z")
    ]
    with pytest.raises(InputError, match="row 2: '14/14/2014' is not a time, or not written as '%d/%m/%Y'"):
        read(tmp_path, "t,x\n02/03/2014,1\n14/14/2014,1\n", "t=time:%d/%m/%Y,x=memory_rss_bytes")
    with pytest.raises(InputError, match="has times with and without a zone"):
        read(tmp_path, "t,x\n2014-03-02 10:00,1\n2014-03-02 10:00Z,1\n", "t=time,x=memory_rss_bytes")
    with pytest.raises(InputError, match="'memory_rss_bytes' takes nothing behind a colon"):
        parse_mapping("t=time,x=memory_rss_bytes:5")


def test_a_service_is_what_stands_there(tmp_path: Path) -> None:
    samples = read(tmp_path, "\ufefft,x,s\n0,1,007\n1,2,NA\n", "t=time,x=memory_rss_bytes,s=service")
    assert samples["service"].tolist() == ["007", "NA"]
