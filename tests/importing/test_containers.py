"""Rows are told apart by container and time; the rest is filled in from any row, and told where it differs."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podlab.errors import InputError
from tests.importing.conftest import BEGIN_S, CPU, LONG, MEMORY, RX, Import, answer_of

EVERY = {"every": "10s", "start": "2020-01-01T00:00:00Z"}
ABOUT = ("namespace", "node", "image", "uid", "service", "version")
IDENTITY = {
    "pod": "pod", "container": "container", "namespace": "namespace", "node": "node", "image": "image",
    "pod_uid": "uid",
}  # fmt: skip
LABELS = {"service": "service", "version": "version"}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sets(st.sampled_from(ABOUT)), min_size=2, max_size=2))
def test_a_metric_whose_series_carry_fewer_labels_is_not_lost(bring: Import, carried: list[set[str]]) -> None:
    labels = {"pod": "a", "container": "main", **{name: f"{name}-1" for name in ABOUT}}
    series = [
        ({"__name__": name, **{k: v for k, v in labels.items() if k not in ABOUT or k in own}}, values)
        for name, own, values in zip(("cpu", "mem"), carried, ([1, 2, 3], [100, 101, 102]), strict=True)
    ]
    series.append(({"__name__": "cpu", **labels, "pod": "b"}, [1]))
    done = bring(answer_of(*series), columns=[CPU, MEMORY], ending="json", identity=IDENTITY, labels=LABELS, **LONG)
    samples = done.samples[done.samples["pod"] == "a"]
    assert len(samples) == 3
    assert samples["cpu_usage_nanocores"].tolist() == [1, 2, 3]
    assert samples["memory_usage_bytes"].tolist() == [100, 101, 102]
    for name in ABOUT:
        column = samples["pod_uid" if name == "uid" else name]
        assert column.fillna("-").tolist() == [f"{name}-1" if name in set().union(*carried) else "-"] * 3


def test_labels_that_contradict_each_other_are_told(bring: Import) -> None:
    series = [
        ({"__name__": name, "pod": "a", "container": "main", "node": node}, [1, 2])
        for name, node in (("cpu", "n1"), ("mem", "n2"))
    ]
    identity = {"pod": "pod", "container": "container", "node": "node"}
    done = bring(answer_of(*series), columns=[CPU, MEMORY], ending="json", identity=identity, **LONG)
    assert len(done.samples) == 2
    assert done.samples[["cpu_usage_nanocores", "memory_usage_bytes"]].notna().all(axis=None)
    one_class_misspelt = f"pod,time,cpu,kind\na,{BEGIN_S},1,nginx\na,{BEGIN_S + 9},2,ngnix\nb,{BEGIN_S},2,nginx\n"
    done = bring(one_class_misspelt, columns=[CPU], labels={"service": "kind"})
    assert "rows of 1 container differ in service, such as pod 'a': nginx, ngnix" in done.notes


def test_a_service_that_stands_in_some_rows_only(bring: Import) -> None:
    rows = [
        f"a,{BEGIN_S},cpu,1,redis", f"a,{BEGIN_S},mem,5,", f"a,{BEGIN_S + 10},cpu,2,", f"b,{BEGIN_S},cpu,3,",
    ]  # fmt: skip
    done = bring(
        "\n".join(["pod,time,what,value,service", *rows]),
        columns=[CPU, MEMORY], labels={"service": "service"}, long={"name": "what", "value": "value"},
    )  # fmt: skip
    assert done.samples["cpu_usage_nanocores"].tolist() == [1, 2, 3]
    assert done.samples["service"].fillna("-").tolist() == ["redis", "redis", "-"]


def test_each_metric_may_come_in_a_file_of_its_own(bring: Import) -> None:
    texts = [f"pod,time,what,value\na,{BEGIN_S},{name},{value}\n" for name, value in (("cpu", 3), ("mem", 4))]
    done = bring(*texts, columns=[CPU, MEMORY], long={"name": "what", "value": "value"})
    assert done.samples[["cpu_usage_nanocores", "memory_usage_bytes"]].to_numpy().tolist() == [[3, 4]]


@pytest.mark.parametrize("label", ["variant", "version", "service", "deployment"])
def test_made_up_times_count_a_containers_rows_whatever_their_labels(bring: Import, label: str) -> None:
    text = "pod,cpu,load\na,5,idle\na,6,\nb,1,idle\na,70,heavy\na,71,heavy\n"
    samples = bring(text, columns=[CPU], time=EVERY, labels={label: "load"}).samples
    assert samples["cpu_usage_nanocores"].tolist() == [5, 6, 70, 71, 1]
    seconds = (samples["time"] - pd.Timestamp("2020-01-01T00:00:00Z")).dt.total_seconds()
    assert seconds.tolist() == [0, 10, 20, 30, 0]


def test_made_up_times_go_on_in_the_next_file(bring: Import) -> None:
    texts = ["pod,cpu,rx\na,1,5\na,2,6\n", "pod,cpu,rx\na,3,7\nb,9,1\na,4,8\n"]
    samples = bring(*texts, columns=[CPU, {**RX, "kind": "growth"}], time=EVERY).samples
    assert samples["cpu_usage_nanocores"].tolist() == [1, 2, 3, 4, 9]
    assert samples["rx_bytes"].tolist() == [0, 6, 13, 21, 0]
    assert samples["time"].dt.second.tolist() == [0, 10, 20, 30, 0]


def test_made_up_times_of_long_rows_are_counted_by_metric(bring: Import) -> None:
    text = "pod,what,value\na,cpu,1\na,mem,10\na,cpu,2\na,mem,20\n"
    samples = bring(text, columns=[CPU, MEMORY], time=EVERY, long={"name": "what", "value": "value"}).samples
    assert samples[["cpu_usage_nanocores", "memory_usage_bytes"]].to_numpy().tolist() == [[1, 10], [2, 20]]


def test_rows_that_repeat_with_other_values_are_told(bring: Import, caplog: pytest.LogCaptureFixture) -> None:
    text = f"pod,time,cpu,mem\na,{BEGIN_S},1,\na,{BEGIN_S},,7\na,{BEGIN_S},2,7\n"
    with caplog.at_level(logging.WARNING):
        samples = bring(text, columns=[CPU, MEMORY]).samples
    assert samples[["cpu_usage_nanocores", "memory_usage_bytes"]].to_numpy().tolist() == [[1, 7]]
    assert "cpu_usage_nanocores 1.0 and 2.0; the first counts" in caplog.text


@pytest.mark.parametrize(
    "word", ["", "null", "None", "NaN", "<none>", "N/A", " null ", "NAN", "<NULL>", "<no value>", "[null]", "n/a  "]
)
def test_words_for_missing_are_no_identity(bring: Import, word: str) -> None:
    line = {"time": str(BEGIN_S), "pod": "a", "cpu": "1", "cluster": word, "namespace": word, "service": word}
    text = "{" + ",".join(f'"{name}":"{value}"' for name, value in line.items()) + "}\n"
    identity = {"pod": "pod", "cluster": "cluster", "namespace": "namespace", "node": {"value": word}}
    done = bring(text, columns=[CPU], ending="jsonl", identity=identity, labels={"service": "service"})
    [row] = done.samples.to_dict("records")
    assert row["cluster"] == "local"
    assert all(pd.isna(row[name]) for name in ("namespace", "node", "service"))


def test_blanks_beside_commas_are_no_part_of_a_value(bring: Import) -> None:
    text = f"pod, time, cpu, service\nweb, {BEGIN_S}, 1, nginx \nweb, {BEGIN_S + 9}, null , nginx\n"
    samples = bring(text, columns=[CPU], labels={"service": "service"}).samples
    assert samples[["pod", "service", "cpu_usage_nanocores"]].to_numpy().tolist() == [["web", "nginx", 1.0]]


def test_a_row_of_nobody_is_refused_by_its_line(bring: Import) -> None:
    with pytest.raises(InputError, match=r"0.csv: line 3: the pod is missing"):
        bring(f"pod,time,cpu\na,{BEGIN_S},1\n,{BEGIN_S},2\n", columns=[CPU])


@pytest.mark.parametrize(("unit", "ages"), [("s", [5, 15, 25, 3]), ("text", ["5s", "15s", "25s", "3s"])])
def test_an_age_becomes_a_start(bring: Import, unit: str, ages: list[object]) -> None:
    # Ages are whole seconds, times are not: starts of one life would differ.
    times = [BEGIN_S + 5.9, BEGIN_S + 15.2, BEGIN_S + 25.7, BEGIN_S + 40.5]
    rows = "".join(f"a,{time},1,{age}\n" for time, age in zip(times, ages, strict=True))
    identity = {"pod": "pod", "started_at": {"age": "runningTimeSeconds", "unit": unit}}
    samples = bring("pod,time,cpu,runningTimeSeconds\n" + rows, columns=[CPU], identity=identity).samples
    started_s = (samples["started_at"] - pd.Timestamp(BEGIN_S, unit="s", tz="UTC")).dt.total_seconds()
    assert started_s.tolist() == pytest.approx([0.2, 0.2, 0.2, 37.5])


def test_an_age_beside_made_up_times(bring: Import) -> None:
    rows = "".join(f"a,1,{age}\n" for age in (4, 19, 33, 2, 18))
    identity = {"pod": "pod", "started_at": {"age": "age"}}
    samples = bring("pod,cpu,age\n" + rows, columns=[CPU], identity=identity, time=EVERY).samples
    assert samples["started_at"].nunique() == 2
    with pytest.raises(InputError, match="column 'age', line 2: '-4' is no age"):
        bring("pod,cpu,age\na,1,-4\n", columns=[CPU], identity=identity, time=EVERY)


@pytest.mark.parametrize(
    ("unit", "age", "days"), [("d", "3", 3), ("h", "12", 0.5), ("text", "2y10d", 740), ("text", "5d12h", 5.5)]
)
def test_ages_of_days_and_years(bring: Import, unit: str, age: str, days: float) -> None:
    identity = {"pod": "pod", "started_at": {"age": "age", "unit": unit}}
    samples = bring(f"pod,time,cpu,age\na,{BEGIN_S},1,{age}\n", columns=[CPU], identity=identity).samples
    assert samples["time"][0] - samples["started_at"][0] == pd.Timedelta(days=days)


@pytest.mark.parametrize("age", ["1e12", "99999999999", "inf", "soon"])
def test_an_age_beyond_a_century_is_none(bring: Import, age: str) -> None:
    identity = {"pod": "pod", "started_at": {"age": "age"}}
    with pytest.raises(InputError, match=f"column 'age', line 2: '{age}' is no age in s"):
        bring(f"pod,time,cpu,age\na,{BEGIN_S},1,{age}\n", columns=[CPU], identity=identity)


def test_labels_are_called_as_the_mapping_says(bring: Import) -> None:
    text = f"pod,time,cpu,class\na,{BEGIN_S},1,httpd\nb,{BEGIN_S},2,redis\n"
    renamed = {"column": "class", "rename": {"httpd": "apache"}}
    assert bring(text, columns=[CPU], labels={"service": renamed}).samples["service"].tolist() == ["apache", "redis"]


@pytest.mark.parametrize("classes", [[0.0, 1.0, None], pd.array([0, 1, None], "Int64"), ["0", "1", None]])
def test_classes_that_are_numbers_get_names(bring: Import, tmp_path: Path, classes: object) -> None:
    table = pd.DataFrame({"pod": ["a", "b", "c"], "time": BEGIN_S, "cpu": [1, 2, 3], "class": classes})
    table.to_parquet(tmp_path / "t.parquet")
    renamed = {"column": "class", "rename": {"0": "nginx", "1": "redis"}}
    done = bring((tmp_path / "t.parquet").read_bytes(), columns=[CPU], ending="parquet", labels={"service": renamed})
    assert done.samples["service"].fillna("-").tolist() == ["nginx", "redis", "-"]


def test_columns_of_one_name_are_told_apart(bring: Import) -> None:
    text = f"pod,time,cpu,time,mem\na,{BEGIN_S},1,{BEGIN_S},10\na,{BEGIN_S + 10},2,{BEGIN_S + 11},20\n"
    with pytest.raises(InputError, match=r"column 'time' is there twice; name one of 'time \(1\)', 'time \(2\)'"):
        bring(text, columns=[CPU, MEMORY])
    time = {"column": "time (1)", "format": "unix-s"}
    samples = bring(text, columns=[CPU, {**MEMORY, "time": "time (2)"}], time=time).samples
    assert (samples["time"].astype("int64") // 10**9 - BEGIN_S).tolist() == [0, 10, 11]
    assert samples["cpu_usage_nanocores"].fillna(0).tolist() == [1, 2, 0]
    assert samples["memory_usage_bytes"].fillna(0).tolist() == [10, 0, 20]
    alike = f"pod,time,cpu,time,mem\na,{BEGIN_S},1,{BEGIN_S},10\n"
    assert bring(alike, columns=[CPU, MEMORY]).samples["memory_usage_bytes"].tolist() == [10]
    with pytest.raises(InputError, match=r"one column is called 'cpu \(1\)', and of the same name there are several"):
        bring(f"pod,time,cpu,cpu,cpu (1)\na,{BEGIN_S},1,2,3\n", columns=[CPU])


def test_a_name_that_is_twice_in_a_json_line_is_refused(bring: Import) -> None:
    line = f'{{"pod":"a","time":{BEGIN_S},"cpu":1,"cpu":2}}\n'
    with pytest.raises(InputError, match="line 1: 'cpu' is there twice"):
        bring(line, columns=[CPU], ending="jsonl")


def test_headers_of_files_written_one_behind_the_other_are_no_rows(bring: Import) -> None:
    text = f"pod,time,cpu\na,{BEGIN_S},1\n"
    samples = bring(text + text.replace("a,", "b,"), columns=[CPU]).samples
    assert samples["pod"].tolist() == ["a", "b"]


def test_each_instant_may_be_a_column(bring: Import) -> None:
    text = "pod,what,2026-01-01T00:00:00Z,2026-01-01T00:00:10Z\na,cpu,1,2\na,mem,10,\n"
    told = {"time": {"columns": r"\d{4}-.*"}, "long": {"name": "what", "value": "value"}}
    samples = bring(text, columns=[CPU, MEMORY], **told).samples
    assert samples["time"].dt.second.tolist() == [0, 10]
    assert samples["cpu_usage_nanocores"].tolist() == [1, 2]
    assert samples["memory_usage_bytes"].fillna(0).tolist() == [10, 0]
    with pytest.raises(InputError, match=r"time.columns: 'x.\*' fits no column; it has pod, what, 2026"):
        bring(text, columns=[CPU], **{**told, "time": {"columns": "x.*"}})
