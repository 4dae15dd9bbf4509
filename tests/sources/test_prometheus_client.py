"""The fast reader of answers against Python's own, value by value."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podlab.sources.prometheus_client import join_series, read_matrix, read_names

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
