"""What is unknown, missing or ambiguous is refused, on one line that says where and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.importing import import_files, read_mapping

MAPPING = """
[time]
column = "time"
[identity]
pod = "pod"
[[column]]
name = "memory"
metric = "memory_usage_bytes"
unit = "MiB"
"""
TABLE = "time,pod,memory,rx\n2026-01-01T00:00:00Z,a,1,5\n2026-01-01T00:00:10Z,a,2,9\n"
COUNTER = '[[column]]\nname = "rx"\nmetric = "rx_bytes"\nunit = "bytes"\n'


def refuse(tmp_path: Path, mapping: str, table: str = TABLE, name: str = "table.csv") -> str:
    (tmp_path / "mapping.toml").write_text(mapping)
    (tmp_path / name).write_text(table)
    with pytest.raises(InputError) as caught:
        import_files([tmp_path / name], read_mapping(tmp_path / "mapping.toml"))
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_the_examples_here_are_sound(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING + COUNTER)
    (tmp_path / "table.csv").write_text(TABLE)
    samples = import_files([tmp_path / "table.csv"], read_mapping(tmp_path / "mapping.toml")).samples
    assert samples["memory_usage_bytes"].tolist() == [2.0**20, 2.0**21]
    assert samples["rx_bytes"].tolist() == [5, 9]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('unit = "MiB"', "", "mapping.toml: column.0.unit: Field required"),
        ('"MiB"', '"KB"', "mapping.toml: column.0: unknown unit 'KB' of memory_usage_bytes; known are bytes, B, kB"),
        ('"MiB"', '"s"', "mapping.toml: column.0: unknown unit 's' of memory_usage_bytes"),
        ("memory_usage_bytes", "memory", "mapping.toml: column.0: unknown metric 'memory'; known are cpu_usage_"),
        ('"MiB"', '"MiB"\nkind = "rate"', "mapping.toml: column.0: memory_usage_bytes is a level, not a rate"),
        ('"MiB"', '"MiB"\nunits = "MB"', "mapping.toml: column.0.units: unknown word"),
        ('[time]\ncolumn = "time"', "[time]", "mapping.toml: time: give `column`, or `every`"),
        ("[identity]", "[identity", "mapping.toml: not valid TOML"),
        ('pod = "pod"', "", "mapping.toml: identity.pod: Field required"),
        ('pod = "pod"', "pod = 7", "mapping.toml: identity.pod: Input should be a valid string"),
        ('pod = "pod"', 'pod = "pod"\nstarted_at = { age = "a", unit = "weeks" }',
         "mapping.toml: identity.started_at.unit: Input should be 'ms', 's', 'min', 'h', 'd' or 'text'"),
        ('pod = "pod"', 'pod = "name"', "table.csv: there is no column 'name'; it has time, pod, memory, rx"),
        ('pod = "pod"', 'pod = { file = "(x)" }', "table.csv: '(x)' finds nothing in the file's name"),
        ('pod = "pod"', 'pod = { file = "(x" }', "table.csv: '(x' is not a regular expression: missing )"),
        ('name = "memory"', 'name = "mem"', "table.csv: there is no column 'mem'"),
        ('"time"', '"memory"', "table.csv: column 'memory'"),
        ('column = "time"', 'column = "rx"\nformat = "unix-s"', "would be in 1970; is 'unix-s' right?"),
        ('column = "time"', 'every = "1s"\nstart = "noon"', "time.start: 'noon' is not a time; such as 2026-01-31T"),
        ('column = "time"', 'every = "1s"\nstart = "0001-01-01T00Z"', "would not lie between 2000 and 2100; check"),
        ('column = "time"', 'every = "36000d"\nstart = "2026-01-01T00Z"', "would not lie between 2000 and 2100; check"),
    ],
)  # fmt: skip
def test_a_mapping_that_says_too_little_or_too_much(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert MAPPING.count(old) == 1
    error = refuse(tmp_path, MAPPING.replace(old, new))
    assert words in error
    assert "\n" not in error


@pytest.mark.parametrize("zone", ["Europe", "Mars/Up", "../UTC"])
def test_a_zone_that_is_none(tmp_path: Path, zone: str) -> None:
    mapping = MAPPING.replace('column = "time"', f'column = "time"\nzone = "{zone}"')
    error = refuse(tmp_path, mapping, TABLE.replace("Z,", ","))
    assert error == f"table.csv: time.zone: {zone!r} is not a time zone; such as Europe/Vienna"


@pytest.mark.parametrize("time", ["2026-10-25T02:30:00", "2026-03-29T02:30:00"])
def test_a_time_that_a_zone_has_twice_or_never(tmp_path: Path, time: str) -> None:
    mapping = MAPPING.replace('column = "time"', 'column = "time"\nzone = "Europe/Vienna"')
    error = refuse(tmp_path, mapping, f"time,pod,memory,rx\n{time},a,1,5\n")
    written = time.replace("T", " ")
    assert error == (
        f"table.csv: column 'time': where clocks change, Europe/Vienna has {written} twice or never; "
        "write times with their offset, or in UTC"
    )


@pytest.mark.parametrize(
    ("written", "how"),
    [("1700000000000", "unix-s"), ("1.7e12", "unix-s"), ("1700000000000000000", "unix-us"), ("1e30", "unix-ns")],
)
def test_times_of_a_finer_unit_do_not_wrap_around(tmp_path: Path, written: str, how: str) -> None:
    mapping = MAPPING.replace('column = "time"', f'column = "time"\nformat = "{how}"')
    error = refuse(tmp_path, mapping, f"time,pod,memory,rx\n{written},a,1,5\n")
    assert error.startswith(
        f"table.csv: column 'time', line 2: '{written}' is too large for '{how}'; others are unix-s"
    )


def test_two_columns_for_one_metric(tmp_path: Path) -> None:
    again = '[[column]]\nname = "rx"\nmetric = "memory_usage_bytes"\nunit = "bytes"\n'
    error = refuse(tmp_path, MAPPING + again)
    assert error == "mapping.toml: memory_usage_bytes is to come from 2 columns: 'memory', 'rx'; keep one"


def test_a_level_is_no_counter(tmp_path: Path) -> None:
    error = refuse(tmp_path, MAPPING + COUNTER, TABLE.replace(",9", ",3"))
    assert "column 'rx' falls in 100% of its steps, so it is not a counter; if it is growth per second" in error
    assert "its kind is counter, rate" in refuse(tmp_path, MAPPING + COUNTER + 'kind = "gauge"')


def test_a_counter_may_begin_anew_now_and_then(tmp_path: Path) -> None:
    rows = "".join(f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z,a,1,{n % 50}\n" for n in range(100))
    (tmp_path / "mapping.toml").write_text(MAPPING + COUNTER)
    (tmp_path / "table.csv").write_text("time,pod,memory,rx\n" + rows)
    samples = import_files([tmp_path / "table.csv"], read_mapping(tmp_path / "mapping.toml")).samples
    assert samples["rx_bytes"].tolist() == [n % 50 for n in range(100)]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.replace("00Z", "00").replace("10Z", "10"), "column 'time' has times without a zone; say it"),
        (TABLE.replace("10Z", "10"), "column 'time' has times with and without a zone; write all of them alike"),
        (TABLE.replace("2026-01-01T00:00:10Z", "soon"), "column 'time'"),
        (TABLE.replace(",2,", ",two,"), "column 'memory', line 3: 'two' is not a number"),
        (TABLE.replace(",2,", ",-2,"), "column 'memory', line 3: '-2' is negative"),
        (TABLE.replace(",2,9", ",2"), "not a readable csv file: line 3 has 3 fields, not 4"),
        (TABLE.replace(",rx\n", ",memory\n"), "column 'memory' is there twice"),
        ("time,pod,memory,rx\n", "no rows"),
        ("", "no rows"),
    ],
)  # fmt: skip
def test_tables_that_are_not_what_the_mapping_says(tmp_path: Path, table: str, words: str) -> None:
    assert words in refuse(tmp_path, MAPPING, table)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '{"status":"error","errorType":"bad_data","error":"parse error"}', "holds no samples: "),
        ("a.json", '{"status":"success","data":{"resultType":"vector","result":[]}}', "answered with a vector"),
        ("a.jsonl", "[1]\n", "not a readable json-lines file: line 1 is not an object"),
        ("a.jsonl", "{\n", "not a readable json-lines file"),
        ("a.arff", "@relation x\n@attribute a numeric\n", "not a readable arff file: there is no @data"),
        ("a.arff", "@attribute a numeric\n@data\n{0 1}\n", "sparse data is not read"),
        ("a.parquet", "PAR1", "not a readable parquet file"),
        ("a.xlsx", "x", "a file of unknown format; say it in the mapping"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, words: str) -> None:
    assert words in refuse(tmp_path, MAPPING, text, name)


def test_a_series_that_is_not_one(tmp_path: Path) -> None:
    long = MAPPING + '[long]\nname = "metric"\nvalue = "value"\n'
    table = "time,pod,metric,device,value\n" + "".join(f"2026-01-01T00:00:00Z,a,memory,{d},1{d}\n" for d in (1, 2))
    error = refuse(tmp_path, long, table)
    assert "'memory' has several values for pod 'a' at 2026-01-01" in error
    assert "name the one meant by `where`, or add them by `sum = true`" in error
    assert "there is no row of 'cpu'" in refuse(tmp_path, long.replace('name = "memory"', 'name = "cpu"'), table)
