"""What random damage has found, kept by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import nbformat
import pytest

from podlab.errors import InputError, PodlabError
from podlab.importing import read_mapping
from podlab.notebook.parameters import parse_parameters, read_parameters
from podlab.sources.influxdb_client import read_rows, read_series
from podlab.sources.kubelet_answers import read_family, read_summary
from podlab.sources.prometheus_client import read_matrix, read_names, read_refusal

DEEP = b"[" * 100_000


def influx_rows(columns: list[str], *rows: list[object]) -> bytes:
    return msgspec.json.encode({"results": [{"series": [{"columns": columns, "values": rows}]}]})


@pytest.mark.parametrize(
    "read",
    [
        lambda: read_matrix(b'{"status":"success","data":' + DEEP, where="w"),
        lambda: read_names(b'{"status":"success","data":' + DEEP, where="w"),
        lambda: read_series(b'{"results":[{"series":[{"columns":[],"values":[' + DEEP, where="w"),
        lambda: read_summary(b'{"node":{},"pods":[],"more":' + DEEP, "n", ()),
    ],
    ids=["prometheus", "prometheus' names", "influxdb", "kubelet"],
)
def test_an_answer_nested_without_end_is_refused(read: Callable[[], object]) -> None:
    with pytest.raises(PodlabError, match="broke off"):
        read()
    assert read_refusal(DEEP).kind is None


def test_a_time_beyond_all_calendars_is_refused() -> None:
    result = b'[{"metric":{},"values":[[1e300,"1"]]}]'
    with pytest.raises(PodlabError, match="its times are none"):
        read_matrix(b'{"status":"success","data":{"resultType":"matrix","result":' + result + b"}}", where="w")


def test_a_time_of_thousands_of_digits_is_no_line_of_metrics() -> None:
    with pytest.raises(PodlabError, match="is no line of metrics: up 1 999"):
        list(read_family(b"up 1 " + b"9" * 5000 + b"\n", "up", where="w"))


@pytest.mark.parametrize(
    "answer",
    [
        influx_rows(["time", "a", "pod"], [1]),
        influx_rows(["a", "time", "pod"], [1, 2, [3]]),
        influx_rows(["a", "time", "pod"], [1, 2, 3]),
        influx_rows(["time", "a"], [1, {"a": 1}]),
        influx_rows(["time", "a"], [1, [1, 2]], [2, 3]),
    ],
    ids=["too few values", "a list as a tag", "a number as a tag", "a map as a value", "a list as a value"],
)
def test_rows_of_influxdb_that_are_none_are_refused(answer: bytes) -> None:
    with pytest.raises(PodlabError, match="its rows"):
        read_rows(answer, {"a": "a"}, ["pod"], where="w")


def test_numbers_without_a_sign_beside_negative_ones_stay_numbers() -> None:
    rows = read_rows(influx_rows(["time", "a"], [1, 2**64 - 1], [2, -1], [3, None]), {"a": "a"}, [], where="w")
    assert rows.fields["a"].dtype == "Float64"
    assert rows.fields["a"].to_list()[:2] == [2.0**64, -1.0]


def test_a_number_of_thousands_of_digits_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text("a = " + "9" * 5000)
    with pytest.raises(InputError, match="not valid TOML"):
        read_mapping(path)


@pytest.mark.parametrize("source", ["a = 'x\x00'", "a = " + "(" * 300 + "1" + ")" * 300, "a = {[]: 1}", "a = -'x'"])
def test_parameters_that_python_cannot_take_are_refused(source: str) -> None:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    with pytest.raises(InputError, match=r"not Python|not a literal"):
        read_parameters(nbformat.v4.new_notebook(cells=[cell]), where="n")


def test_a_number_too_large_for_a_parameter_is_refused() -> None:
    cell = nbformat.v4.new_code_cell("share: float = 0.5", metadata={"tags": ["parameters"]})
    known = read_parameters(nbformat.v4.new_notebook(cells=[cell]), where="n")
    for value in (10**400, json.loads("1e999"), "9" * 5000):
        with pytest.raises(InputError, match="share"):
            parse_parameters(known, {"share": value}, where="n")
