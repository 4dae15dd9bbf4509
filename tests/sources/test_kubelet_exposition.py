"""Reading a family out of a text: the same as the official parser reads, which reads all."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from prometheus_client.parser import text_string_to_metric_families

from podlab.errors import PodlabError
from podlab.sources.kubelet_answers import read_family

NAMES = ("container_fs_reads_bytes_total", "container_fs_reads_total", "container_fs_writes_bytes_total", "up")
LABELS = st.dictionaries(
    st.sampled_from(["container", "pod", "namespace", "id", "device"]),
    st.text(st.sampled_from('a/"\\\n{},= né#'), max_size=8),
    max_size=4,
)
VALUES = st.one_of(st.floats(allow_nan=False), st.integers(0, 2**60).map(float))
LINES = st.lists(st.tuples(st.sampled_from(NAMES), LABELS, VALUES, st.none() | st.integers(0, 2**42)), max_size=12)


def write(lines: list[tuple[str, dict[str, str], float, int | None]]) -> str:
    text = ["# HELP up Some words.", ""]
    for name, labels, value, time_ms in lines:
        escaped = {
            key: each.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, each in labels.items()
        }
        inside = ",".join(f'{key}="{each}"' for key, each in escaped.items())
        number = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, repr(value))
        head = f"# TYPE {name} untyped\n{name}{{{inside}}}" if labels else f"# TYPE {name} untyped\n{name}"
        text.append(f"{head} {number}" + ("" if time_ms is None else f" {time_ms}"))
    return "\n".join(text) + "\n"


@given(LINES)
@settings(max_examples=200)
def test_it_reads_what_the_official_parser_reads(
    lines: list[tuple[str, dict[str, str], float, int | None]],
) -> None:
    text = write(lines)
    for name in NAMES:
        ours = [(each.labels, each.value, each.time_ms) for each in read_family(text.encode(), name, where="here")]
        theirs = [
            (sample.labels, sample.value, None if sample.timestamp is None else round(float(sample.timestamp) * 1000))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        ]
        assert ours == theirs


def test_a_text_that_breaks_off_is_refused() -> None:
    text = write([("up", {"pod": "a"}, 1.0, None)]).encode()
    with pytest.raises(PodlabError, match="break off in the middle of a line"):
        list(read_family(text[:-4], "up", where="here"))


def test_a_line_that_is_none_is_shown() -> None:
    with pytest.raises(PodlabError, match=r"here: is no line of metrics: up<html>|up { what"):
        list(read_family(b"up { what\n", "up", where="here"))


@pytest.mark.parametrize("number", [".", "1.2.3", "", "0x5", "1e", "1_0", "infinity"])
def test_what_is_no_number_is_shown(number: str) -> None:
    with pytest.raises(PodlabError, match="here: is no line of metrics: up"):
        list(read_family(f"up {number}\n".encode(), "up", where="here"))


@pytest.mark.parametrize("number", ["1.", ".5", "-1.5e+06", "1E3", "+Inf", "-Inf", "NaN"])
def test_numbers_as_go_writes_and_reads_them(number: str) -> None:
    [series] = read_family(f"up {number}\n".encode(), "up", where="here")
    assert series.value == float(number) or number == "NaN"
