"""From finished parts to the recording and its data card; everything here goes without containers."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import machine, session
from lab.catalogue import load, select
from lab.parts import Parts
from lab.plan import RecordingPlan, draw
from lab.recorder import record
from podlab.data.draws import draws_file, read_draws
from podlab.data.recordings import read_recording
from podlab.errors import InputError, PodlabError
from podlab.files import sha256_of
from tests.lab.fakes import FakeClock, FakeLab, dies

PLAN = RecordingPlan(("idle", "heavy"), per_service=4, seconds=60, seed=3)
MATRIX = draw(select(load(), ["redis"]), PLAN)
ARGUMENTS: dict[str, Any] = {"services": ["redis"], "plan": PLAN}


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording whose parts are all there: three finished, one dropped."""
    monkeypatch.setattr(machine, "describe", lambda engine: {"engine": engine, "control groups": "hybrid"})
    out = tmp_path / "r.parquet"
    lab = FakeLab(FakeClock(), dies(MATRIX[1].name))
    record(Parts(out, MATRIX), start=lab.start, parallel=1, clock=lab.clock)
    return out


def test_the_recording_holds_every_finished_deployment(out: Path) -> None:
    [summary] = session.record_lab(out, **ARGUMENTS)
    samples = read_recording([out])
    assert len(samples) == summary.rows == sum(d.seconds for d in MATRIX if d is not MATRIX[1])
    assert samples["deployment"].nunique() == summary.deployments == 3
    assert summary.dropped == 1
    assert summary.size_bytes == out.stat().st_size
    assert (summary.gap_p50_s, summary.gap_p99_s, summary.gap_max_s) == (1.0, 1.0, 1.0)
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "r-draws.csv", "r.md", "r.parquet",
    ], "the parts are gone"  # fmt: skip


def test_the_card_tells_how_it_was_made_and_what_died(out: Path) -> None:
    card = session.record_lab(out, **ARGUMENTS, note="A backup ran.")[0].card.read_text()
    assert sha256_of(out) in card
    for words in (
        "# Recording `r.parquet`",
        "| purpose | training |",
        "3 of 4 planned, 1 dropped",
        "| seed | 3 |",
        "hybrid",
        "2 attempts failed; 1 deployments failed",
        "| site | alpha: Debian bookworm, 16 at once |",
        "after 2 samples: no such file",
        "longest 1.000 s",
        "buffered writes",
        "- A backup ran.",
        "| redis | 1.0 |",
        "`memory_usage_bytes` | gauge | 100.0%",
    ):
        assert words in card
    assert str(out.parent) not in card


def test_the_table_of_draws_tells_what_was_drawn_and_what_came_of_it(out: Path) -> None:
    session.record_lab(out, **ARGUMENTS)
    table = read_draws(draws_file(out)).set_index("deployment")
    assert list(table.index) == [d.name for d in MATRIX]
    assert table["outcome"].tolist() == ["recorded", "died", "recorded", "recorded"]
    assert table["attempts_died"].tolist() == [0, 2, 0, 0]
    for deployment in MATRIX:
        row = table.loc[deployment.name]
        assert (row["role"], row["site"], row["profile"]) == ("known", "alpha", deployment.profile)
        assert {name: row[f"knob:{name}"] for name in deployment.values} == deployment.values
        assert row["data_in"] == deployment.data_in
        assert json.loads(row["faults"]) == []
    assert table["version"].fillna("").tolist() == ["1.0", "", "1.0", "1.0"]


def test_what_is_finished_in_time_is_joined_and_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    lab = FakeLab(clock)
    monkeypatch.setattr(machine, "describe", lambda engine: {"engine": engine})
    monkeypatch.setattr(machine, "check", lambda engine, images: [])
    monkeypatch.setattr(session, "open_lab", lambda *_: contextlib.nullcontext(lab))
    monkeypatch.setattr(session.recorder, "SystemClock", lambda: clock)
    [summary] = session.record_lab(tmp_path / "r.parquet", **ARGUMENTS, parallel=1, budget_s=200)
    assert (summary.deployments, summary.dropped, summary.not_started) == (2, 0, 2)
    assert "2 of 4 planned, 0 dropped, 2 not started for lack of time" in summary.card.read_text()
    table = read_draws(draws_file(summary.recording))
    assert Counter(table["outcome"]) == {"recorded": 2, "not started": 2}
    with pytest.raises(PodlabError, match="in time"):
        session.record_lab(tmp_path / "s.parquet", **ARGUMENTS, parallel=1, budget_s=10)


def test_a_recording_is_never_changed(out: Path) -> None:
    session.record_lab(out, **ARGUMENTS)
    with pytest.raises(InputError, match="never changed"):
        session.record_lab(out, **ARGUMENTS)


def test_a_recording_of_which_everything_died_fails_each_time(out: Path) -> None:
    for path in (out.parent / "r.parquet.parts").glob("*.parquet"):
        path.with_suffix(".died-1.json").write_text('{"reason": "x"}')
        path.rename(path.with_suffix(".died-2.json"))
    for _ in range(2):
        with pytest.raises(PodlabError, match="every deployment died"):
            session.record_lab(out, **ARGUMENTS)
    assert not out.exists()


def test_other_arguments_do_not_continue_it(out: Path) -> None:
    with pytest.raises(InputError, match="another recording"):
        session.record_lab(out, **(ARGUMENTS | {"plan": replace(PLAN, seed=4)}))
    assert not out.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"services": ["nothing"]},
        {"plan": RecordingPlan(patterns=("sleepy",))},
        {"plan": RecordingPlan(per_service=0)},
        {"plan": RecordingPlan(seconds=59)},
        {"plan": RecordingPlan(site="zulu")},
        {"parallel": 0},
        {"parallel": 1000},
        {"images": "shop"},
        {"engine": "rkt"},
    ],
)
def test_wrong_arguments_are_refused_and_leave_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        session.record_lab(tmp_path / "new.parquet", **{"plan": RecordingPlan(), **wrong})
    assert list(tmp_path.iterdir()) == []


def test_an_unfit_machine_leaves_nothing_in_the_way_of_other_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = machine.MachineCheck("engine", False, "podman is not installed", "install podman", stops=True)
    monkeypatch.setattr(machine, "check", lambda engine, images: [stop])
    for seed in (3, 4):
        with pytest.raises(InputError, match="podman is not installed"):
            session.record_lab(tmp_path / "new.parquet", **(ARGUMENTS | {"plan": replace(PLAN, seed=seed)}))
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.parquet"):
        session.record_lab(tmp_path / "new.csv", plan=RecordingPlan())


def test_one_lab_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RUN_FOLDER", tmp_path / "run")
    with session._only_lab_here(), pytest.raises(InputError, match="another lab"):
        session.down()


def test_what_stops_the_lab_comes_first_and_is_raised() -> None:
    fit = machine.MachineCheck("memory", True, "8 GiB")
    note = machine.MachineCheck("control groups", False, "v1 misses writes", "boot with v2")
    stop = machine.MachineCheck("engine", False, "podman is not installed", "install podman", stops=True)
    machine.refuse_if_unfit([fit, note])
    with pytest.raises(InputError, match=r"^engine: podman is not installed; install podman$"):
        machine.refuse_if_unfit([fit, note, stop])


def test_a_machine_without_an_engine_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = machine.check("docker", "registry")
    assert findings[0].stops
    assert any("install docker" in finding.todo for finding in findings)


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["cgroup.controllers"], "v2"),
        (["cpuacct/tasks"], "v1"),
        (["cpuacct/tasks", "unified/cgroup.procs"], "hybrid"),
        ([], "none"),
    ],
)
def test_the_layout_of_control_groups_is_told(tmp_path: Path, files: list[str], layout: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert machine.cgroup_layout(tmp_path) == layout


def test_a_disk_that_is_nearly_full_stops_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = machine.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage._replace(free=1_500_000_000))
    with pytest.raises(InputError, match=r"only 1\.5 GB of disk are free; make room"):
        machine.refuse_if_full(tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage._replace(free=3_000_000_000))
    machine.refuse_if_full(tmp_path)
