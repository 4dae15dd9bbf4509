"""Long and wide tables, units, rates and times against naive twins."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podlab.importing import import_files, read_mapping
from podlab.importing.mapping import Mapping, read_quantities
from tests.importing.conftest import BEGIN_S, MEMORY, RX, Import

ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(1, 2**52), st.integers(0, 2**60)),
    min_size=1, max_size=12, unique_by=lambda row: row[:2],
)  # fmt: skip
COLUMNS = [
    {"name": "mem", "metric": "memory_usage_bytes", "unit": "KiB"},
    {"name": "rx", "metric": "rx_bytes", "unit": "bytes"},
]


def mapping_of(columns: list[dict], **parts: object) -> Mapping:
    told = {"time": {"column": "time", "format": "unix-s"}, "identity": {"pod": "pod"}, "column": columns, **parts}
    return Mapping.model_validate(told)


def write(folder: Path, name: str, rows: list[dict]) -> Path:
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    return folder / name


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_long_and_wide_tables_give_the_same(tmp_path: Path, rows: list[tuple[str, int, int, int]]) -> None:
    rising = {pod: 0 for pod, *_ in rows}
    wide, long = [], []
    for pod, second, mem, rx in sorted(rows):
        rising[pod] += rx // len(rows)
        about = {"pod": pod, "time": 1_700_000_000 + second}
        wide.append({**about, "mem": mem, "rx": rising[pod]})
        long += [{**about, "metric": name, "value": wide[-1][name]} for name in ("mem", "rx")]
    one = import_files([write(tmp_path, "wide.csv", wide)], mapping_of(COLUMNS)).samples
    long_form = mapping_of(COLUMNS, long={"name": "metric", "value": "value"})
    other = import_files([write(tmp_path, "long.csv", long)], long_form).samples
    pd.testing.assert_frame_equal(one, other)
    assert one["rx_bytes"].tolist() == [row["rx"] for row in wide]
    assert one["memory_usage_bytes"].tolist() == [float(row["mem"] * 1024) for row in wide]


@pytest.mark.parametrize(("kind", "counted"), [("rate", [0, 50, 50, 450]), ("growth", [0, 5, 5, 25])])
def test_growth_becomes_a_counter(tmp_path: Path, kind: str, counted: list[int]) -> None:
    values = [7, 5, 0, 20]
    times = (0, 10, 20, 40)
    rows = [{"pod": p, "time": 1_700_000_000 + t, "rx": v} for p in "ab" for t, v in zip(times, values, strict=True)]
    column = {"name": "rx", "metric": "rx_bytes", "unit": "bytes", "kind": kind}
    samples = import_files([write(tmp_path, "t.csv", rows[::-1])], mapping_of([column])).samples
    assert samples["rx_bytes"].tolist() == counted * 2


@pytest.mark.parametrize(("kind", "expected"), [("rate", [pd.NA, 0, pd.NA, 140]), ("growth", [pd.NA, 0, pd.NA, 7])])
def test_over_a_gap_a_rate_is_that_of_the_next_row(bring: Import, kind: str, expected: list[object]) -> None:
    rows = [("", 1), (5, 1), ("", 1), (7, 1)]
    text = "pod,time,rx,mem\n" + "".join(f"a,{BEGIN_S + 10 * n},{rx},{mem}\n" for n, (rx, mem) in enumerate(rows))
    samples = bring(text, columns=[{**RX, "kind": kind}, MEMORY]).samples
    assert samples["rx_bytes"].tolist() == expected


def test_parts_of_a_metric_are_added_where_that_is_said(tmp_path: Path) -> None:
    rows = [
        {"pod": "a", "time": 1_700_000_000 + t, "metric": "read", "device": d, "value": t + d}
        for t in (0, 10) for d in (1, 2)
    ] + [{"pod": "a", "time": 1_700_000_000, "metric": "other", "device": None, "value": 9}]  # fmt: skip
    column = {"name": "read", "metric": "io_read_bytes", "unit": "kB"}
    long = {"name": "metric", "value": "value"}
    path = write(tmp_path, "t.csv", rows)
    added = import_files([path], mapping_of([{**column, "sum": True}], long=long)).samples
    assert added["io_read_bytes"].tolist() == [3_000, 23_000]
    second = import_files([path], mapping_of([{**column, "where": {"device": "2.0"}}], long=long)).samples
    assert second["io_read_bytes"].tolist() == [2_000, 12_000]


@pytest.mark.parametrize(
    ("text", "unit", "part", "number"),
    [
        ("1.5MiB / 2GiB", "bytes", 1, 1.5 * 2**20),
        ("1.5MiB / 2GiB", "bytes", 2, 2.0**31),
        ("0B", "bytes", 1, 0.0),
        ("12.5%", "1e-9 cores", 1, 125_000_000.0),
        ("250m", "1e-9 cores", 1, 250_000_000.0),
        ("2", "1e-9 cores", 1, 2e9),
        ("3ms", "ns", 1, 3e6),
        ("--", "bytes", 1, None),
        ("--", "bytes", 2, None),
        ("-- / --", "bytes", 2, None),
        ("N/A", "1e-9 cores", 1, None),
        (" <No Value> ", "bytes", 2, None),
        ("34Mi", "bytes", 1, 34 * 2.0**20),
        ("2PiB", "bytes", 1, 2.0**51),
        ("0", "bytes", 1, 0.0),
    ],
)
def test_texts_with_units(text: str, unit: str, part: int, number: float | None) -> None:
    [got] = read_quantities(pd.Series([text], dtype="object"), unit, part)
    assert got == number or (number is None and pd.isna(got))


def test_bytes_beside_units_of_kubernetes_need_none() -> None:
    # What is no multiple of 1024 it writes so.
    texts = pd.Series(["34816Ki", "35651585", "0", None], dtype="object")
    assert read_quantities(texts, "bytes", 1).fillna(-1).tolist() == [35651584.0, 35651585.0, 0.0, -1.0]


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("pod,time,mem\na,1700000000,1\n\na,1700000010,2\n\n")
    samples = import_files([tmp_path / "t.csv"], mapping_of(COLUMNS[:1])).samples
    assert samples["memory_usage_bytes"].tolist() == [1024.0, 2048.0]


def test_a_text_may_hold_what_unicode_calls_the_end_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"pod":"a\u2028b\x85","time":1700000000,"mem":1}\r\n', encoding="utf-8")
    assert import_files([tmp_path / "t.jsonl"], mapping_of(COLUMNS[:1])).samples["pod"].tolist() == ["a\u2028b\x85"]


@pytest.mark.parametrize("missing", ["", "?", "NaN", "null", "N/A", "--"])
def test_numbers_that_are_not_there(tmp_path: Path, missing: str) -> None:
    rows = [{"pod": "a", "time": 1_700_000_000 + n, "mem": 1, "rx": ("7", missing)[n]} for n in range(2)]
    samples = import_files([write(tmp_path, "t.csv", rows)], mapping_of(COLUMNS)).samples
    assert samples["rx_bytes"].fillna(-1).tolist() == [7, -1]
    assert samples["memory_usage_bytes"].notna().all()


@pytest.mark.parametrize("kind", ["Int64", "float64"])
def test_a_column_without_any_value(tmp_path: Path, kind: str) -> None:
    rows = pd.DataFrame(
        {"pod": "a", "time": [1_700_000_000, 1_700_000_010], "mem": 1, "rx": pd.array([None] * 2, "Int64")}
    )
    rows.astype({"rx": kind}).to_parquet(tmp_path / "t.parquet")
    imported = import_files([tmp_path / "t.parquet"], mapping_of(COLUMNS))
    assert imported.present["rx_bytes"] == 0.0
    assert imported.present["memory_usage_bytes"] == 1.0


@pytest.mark.parametrize("text", ["1.5", "1.5KB", "1.5 apples", "many", "1.5MiB"])
def test_texts_that_could_be_read_in_two_ways_are_refused(text: str) -> None:
    part = 2 if text == "1.5MiB" else 1
    with pytest.raises(ValueError, match=r"is not a number with a unit of|has no part 2"):
        read_quantities(pd.Series([text], dtype="object"), "bytes", part)


@pytest.mark.parametrize(
    ("written", "how", "zone"),
    [
        ("1772359200", "unix-s", None),
        ("1772359200.000", "unix-s", None),
        ("1772359200000", "unix-ms", None),
        ("1772359200000000000", "unix-ns", None),
        ("2026-03-01T10:00:00Z", "iso8601", None),
        ("2026-03-01 11:00:00+01:00", "iso8601", None),
        ("2026-03-01 11:00:00", "iso8601", "Europe/Vienna"),
        ("01.03.2026 11:00", "%d.%m.%Y %H:%M", "Europe/Vienna"),
        ("01.03.2026-11:00", "%d.%m.%Y-%H:%M", "Europe/Vienna"),
        ("01.03.2026 11:00 +0100", "%d.%m.%Y %H:%M %z", None),
    ],
)
def test_times_as_they_are_written(tmp_path: Path, written: str, how: str, zone: str | None) -> None:
    rows = [{"pod": "a", "time": written, "mem": 1}]
    told = {"column": "time", "format": how, **({} if zone is None else {"zone": zone})}
    samples = import_files([write(tmp_path, "t.csv", rows)], mapping_of(COLUMNS[:1], time=told)).samples
    assert samples["time"].tolist() == [pd.Timestamp("2026-03-01T10:00:00Z")]


def test_a_start_is_read_as_times_are(tmp_path: Path) -> None:
    rows = [{"pod": "a", "time": 1_700_000_010, "since": 1_700_000_000, "mem": 1}]
    told = {"pod": "pod", "started_at": "since"}
    samples = import_files([write(tmp_path, "t.csv", rows)], mapping_of(COLUMNS[:1], identity=told)).samples
    assert (samples["time"] - samples["started_at"]).dt.total_seconds().tolist() == [10.0]


@pytest.mark.parametrize("starts", [("", ""), ("", "2026-03-29T00:00:00+01:00")])
def test_a_start_that_only_some_know(tmp_path: Path, starts: tuple[str, str]) -> None:
    times = ("2026-03-29T00:00:10+01:00", "2026-03-29T04:00:00+02:00")
    known = [*starts, "2026-03-29T03:59:50+02:00" if any(starts) else ""]
    rows = [{"pod": f"p{n}", "time": times[n > 1], "since": since, "mem": 1} for n, since in enumerate(known)]
    told = {"identity": {"pod": "pod", "started_at": "since"}, "time": {"column": "time"}}
    samples = import_files([write(tmp_path, "t.csv", rows)], mapping_of(COLUMNS[:1], **told)).samples
    lived_s = (samples["time"] - samples["started_at"]).dt.total_seconds().fillna(-1).tolist()
    assert lived_s == ([-1, 10, 10] if any(starts) else [-1, -1, -1])


def test_the_example_mappings_are_read(tmp_path: Path) -> None:
    found = sorted((Path(__file__).parents[2] / "docs" / "import").glob("*.toml"))
    assert len(found) >= 4
    assert all(read_mapping(path).column for path in found)
