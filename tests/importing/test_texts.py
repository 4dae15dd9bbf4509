"""Text files as tools and people write them: marks, quotes, comments, control codes; and where in them an error is."""

from __future__ import annotations

import codecs
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from podlab.importing import import_files
from podlab.importing.mapping import Mapping, read_mapping
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


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (b"\x1f\x8b\x08", "gzip: unpack it first"),
        (b"BZh91AY", "bzip2: unpack it first"),
        (b"\xfd7zXZ\x00", "xz: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "zstd: unpack it first"),
        (b"PK\x03\x04", "zip, or a spreadsheet: unpack it, or save it as CSV"),
        (b"PAR1", "Parquet"),
        (b"SQLite format 3\x00", "a database of SQLite: export a table as CSV"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "csv.gz", "xlsx"])
def test_what_has_to_be_unpacked_first_is_told(bring: Import, begin: bytes, kind: str, ending: str) -> None:
    with pytest.raises(InputError, match=f"is not text, but {kind}"):
        bring(begin + bytes(20), columns=[CPU], ending=ending)


def test_utf_16_without_a_mark_is_told(bring: Import) -> None:
    with pytest.raises(InputError, match="line 1: holds zero bytes, as UTF-16 without a byte order mark"):
        bring(CSV.encode("utf-16-le"), columns=[CPU])
    assert len(bring(CSV.encode("utf-16"), columns=[CPU]).samples) == len(bring(CSV, columns=[CPU]).samples) > 0


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("says_so", [False, True])
def test_what_spreadsheets_put_between_fields(bring: Import, separator: str, end: str, says_so: bool) -> None:
    rows = ["pod,time,cpu", f"a,{BEGIN_S},1", f'"a",{BEGIN_S + 9},2', f"a,{BEGIN_S + 18},none"]
    head = f"sep={separator}{end}" if says_so else ""
    text = head + "".join(row.replace(",", separator) + end for row in rows)
    assert bring(text, columns=[CPU]).samples["cpu_usage_nanocores"].tolist() == [1, 2]
    with pytest.raises(InputError, match=f"line {5 + says_so}: 'soon' is not a number"):
        bring(text + separator.join(("a", "soon", "3")), columns=[CPU])


def test_blanks_around_a_columns_name_are_no_part_of_it(bring: Import) -> None:
    text = f"pod , time,\tcpu\t\na,{BEGIN_S},1\npod , time,\tcpu\t\na,{BEGIN_S + 9},2\n"
    assert bring(text, columns=[CPU]).samples["cpu_usage_nanocores"].tolist() == [1, 2]


@pytest.mark.parametrize("between", [",", " ", "\t", " \t "])
def test_arff_with_blanks_or_tabs_between_values(tmp_path: Path, between: str) -> None:
    head = "@relation r\n@attribute pod string\n@attribute note string\n@attribute cpu numeric\n@data\n"
    (tmp_path / "t.arff").write_text(head + between.join(("'a, b\tc'", '"d e"', "1")) + "\n")
    assert read_arff(tmp_path / "t.arff").rows.to_numpy().tolist() == [["a, b\tc", "d e", "1"]]


def test_columns_that_are_only_aligned_are_told(bring: Import) -> None:
    with pytest.raises(InputError, match=r"it has NAME +CPU.*, which is one column: put commas, semicolons or tabs"):
        bring("NAME    CPU(cores)   MEMORY(bytes)\nweb-1   1m           5Mi\n", columns=[CPU])


def test_a_decimal_comma_is_read_where_the_mapping_says_so(bring: Import) -> None:
    text = f"pod;time;cpu;mem\na;{BEGIN_S};1,5;2,5MiB\na;{BEGIN_S + 9};2;3MiB\n"
    columns = [CPU, {**MEMORY, "unit": "text"}]
    with pytest.raises(InputError, match="line 2: '1,5' is not a number; if its comma is a decimal one, write decimal"):
        bring(text, columns=columns)
    samples = bring(text, columns=columns, decimal=",").samples
    assert samples["cpu_usage_nanocores"].tolist() == [1.5, 2]
    assert samples["memory_usage_bytes"].tolist() == [2.5 * 2**20, 3 * 2**20]
    # Thousands are not told from decimals by guessing.
    for bad, words in (
        (text.replace("1,5;", "1.234;"), "'1.234' is not a number"),
        (text.replace("2,5M", "1.5M"), "'1.5MiB'"),
    ):
        with pytest.raises(InputError, match=words):
            bring(bad, columns=columns, decimal=",")


ANNOTATED = f"""#group,false,false,false,false,true,true
#datatype,string,long,long,double,string,string
#default,_result,,,,,
,result,table,time,_value,_field,pod
,,0,{BEGIN_S},5,mem,a
,,0,{BEGIN_S + 10},6,mem,a

#group,false,false,false,false,true,true,true
#datatype,string,long,long,long,string,string,string
#default,_result,,,,,,n0
,result,table,time,_value,_field,pod,node
,,1,{BEGIN_S},1000,cpu,a,n1
,,1,{BEGIN_S + 10},2000,cpu,b,

"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_annotated_tables_of_influxdb_2_are_put_together(bring: Import, end: str) -> None:
    parts = {"long": {"name": "_field", "value": "_value"}, "identity": {"pod": "pod", "node": "node"}}
    samples = bring(ANNOTATED.replace("\n", end), columns=[CPU, MEMORY], **parts).samples
    assert samples["pod"].tolist() == ["a", "a", "b"]
    assert samples["node"].tolist() == ["n1", "n1", "n0"]
    assert samples["memory_usage_bytes"].fillna(-1).tolist() == [5, 6, -1]
    assert samples["cpu_usage_nanocores"].fillna(-1).tolist() == [1000, -1, 2000]
    with pytest.raises(InputError, match="line 15 has 2 fields, not 8"):
        bring((ANNOTATED + ",1\n").replace("\n", end), columns=[CPU, MEMORY], **parts)
    with pytest.raises(InputError, match="no rows"):
        bring("#group,false\n#datatype,string\n", columns=[CPU], **parts)


@pytest.mark.parametrize("infinite", ["inf", "+Inf", "1e400"])
def test_an_infinite_value_is_missing_also_where_it_is_counted(bring: Import, infinite: str) -> None:
    text = f"pod,time,rx,mem\na,{BEGIN_S},{infinite},1\na,{BEGIN_S + 9},7,{infinite}\na,{BEGIN_S + 18},8,2\n"
    samples = bring(text, columns=[RX, MEMORY]).samples
    assert samples["rx_bytes"].fillna(-1).tolist() == [-1, 7, 8]
    assert samples["memory_usage_bytes"].fillna(-1).tolist() == [1, -1, 2]


def test_parquet_of_odd_columns(bring: Import, tmp_path: Path) -> None:
    """Numbers of half the bits, names that come twice, and a folder whose name looks like a column."""
    known = {"pod": ["a", "a"], "time": [BEGIN_S, BEGIN_S + 9], "cpu": np.array([5, 6], "float16"), "mem": [7, 8]}
    (tmp_path / "pod=web").mkdir()
    path = tmp_path / "pod=web" / "t.parquet"
    mapping = {"time": {"column": "time", "format": "unix-s"}, "identity": {"pod": "pod"}, "column": [CPU, MEMORY]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pq.write_table(pa.table(known), path)
        samples = import_files([path], Mapping.model_validate(mapping)).samples
    assert samples["pod"].tolist() == ["a", "a"]
    assert samples["cpu_usage_nanocores"].tolist() == [5, 6]
    columns = [pa.array(values) for values in known.values()]
    pq.write_table(pa.Table.from_arrays([*columns, columns[0]], names=[*known, "mem"]), path)
    with pytest.raises(InputError, match=r"column 'mem' is there twice; name one of 'mem \(1\)', 'mem \(2\)'"):
        import_files([path], Mapping.model_validate(mapping))


@pytest.mark.parametrize("unit", ["ns", "ms", "s"])
def test_durations_have_their_unit_themselves(tmp_path: Path, unit: str) -> None:
    times = [pd.Timestamp(BEGIN_S, unit="s", tz="UTC"), pd.Timestamp(BEGIN_S + 10, unit="s", tz="UTC")]
    used, ran = (pa.array(values, pa.duration("ms")) for values in ([1500, 2500], [5_000, None]))
    pq.write_table(pa.table({"pod": ["a", "a"], "time": times, "used": used, "ran": ran}), tmp_path / "t.parquet")
    mapping = {
        "time": {"column": "time"},
        "identity": {"pod": "pod", "started_at": {"age": "ran", "unit": "text" if unit == "ns" else unit}},
        "column": [{"name": "used", "metric": "cpu_usage_core_nanoseconds", "unit": unit}],
    }
    samples = import_files([tmp_path / "t.parquet"], Mapping.model_validate(mapping)).samples
    assert samples["cpu_usage_core_nanoseconds"].tolist() == [1_500_000_000, 2_500_000_000]
    assert samples["started_at"].tolist() == [times[0] - pd.Timedelta("5s")] * 2
    mapping["column"] = [{"name": "used", "metric": "rx_bytes", "unit": "bytes"}]
    with pytest.raises(InputError, match=r"'0 days 00:00:01\.500000' is not a number"):
        import_files([tmp_path / "t.parquet"], Mapping.model_validate(mapping))


def test_flags_are_no_numbers(bring: Import, tmp_path: Path) -> None:
    pd.DataFrame({"pod": ["a"], "time": BEGIN_S, "cpu": [True]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="column 'cpu' is true and false, not numbers"):
        bring((tmp_path / "t.parquet").read_bytes(), columns=[CPU], ending="parquet")


def test_a_number_of_thousands_of_digits_is_named_by_its_line(bring: Import) -> None:
    with pytest.raises(InputError, match=r"column 'cpu', line 1: '9999.*' is not a number"):
        bring(JSON_LINE.replace(":1}", f":{'9' * 5000}}}"), columns=[CPU], ending="jsonl")


@pytest.mark.parametrize("rows", [1, 2])
def test_a_separator_that_ends_each_row_but_not_the_header(bring: Import, rows: int) -> None:
    text = "pod,time,cpu\n" + "".join(f"a,{BEGIN_S + n},{n + 1},\n" for n in range(rows))
    samples = bring(text, columns=[CPU]).samples
    assert samples["cpu_usage_nanocores"].tolist() == list(range(1, rows + 1))
    with pytest.raises(InputError, match="line 2 has 4 fields, not 3"):
        bring(text.replace(",1,\n", ",1,x\n"), columns=[CPU])


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
