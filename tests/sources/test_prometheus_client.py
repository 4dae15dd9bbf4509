"""The fast reader of answers against Python's own, value by value."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.sources.prometheus_client import PrometheusApi, QueryError, Refusal, join_series, read_matrix, read_names
from podlab.sources.prometheus_series import needed_columns
from podlab.sources.remote_write import OutSeries, write_series

LABELS = st.dictionaries(st.sampled_from(["pod", "id", "image"]), st.text(max_size=8), max_size=3)
NUMBERS = st.floats(width=64).map(lambda x: {math.inf: "+Inf", -math.inf: "-Inf"}.get(x, "NaN" if x != x else repr(x)))
TIMES_MS = st.integers(0, 4_000_000_000_000)
SERIES = st.lists(st.tuples(LABELS, st.lists(st.tuples(TIMES_MS, NUMBERS), max_size=5)), max_size=5)


def answer(series: list, *, indent: int | None = None) -> bytes:
    result = [{"metric": labels, "values": [[ms / 1000, text] for ms, text in values]} for labels, values in series]
    whole = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return json.dumps(whole, indent=indent, ensure_ascii=False).encode()


@given(SERIES, st.sampled_from([None, 1]))
def test_reads_what_the_naive_reader_reads(series: list, indent: int | None) -> None:
    raw = read_matrix(answer(series, indent=indent), where="test")
    got = list(zip(raw.series.tolist(), raw.time_ms.tolist(), raw.value.tolist(), strict=True))
    naive = [(n, ms, float(text)) for n, (_, values) in enumerate(series) for ms, text in values]
    assert got == [each for each in naive if math.isfinite(each[2])]
    assert raw.labels == [labels for labels, _ in series]


@given(SERIES, SERIES)
def test_joined_answers_keep_their_series(first: list, second: list) -> None:
    parts = [read_matrix(answer(each), where="test") for each in (first, second)]
    joined, whole = join_series(parts), read_matrix(answer(first + second), where="test")
    assert joined.labels == whole.labels
    for name in ("series", "time_ms", "value"):
        assert getattr(joined, name).tolist() == getattr(whole, name).tolist()


def test_a_large_counter_keeps_every_bit() -> None:
    raw = read_matrix(answer([({}, [(1_700_000_000_123, "9007199254740991")])]), where="test")
    assert int(raw.value[0]) == 2**53 - 1


def test_a_warning_is_told(caplog: pytest.LogCaptureFixture) -> None:
    body = json.loads(answer([]))
    read_matrix(json.dumps({**body, "warnings": ["store 10.0.0.7 is\naway"]}).encode(), where="test")
    assert "test: the answer may be incomplete: store 10.0.0.7 is away" in caplog.text


def test_null_is_an_empty_list() -> None:
    body = b'{"status":"success","data":{"resultType":"matrix","result":null},"warnings":null}'
    assert read_matrix(body, where="test").labels == []
    assert read_names(b'{"status":"success","data":null}', where="test") == []


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ({"errorType": "bad_data", "error": "parse error"}, Refusal("bad_data", "parse error")),
        ({"error": "parse error"}, Refusal("unknown", "parse error")),
        ({"errorType": "timeout"}, Refusal("timeout", "error")),
    ],
)
def test_an_answer_that_says_error_keeps_its_kind(answer: dict[str, str], refusal: Refusal) -> None:
    with pytest.raises(QueryError) as caught:
        read_matrix(json.dumps({"status": "error", **answer}).encode(), where="test")
    assert caught.value.refusal == refusal


def test_rows_are_counted_by_the_containers_own_metrics() -> None:
    assert needed_columns(["memory_rss_bytes"]) == {"memory_rss_bytes"}
    assert needed_columns(["memory_rss_bytes", "rx_bytes"]) == {"memory_rss_bytes", "rx_bytes"}
    assert needed_columns(["rx_bytes"]) == {"rx_bytes", "memory_working_set_bytes"}


@pytest.mark.parametrize("time_ms", [[1, 2, 3], [1_767_600_000_000, 1_767_600_000_001, 1 << 43]])
def test_times_that_remote_write_is_not_written_for_are_refused(time_ms: list[int]) -> None:
    series = OutSeries({"__name__": "up"}, np.array(time_ms, np.int64), np.ones(3))
    with pytest.raises(InputError, match="a sample's time is before 1971 or after 2109"):
        write_series([series], PrometheusApi("http://127.0.0.1:1"))
