"""Text files as tools and people write them: marks, quotes, comments, control codes; and where in them an error is."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.importing.mapping import read_mapping
from podlab.importing.readers import read_arff, read_table
from tests.importing.conftest import BEGIN_S, CPU, LONG, MEMORY, RX, Import, answer_of

JSON_LINE = f'{{"pod":"a","time":{BEGIN_S},"cpu":1}}\n'
CSV = f"pod,time,cpu\na,{BEGIN_S},1\n"


@pytest.mark.parametrize(
    "text",
    [codecs.BOM_UTF8 + b"%s", codecs.BOM_UTF16_LE + b"%s", codecs.BOM_UTF16_BE + b"%s"],
    ids=["8", "16le", "16be"],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_a_byte_order_mark_is_no_part_of_the_text(bring: Import, text: bytes, ending: str) -> None:
    mark = text.removesuffix(b"%s")
    encoding = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le"}.get(mark, "utf-16-be")
    answer = answer_of(({"__name__": "cpu", "pod": "a", "container": "c"}, [1]))
    content = {"csv": CSV, "jsonl": JSON_LINE, "json": answer}[ending]
    parts = {**LONG, "identity": {"pod": "pod", "container": "container"}} if ending == "json" else {}
    samples = bring(mark + content.encode(encoding), columns=[CPU], ending=ending, **parts).samples
    assert samples["cpu_usage_nanocores"].tolist() == [1]


def test_a_mapping_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    column = '[[column]]\nname = "cpu"\nmetric = "cpu_usage_nanocores"\nunit = "cores"\n'
    path.write_text(f'[time]\ncolumn = "t"\n[identity]\npod = "pod"\n{column}', encoding="utf-8-sig")
    assert read_mapping(path).time.column == "t"


@pytest.mark.parametrize(
    ("ending", "text", "words"),
    [
        ("jsonl", JSON_LINE * 3 + '{"pod":"a","ti', "line 4: Unterminated string starting at column 12: '{\"pod\":"),
        ("jsonl", JSON_LINE + "\n" + "{a\n", "line 3: Expecting property name enclosed in double quotes at column 2"),
        ("jsonl", JSON_LINE + "[" * 100_000, "line 2: is nested too deeply"),
        ("jsonl", JSON_LINE + '{"pod":"\\ud800"}\n', "line 2: holds half a character"),
        ("jsonl", JSON_LINE + "\x1b[2J\x1b[H" + JSON_LINE, "line 2: begins with terminal control codes (docker stats"),
        ("csv", CSV + f"a,{BEGIN_S},1\x1b[K\n", "line 3: holds terminal control codes"),
        ("csv", CSV + '"a\nb",1\n', "line 3 has 2 fields, not 3: '\"a'"),
        ("csv", "pod,time,cpu\ra,b\r", "line 2 has 2 fields, not 3: 'a,b'"),
        ("csv", CSV + "a,b\rc,d\n", "line 3 has 2 fields, not 3: 'a,b'"),
        ("csv", CSV + 'a,"1', "line 3: unexpected end of data: 'a,\"1'"),
        ("csv", f'pod,time,cpu\n"a\nb",{BEGIN_S},1\na,{BEGIN_S},x\n', "column 'cpu', line 4: 'x' is not a number"),
        ("csv", f"pod,time,cpu\n\na,{BEGIN_S},1\na,soon,2\n", "column 'time', line 4: 'soon' is not a number"),
        ("csv", f"pod,time,cpu\na,{BEGIN_S},-3\n", "column 'cpu', line 2: '-3' is negative"),
    ],
)  # fmt: skip
def test_an_error_says_the_files_own_line(bring: Import, ending: str, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        bring(text, columns=[CPU], ending=ending)
    assert words in str(caught.value)


def test_a_line_that_is_no_text_is_named(bring: Import) -> None:
    with pytest.raises(InputError, match="line 3: is not UTF-8 text"):
        bring(CSV.encode() + b"a\xff,1,2\n", columns=[CPU])


@pytest.mark.parametrize(("begin", "kind"), [(b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip"), (b"PAR1", "Parquet")])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_what_has_to_be_unpacked_first_is_told(bring: Import, begin: bytes, kind: str, ending: str) -> None:
    with pytest.raises(InputError, match=f"is {kind}, not text"):
        bring(begin + bytes(20), columns=[CPU], ending=ending)


def test_flags_are_no_numbers(bring: Import, tmp_path: Path) -> None:
    pd.DataFrame({"pod": ["a"], "time": BEGIN_S, "cpu": [True]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="column 'cpu' is true and false, not numbers"):
        bring((tmp_path / "t.parquet").read_bytes(), columns=[CPU], ending="parquet")


def test_a_text_with_a_unit_is_named_by_its_line(bring: Import) -> None:
    text = f'{{"pod":"a","time":{BEGIN_S},"mem":"1MiB / 2GiB"}}\n{{"pod":"a","time":{BEGIN_S},"mem":"1 apple"}}\n'
    with pytest.raises(InputError, match="column 'mem', line 2: '1 apple' is not a number with a unit of"):
        bring(text, columns=[{**MEMORY, "unit": "text"}], ending="jsonl")


def test_a_saved_answer_that_is_a_part_says_so(bring: Import) -> None:
    answer = json.loads(answer_of(({"__name__": "cpu", "pod": "a"}, [1])))
    with pytest.raises(InputError, match="json: the answer is only a part: some of its storage"):
        bring(json.dumps({**answer, "isPartial": True}), columns=[CPU], ending="json", **LONG)
    with pytest.raises(InputError, match="json: the answer is not Prometheus' or broke off"):
        bring(json.dumps(answer)[:60], columns=[CPU], ending="json", **LONG)


def test_what_pandas_keeps_beside_the_columns_is_left_aside(bring: Import, tmp_path: Path) -> None:
    def frame(pod: str) -> pd.DataFrame:
        time = pd.date_range("2026-01-01", periods=3, freq="10s", tz="UTC")
        return pd.DataFrame({"time": time, "pod": pod, "rx": [5, 7, 9]}).astype({"pod": "category"})

    both = pd.concat([frame("a"), frame("b")])  # the index has each number twice
    for name, table, kind, rows in (
        ("twice", both.astype({"pod": "str"}), "counter", [5, 7, 9] * 2),
        ("growth", both.astype({"pod": "str"}), "growth", [0, 7, 16] * 2),
        ("time", frame("a").set_index("time"), "counter", [5, 7, 9]),
        ("levels", frame("a").set_index(["pod", "time"]), "counter", [5, 7, 9]),
    ):
        table.to_parquet(tmp_path / f"{name}.parquet")
        content = (tmp_path / f"{name}.parquet").read_bytes()
        column = {**RX, "kind": kind}
        samples = bring(content, columns=[column], ending="parquet", time={"column": "time"}).samples
        assert samples["rx_bytes"].tolist() == rows


HEADER = """@relation x
@attribute pod string
@ATTRIBUTE cpu numeric % of a core
@attribute 'the class'{a, "web's",'c, d'}
"""


def arff(tmp_path: Path, data: str, header: str = HEADER) -> pd.DataFrame:
    (tmp_path / "t.arff").write_text(f"% made up\n{header}@data\n{data}")
    return read_arff(tmp_path / "t.arff").rows


def test_arff_as_weka_reads_it(tmp_path: Path) -> None:
    rows = arff(tmp_path, "w1,5,a % a comment\n% another\n\nw2, ?,\"web's\"\n'it\\'s 5%',6,'c, d'\nw3 7 a\n")
    assert rows["pod"].tolist() == ["w1", "w2", "it's 5%", "w3"]
    assert rows["cpu"].fillna("-").tolist() == ["5", "-", "6", "7"]
    assert rows["the class"].tolist() == ["a", "web's", "c, d", "a"]
    assert arff(tmp_path, "1,x\n", "@relation r\n@attribute class{1,0}\n@attribute a string\n")["class"].tolist() == [
        "1"
    ]


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        (HEADER, "w1,5,b\n", r"line 7: 'b' is none of a, web's, c, d, the values of 'the class'"),
        (HEADER, "w1,5,a\n\n% x\nw1,5,A\n", "line 10: 'A' is none of a"),
        (HEADER, "w1,5\n", "line 7 has 2 fields, not 3: 'w1,5'"),
        (HEADER, "w1,5,'a\n", "line 7: a quote that does not end"),
        (HEADER, "{0 w1}\n", "line 7: sparse data is not read"),
        ("@attribute c {a,b\n", "a\n", "line 2: the values of 'c' do not end with }"),
        ("@attribute c\n", "a\n", "line 2: '@attribute c' is not an attribute"),
        ("@attribute c relational\n", "a\n", "line 2: 'c' is of a type that is not read: 'relational'"),
        ("attribute c\n", "a\n", "line 2: is not a part of a header"),
    ],
)
def test_what_an_arff_file_does_not_declare_is_refused(tmp_path: Path, header: str, data: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        arff(tmp_path, data, header)


VALUE = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=5), st.sampled_from("'\""))
def test_quoted_values_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], quote: str
) -> None:
    def quoted(value: str) -> str:
        return quote + value.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote

    path = tmp_path_factory.mktemp("arff") / "t.arff"
    known = ",".join(quoted(value) for value in dict.fromkeys(value for _, value in rows))
    data = "\n".join(f"{quoted(a)} , {quoted(b)}" for a, b in rows)
    path.write_text(
        f"@relation x\n@attribute {quoted('a b')} string\n@attribute c{{{known}}}\n@data\n{data}\n", "utf-8"
    )
    table = read_table(path, None)
    assert table.rows.fillna("").to_numpy().tolist() == [list(row) for row in rows]
    assert table.lines.tolist() == list(range(5, 5 + len(rows)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=5))
def test_csv_and_json_lines_come_back_with_their_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "t.jsonl").write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows), "utf-8")
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(folder / "t.csv", index=False, quoting=1)
    for name, first in (("t.jsonl", 1), ("t.csv", 2)):
        table = read_table(folder / name, None)
        assert table.rows.fillna("").to_numpy().tolist() == [list(row) for row in rows]
        assert table.lines.tolist() == list(range(first, first + len(rows)))
