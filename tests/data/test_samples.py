"""The samples table: good tables come out typed and ordered, bad ones are refused by file, column and row."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.data.samples import check_samples, is_sound, schema
from podlab.errors import InputError

T0 = pd.Timestamp("2026-01-05T08:00:00Z")


def _table(rows: int = 3, **columns: object) -> pd.DataFrame:
    base = {
        "time": [T0 + pd.Timedelta(seconds=number) for number in range(rows)],
        "pod": "web-1",
        "container": "main",
        "memory_usage_bytes": 1000.0,
    }
    return pd.DataFrame({**base, **columns})


def test_types_are_those_of_the_table() -> None:
    table = check_samples(_table(rx_bytes=[1, 2, 3], anomaly=["true", "0", None]), where="f")
    kinds = {column: str(dtype) for column, dtype in table.dtypes.items()}
    assert kinds["time"] == "datetime64[ns, UTC]"
    assert kinds["memory_usage_bytes"] == "float64"
    assert kinds["rx_bytes"] == "Int64"
    assert kinds["anomaly"] == "boolean"
    assert table["anomaly"].tolist() == [True, False, pd.NA]
    assert (table["cluster"] == "local").all()


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**63 - 1)), min_size=3, max_size=3))
def test_counters_stay_exact_beyond_float_precision(values: list[int | None]) -> None:
    for column in (
        pd.Series(values, dtype=object),
        pd.Series(values, dtype="Int64"),
        pd.Series([None if value is None else str(value) for value in values], dtype=object),
    ):
        table = check_samples(_table(rx_bytes=column), where="f")
        assert [None if value is pd.NA else value for value in table["rx_bytes"].tolist()] == values


def test_missing_stays_missing_and_infinite_is_missing() -> None:
    table = check_samples(_table(memory_usage_bytes=[1.0, np.nan, np.inf], rx_bytes=[1.0, np.nan, np.inf]), where="f")
    assert table["memory_usage_bytes"].isna().tolist() == [False, True, True]
    assert table["rx_bytes"].isna().tolist() == [False, True, True]


def test_rows_come_out_in_order_of_container_and_time() -> None:
    frame = _table(4, pod=["b", "a", "b", "a"]).iloc[::-1]
    table = check_samples(frame, where="f")
    assert table["pod"].tolist() == ["a", "a", "b", "b"]
    assert table.groupby("pod")["time"].is_monotonic_increasing.all()


def test_a_repeated_row_counts_once(caplog: pytest.LogCaptureFixture) -> None:
    frame = pd.concat([_table(), _table()])
    with caplog.at_level(logging.WARNING):
        assert len(check_samples(frame, where="f")) == 3
    assert "3 rows repeat" in caplog.text


def test_a_restarted_container_is_not_a_repetition() -> None:
    frame = pd.concat([_table(started_at=T0), _table(started_at=T0 + pd.Timedelta(seconds=1))])
    assert len(check_samples(frame, where="f")) == 6


def test_rows_that_know_different_things_become_one(caplog: pytest.LogCaptureFixture) -> None:
    cpu = _table(node="n1", cpu_usage_nanocores=[1.0, 2.0, 3.0]).drop(columns="memory_usage_bytes")
    memory = _table(image="redis:7", rx_bytes=[5, None, 7], started_at=T0)
    table = check_samples(pd.concat([cpu, memory]), where="f")
    assert table["cpu_usage_nanocores"].tolist() == [1.0, 2.0, 3.0]
    assert table["memory_usage_bytes"].tolist() == _table()["memory_usage_bytes"].tolist()
    assert table["rx_bytes"].tolist() == [5, pd.NA, 7]
    assert set(table["node"]) == {"n1"}
    assert set(table["image"]) == {"redis:7"}
    assert set(table["started_at"]) == {T0}
    assert "3 rows repeat a container and time and are left out; what only they know is kept" in caplog.text


def test_rows_that_contradict_each_other_are_named(caplog: pytest.LogCaptureFixture) -> None:
    table = check_samples(pd.concat([_table(rx_bytes=[1, 2, 3]), _table(rx_bytes=[1, 9, None])]), where="f")
    assert table["rx_bytes"].tolist() == [1, 2, 3]
    assert "3 rows repeat a container and time, 1 of them with other values, such as pod 'web-1' at" in caplog.text
    assert "rx_bytes 2 and 9; the first counts" in caplog.text


@pytest.mark.parametrize(
    "word",
    ["", " ", "   ", "\t", "\u00a0", "null", "NULL", "Null", "(null)", "None", "none", "NONE", "NaN", "nan", "NaT",
     "<none>", "<nil>", "<NA>", "<unknown>", "N/A", "n/a", "#N/A", "\\N", "undefined", "-", "--"],
)  # fmt: skip
@pytest.mark.parametrize(
    "column", ["cluster", "node", "pod_uid", "image", "service", "deployment", "variant", "version"]
)
def test_a_word_for_missing_is_no_name(word: str, column: str) -> None:
    table = check_samples(_table(**{column: ["x", word, None]}), where="f")
    expected = "local" if column == "cluster" else "-"
    assert sorted(table[column].fillna("-")) == sorted(["x", expected, expected])


@pytest.mark.parametrize("column", ["rx_bytes", "memory_working_set_bytes"])
def test_words_for_a_missing_number(column: str) -> None:
    table = check_samples(_table(**{column: ["5", "NA", "\\N"]}), where="f")
    assert table[column].notna().tolist() == [True, False, False]


def test_na_may_be_the_name_of_a_cluster() -> None:
    assert check_samples(_table(cluster="NA"), where="f")["cluster"].tolist() == ["NA"] * 3


def test_kubernetes_names_may_be_words_for_missing_but_not_empty() -> None:
    assert check_samples(_table(pod="null", namespace="nan"), where="f")["pod"].tolist() == ["null"] * 3
    for column, word in (("pod", ""), ("container", "None"), ("pod", "<none>"), ("pod", "  "), ("pod", "n/a")):
        with pytest.raises(InputError, match=f"column '{column}', row 0: is missing"):
            check_samples(_table(**{column: word}), where="f")
    table = check_samples(
        _table(started_at=["", "<none>", "2026-01-05T08:00:00Z"], anomaly=["", "null", "1"]), where="f"
    )
    assert table["started_at"].notna().tolist() == [False, False, True]
    assert table["anomaly"].tolist() == [pd.NA, pd.NA, True]


BIG = 2**62 + 1  # no float is it


@pytest.mark.parametrize(
    "values",
    [
        np.array([BIG, 2**63, 2**64 - 1], dtype="uint64"),
        pd.array([BIG, 2**64 - 1, None], dtype="UInt64"),
        [str(BIG), "18446744073709551615", "18446744073709551616"],
        [BIG, 2**64, 2**70],
    ],
)
def test_counts_beyond_64_bits_are_missing_with_a_warning(values: object, caplog: pytest.LogCaptureFixture) -> None:
    table = check_samples(_table(rx_bytes=values), where="f")
    assert table["rx_bytes"].tolist() == [BIG, pd.NA, pd.NA]
    assert "values of rx_bytes are beyond 2**63 and count as missing" in caplog.text
    levels = check_samples(_table(memory_usage_bytes=[2.0**62, 2.0**63, 1.8446744073709552e19]), where="f")
    assert levels["memory_usage_bytes"].notna().tolist() == [True, False, False]


def test_unknown_columns_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        table = check_samples(_table(phase_of_moon=1), where="f")
    assert "phase_of_moon" not in table
    assert "phase_of_moon" in caplog.text


def test_times_are_read_with_and_without_zone() -> None:
    texts = ["2026-01-05T09:00:00+01:00", "2026-01-05T08:00:01Z", "2026-01-05 08:00:02.5"]
    table = check_samples(_table(time=texts), where="f")
    assert (table["time"] - T0).dt.total_seconds().tolist() == [0, 1, 2.5]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (_table().drop(columns="pod"), "column 'pod' is missing"),
        (_table().drop(columns="memory_usage_bytes"), "no metric column"),
        (_table().iloc[:0], "no rows"),
        (_table(memory_usage_bytes=["1", "two", "3"]), "column 'memory_usage_bytes', row 1: 'two' is not a number"),
        (_table(rx_bytes=[1, -5, 3]), "column 'rx_bytes', row 1: -5 is negative"),
        (_table(rx_bytes=[True, False, True]), "column 'rx_bytes', row 0: 'True' is not a number"),
        (_table(time=["2026-01-05T08:00:00Z", "noon", "?"]), "column 'time', row 1: 'noon' is not a time"),
        (_table(time=[1, 2, 3]), "column 'time', row 0: '1' is a number, not a time"),
        (
            _table(started_at=["2026-01-05T08:00:00Z", None, "0001-01-01T00:00:00Z"]),
            "column 'started_at', row 2: '0001-01-01T00:00:00Z' is not a time between 1678 and 2261",
        ),
        (_table(time=pd.to_datetime(["9999-12-31"] * 3)), "column 'time', row 0: '9999-12-31T00:00:00"),
        (_table(pod=["a", None, "b"]), "column 'pod', row 1: is missing"),
        (_table(anomaly=["true", "maybe", None]), "column 'anomaly', row 1: 'maybe' is not true or false"),
    ],
)
def test_bad_tables_are_refused_by_file_column_and_row(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_samples(frame, where="rec.parquet")
    assert str(caught.value).startswith(f"rec.parquet: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil",
    [
        {},
        {"memory_usage_bytes": [1.0, np.nan, -1e-9]},
        {"rx_bytes": pd.array([1, None, -1], dtype="Int64")},
        {"rx_bytes": pd.array([1, None, 2**63 - 1], dtype="Int64")},
        {"rx_bytes": [1.0, 2.0, 3.0]},
        {"pod": pd.array(["web-1", None, "web-1"], dtype="str")},
        {"time": [T0, pd.NaT, T0]},
        {"namespace": pd.array([None] * 3, dtype="str")},
        {"started_at": [1, 2, 3]},
        {"colour": ["red"] * 3},
    ],
)
def test_the_quick_check_finds_what_the_schema_finds(spoil: dict[str, object]) -> None:
    table = check_samples(_table(), where="f").assign(**spoil)
    try:
        fits = len(schema().validate(table, lazy=True)) == 3
    except pa.errors.SchemaErrors:
        fits = False
    assert is_sound(table) == fits


def test_the_quick_check_misses_a_column_as_the_schema_does() -> None:
    table = check_samples(_table(), where="f").drop(columns="pod")
    with pytest.raises(pa.errors.SchemaErrors):
        schema().validate(table, lazy=True)
    assert not is_sound(table)
