"""Whatever bytes a file holds, it is imported or refused on one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.errors import PodlabError
from podlab.importing import import_files
from podlab.importing.mapping import Mapping
from tests.importing.conftest import BEGIN_S, CPU, LONG, RX, answer_of

MAPPING = {
    "time": {"column": "time"}, "identity": {"pod": "pod", "started_at": "start"}, "labels": {"service": "kind"},
    "column": [CPU, {**RX, "unit": "text"}],
}  # fmt: skip
CELL = st.one_of(
    st.text(max_size=6), st.integers(-(2**65), 2**65).map(str), st.floats().map(repr),
    st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01 00:00:00+02", "12:00"]),
    st.sampled_from(["0B / 0B", "1MiB / 2GiB", "34Mi", "null", "--"]),
)  # fmt: skip
ROW = st.fixed_dictionaries(dict.fromkeys(("time", "pod", "start", "kind", "cpu", "rx"), CELL))


def import_or_refuse(content: bytes, ending: str, folder: Path, mapping: dict) -> None:
    path = folder / f"t.{ending}"
    path.write_bytes(content)
    refused = ""
    try:
        refused = "" if len(import_files([path], Mapping.model_validate(mapping)).samples) else "no rows"
    except PodlabError as error:
        refused = str(error)
    assert "\n" not in refused


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["csv", "jsonl", "arff", "json", "parquet"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str) -> None:
    import_or_refuse(content, ending, tmp_path_factory.mktemp("any"), MAPPING)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=4), st.integers(0, 400), st.sampled_from(["jsonl", "csv", "arff"]))
def test_any_cells(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]], cut: int, ending: str) -> None:
    names = list(rows[0])
    if ending == "jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        quoted = ["'" + cell.replace("'", "") + "'" for row in rows for cell in row.values()]
        lines = [",".join(quoted[n : n + len(names)]) for n in range(0, len(quoted), len(names))]
        header = (
            ",".join(names) if ending == "csv" else "\n".join(f"@attribute {name} string" for name in names) + "\n@data"
        )
        text = "\n".join([header, *lines]).replace("'", "'" if ending == "arff" else '"')
    content = text.encode("utf-8", "replace")
    folder = tmp_path_factory.mktemp("any")
    import_or_refuse(content, ending, folder, MAPPING)
    import_or_refuse(content[: len(content) - cut % len(content)], ending, folder, MAPPING)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_saved_answer_with_a_changed_byte(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    content = bytearray(answer_of(({"__name__": "cpu", "pod": "a", "container": "c"}, [1, 2, BEGIN_S])).encode())
    content[at % len(content)] = byte
    mapping = {"identity": {"pod": "pod", "container": "container"}, "column": [CPU], **LONG}
    import_or_refuse(bytes(content), "json", tmp_path_factory.mktemp("any"), mapping)
