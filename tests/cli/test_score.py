"""`podlab score`: the contract's columns, whatever the recording lacks, and one clear line for each mistake."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from podlab.data.catalogue import ORIGINAL_METRICS
from podlab.data.recordings import read_recording, write_recording
from podlab.model import bundle
from tests.detect.conftest import leak
from tests.support.command import Call
from tests.support.machine import MAPPING, write_machine
from tests.support.models import small_identifier

COLUMNS = ["time", "namespace", "pod", "pod_uid", "container", "service", "score", "anomaly"]


def test_scores_have_the_contracts_columns_and_tell_a_fault(
    call: Call, other_recording: Path, model: Path, tmp_path: Path
) -> None:
    samples = leak(read_recording([other_recording]), begin_s=45)
    write_recording(samples, tmp_path / "faults.parquet")
    done = call("score", tmp_path / "faults.parquet", "--model", model, "--out", tmp_path / "s.parquet", "--json")
    assert done.exit_code == 0
    assert done.err == ""
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert list(scores.columns) == COLUMNS
    assert len(scores) == len(samples)
    assert scores["score"].between(0, 1).all()
    assert scores["anomaly"].dtype == bool
    both = scores.merge(samples[["time", "pod", "started_at"]], on=["time", "pod"])
    age_s = (both["time"] - both["started_at"]).dt.total_seconds()
    assert both["service"][age_s < 10].isna().all()  # not known yet
    assert both["service"][age_s > 30].notna().mean() > 0.8
    assert both["anomaly"][age_s > 60].mean() > 0.8
    assert both["anomaly"][age_s < 40].mean() < 0.1
    assert [line["pod"] for line in done.lines] == list(dict.fromkeys(scores["pod"]))
    alarmed = [line for line in done.lines if line["alarms"]]
    assert len(alarmed) >= 6
    for line in alarmed:
        drivers = line["alarms"][-1]["drivers"]
        assert 1 <= len(drivers) <= 3
        assert drivers[0]["signal"].startswith(("memory", "cpu"))
        assert drivers[0]["strays"] > 2


def test_a_larger_alarm_budget_lowers_the_thresholds(call: Call, recording: Path, model: Path, tmp_path: Path) -> None:
    done = call("fit", recording, "--out", tmp_path / "m", "--horizons", "10s,30s", "--false-alarms", 2000)
    assert done.exit_code == 0
    usual, many = (bundle.load(folder).library for folder in (model, tmp_path / "m"))
    assert many.pooled_threshold < usual.pooled_threshold
    assert many.threshold < usual.threshold
    refused = call("fit", recording, "--base", model, "--false-alarms", 2, "--out", tmp_path / "n")
    assert "--base: has detectors of its own; leave out --false-alarms" in refused.err


def test_no_score_depends_on_what_comes_later(call: Call, other_recording: Path, model: Path, tmp_path: Path) -> None:
    samples = leak(read_recording([other_recording]), begin_s=50)
    early = samples[samples["time"] < samples["started_at"] + pd.Timedelta(seconds=40)]
    for name, part in (("all", samples), ("early", early)):
        write_recording(part, tmp_path / f"{name}.parquet")
        words = (tmp_path / f"{name}.parquet", "--model", model, "--out", tmp_path / f"{name}-scores.parquet")
        assert call("score", *words).exit_code == 0
    told = {name: pd.read_parquet(tmp_path / f"{name}-scores.parquet") for name in ("all", "early")}
    both = told["early"].merge(told["all"], on=["time", "pod"], suffixes=("", "_all"))
    assert len(both) == len(early)
    assert both["score"].to_numpy() == pytest.approx(both["score_all"].to_numpy())
    assert both["service"].fillna("").tolist() == both["service_all"].fillna("").tolist()


def few_columns(samples: pd.DataFrame) -> pd.DataFrame:
    return samples[["time", "pod", "container", "cpu_usage_nanocores", "memory_rss_bytes"]]


def seldom(samples: pd.DataFrame) -> pd.DataFrame:
    return samples[samples.groupby("pod").cumcount() % 10 == 3]


def one_sample(samples: pd.DataFrame) -> pd.DataFrame:
    return samples.iloc[[20]]


def constant(samples: pd.DataFrame) -> pd.DataFrame:
    return samples.assign(memory_rss_bytes=5e7, rx_bytes=7)


def gaps(samples: pd.DataFrame) -> pd.DataFrame:
    missing = samples.groupby("pod").cumcount().between(20, 40)
    metrics = [name for name in ORIGINAL_METRICS if name in samples]
    return samples.assign(**{name: samples[name].mask(missing) for name in metrics})


def clock_jumps(samples: pd.DataFrame) -> pd.DataFrame:
    late = samples.groupby("pod").cumcount() > 30
    return samples.assign(time=samples["time"].where(~late, samples["time"] - pd.Timedelta(seconds=300)))


def no_start(samples: pd.DataFrame) -> pd.DataFrame:
    return samples.drop(columns="started_at")


@pytest.mark.parametrize("change", [few_columns, seldom, one_sample, constant, gaps, clock_jumps, no_start])
def test_poor_recordings_are_scored(
    call: Call, other_recording: Path, model: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    poor = change(read_recording([other_recording])).reset_index(drop=True)
    write_recording(poor, tmp_path / "poor.parquet")
    done = call("score", tmp_path / "poor.parquet", "--model", model, "--out", tmp_path / "s.parquet")
    assert done.exit_code == 0, done.err
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert len(scores) == len(poor)
    assert scores["score"].between(0, 1).all()


def test_a_restart_is_no_anomaly(call: Call, other_recording: Path, model: Path, tmp_path: Path) -> None:
    samples = read_recording([other_recording])
    again = samples.copy()
    again[["time", "started_at"]] += pd.Timedelta(seconds=75)
    write_recording(pd.concat([samples, again], ignore_index=True), tmp_path / "restart.parquet")
    assert call("score", tmp_path / "restart.parquet", "--model", model, "--out", tmp_path / "s.parquet").exit_code == 0
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert len(scores) == 2 * len(samples)
    assert scores["anomaly"].mean() < 0.05


def test_series_of_another_format_are_scored(call: Call, model: Path, tmp_path: Path) -> None:
    series = write_machine(tmp_path / "machine-1.csv", seconds=90)
    words = ("score", series, "--model", model, "--out", tmp_path / "s.parquet", "--map")
    assert call(*words, MAPPING).exit_code == 0
    scores = pd.read_parquet(tmp_path / "s.parquet")
    assert len(scores) == 90
    assert scores["score"][75:].mean() > scores["score"][20:65].mean()
    assert scores["anomaly"][75:].mean() > 0.5
    answer = call(*words, "timestamp=time,cpu_r=temperature")
    assert answer.exit_code == 2
    assert "'temperature' is not a metric" in answer.err


def test_scores_as_csv_are_those_of_parquet(call: Call, other_recording: Path, model: Path, tmp_path: Path) -> None:
    for name in ("s.parquet", "s.csv"):
        assert call("score", other_recording, "--model", model, "--out", tmp_path / name).exit_code == 0
    as_parquet, as_csv = pd.read_parquet(tmp_path / "s.parquet"), pd.read_csv(tmp_path / "s.csv", parse_dates=["time"])
    assert list(as_csv) == COLUMNS
    assert as_csv["pod"].tolist() == as_parquet["pod"].tolist()
    assert as_csv["score"].to_numpy() == pytest.approx(as_parquet["score"].to_numpy())
    assert (as_csv["time"] == as_parquet["time"]).all()


def test_mistakes_are_one_line_and_leave_nothing(
    call: Call, other_recording: Path, model: Path, tmp_path: Path
) -> None:
    bundle.save(small_identifier(), tmp_path / "old" / "model", name="old")
    shutil.copy(other_recording, tmp_path / "old" / "in.parquet")
    here = tmp_path / "old"
    given, out = here / "in.parquet", here / "s.parquet"
    for words, said in (
        ((given, "--model", here / "model", "--out", out), "has no detectors; fit the model"),
        ((given, "--model", model, "--out", given), "is an input as well"),
        ((here / "none.parquet", "--model", model, "--out", out), "no such file"),
        ((given, "--model", model), "Missing option '--out'"),
        ((given, "--model", model, "--out", here / "model" / "manifest.json" / "s.parquet"), "is a file, not a folder"),
    ):
        answer = call("score", *words)
        assert answer.exit_code == 2, answer
        assert answer.out == ""
        assert said in answer.err
        assert answer.err.count("\n") == 1
        assert sorted(path.name for path in here.iterdir()) == ["in.parquet", "model"]
