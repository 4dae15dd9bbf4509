"""The recorder: complete, resumable, honest about what died."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lab.matrix import Deployment
from lab.parts import Parts
from lab.recorder import record
from podlab.errors import InputError
from tests.lab.fakes import FakeClock, FakeLab, dies, small_matrix

SECONDS = 5
MATRIX = small_matrix()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "r.parquet", MATRIX)


def _record(parts: Parts, lab: FakeLab, parallel: int = 1, **options: object) -> None:
    record(parts, start=lab.start, parallel=parallel, clock=lab.clock, **options)  # type: ignore[arg-type]


def _counts(parts: Parts) -> dict[str, int]:
    return {path.stem: len(pd.read_parquet(path)) for path in parts.finished().values()}


def test_each_deployment_is_recorded_once_from_birth_each_second(parts: Parts) -> None:
    lab = FakeLab(FakeClock())
    _record(parts, lab)
    assert _counts(parts) == {d.name: SECONDS for d in MATRIX}
    assert lab.started == [d.name for d in MATRIX]
    assert not lab.running
    samples = pd.read_parquet(parts.finished()[MATRIX[0]])
    assert (samples["time"].diff().dropna().dt.total_seconds() == 1.0).all()
    assert samples["time"].iloc[0] == samples["started_at"].iloc[0]
    assert samples["deployment"].unique().tolist() == [MATRIX[0].name]


def test_several_run_at_once_and_none_is_lost_or_doubled(parts: Parts) -> None:
    lab = FakeLab(FakeClock())
    _record(parts, lab, parallel=3)
    assert sorted(lab.started) == sorted(d.name for d in MATRIX)
    assert len(parts.finished()) == len(MATRIX)
    assert lab.most_at_once <= 3


def test_an_instant_that_was_missed_stays_missed(parts: Parts) -> None:
    clock = FakeClock()

    def slow(_: Deployment, number: int) -> None:
        if number == 1:
            clock.wait(2.5)

    _record(parts, FakeLab(clock, slow))
    samples = pd.read_parquet(parts.finished()[MATRIX[0]])
    seconds = (samples["time"] - samples["time"].iloc[0]).dt.total_seconds().tolist()
    assert seconds == [0.0, 1.0, 3.5, 4.0]


def test_one_that_dies_once_is_recorded_at_the_second_attempt(parts: Parts) -> None:
    lab = FakeLab(FakeClock(), dies(MATRIX[2].name, times=1))
    _record(parts, lab)
    assert _counts(parts) == {d.name: SECONDS for d in MATRIX}
    assert lab.started.count(MATRIX[2].name) == 2
    assert [(d.deployment, d.attempt, d.reason) for d in parts.died()] == [
        (MATRIX[2], 1, "after 2 samples: no such file")
    ]


def test_one_that_dies_twice_is_dropped_and_counted(parts: Parts) -> None:
    seen: list[tuple[int, int, str]] = []
    lab = FakeLab(FakeClock(), dies(MATRIX[2].name))
    _record(parts, lab, progress=lambda *told: seen.append(told))
    assert MATRIX[2].name not in _counts(parts)
    assert [d.attempt for d in parts.died()] == [1, 2]
    assert [done for done, _, _ in seen] == [1, 2, 3, 4]
    assert {total for _, total, _ in seen} == {len(MATRIX)}
    assert seen[0][2] == "time left 1m15s"
    assert seen[-1][2] == "time left none, 1 dropped"
    assert not lab.running


def test_no_deployment_is_started_that_could_not_end_in_time(parts: Parts) -> None:
    lab = FakeLab(FakeClock())
    _record(parts, lab, budget_s=2 * SECONDS + 20.5)
    assert lab.started == [d.name for d in MATRIX[:2]]
    assert parts.missing() == list(MATRIX[2:])
    _record(parts, FakeLab(FakeClock()))
    assert len(parts.finished()) == len(MATRIX)


def test_load_that_never_arrived_is_no_recording(parts: Parts) -> None:
    lab = FakeLab(FakeClock(), requests=0)
    _record(parts, lab)
    kept = set(parts.finished())
    assert kept == {d for d in MATRIX if d.pattern == "idle"}


@pytest.mark.parametrize("instant", [0, 13])
def test_ctrl_c_leaves_nothing_running_and_the_next_run_continues(parts: Parts, instant: int) -> None:
    clock = FakeClock()
    left = [instant]

    def interrupt(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    first = FakeLab(clock, interrupt)
    with pytest.raises(KeyboardInterrupt):
        _record(parts, first)
    assert not first.running
    done = _counts(parts)
    second = FakeLab(clock)
    _record(parts, second)
    assert _counts(parts) == {d.name: SECONDS for d in MATRIX}
    assert not set(done) & set(second.started)


KILLED = """
import os, sys
from pathlib import Path
from lab.parts import Parts
from lab.recorder import record
from tests.lab.fakes import FakeClock, FakeLab, small_matrix

left = [int(sys.argv[2])]

def kill(*_):
    left[0] -= 1
    if left[0] < 0:
        os._exit(9)

lab = FakeLab(FakeClock(), kill)
parts = Parts(Path(sys.argv[1]), small_matrix())
record(parts, start=lab.start, parallel=1, clock=lab.clock)
"""


@pytest.mark.parametrize("instant", [0, 4, 5, 12, 19])
def test_a_recorder_killed_outright_loses_and_doubles_nothing(parts: Parts, tmp_path: Path, instant: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "r.parquet"), str(instant)], check=False)
    assert done.returncode == 9
    assert len(parts.finished()) == instant // SECONDS
    finished_before = {path: path.read_bytes() for path in parts.finished().values()}
    lab = FakeLab(FakeClock())
    _record(parts, lab)
    assert _counts(parts) == {d.name: SECONDS for d in MATRIX}
    assert len(lab.started) == len(MATRIX) - len(finished_before)
    assert all(path.read_bytes() == content for path, content in finished_before.items())


def test_parts_of_another_matrix_are_not_continued(parts: Parts, tmp_path: Path) -> None:
    parts.claim()
    parts.keep_death(MATRIX[0], "died", [])
    with pytest.raises(InputError, match="another recording"):
        Parts(tmp_path / "r.parquet", small_matrix(seed=1)).claim()
    with pytest.raises(InputError, match="another recording"):
        Parts(tmp_path / "r.parquet", [replace(d, seconds=d.seconds + 1) for d in MATRIX]).claim()


def test_a_call_that_recorded_nothing_is_not_in_the_way_of_the_next(parts: Parts, tmp_path: Path) -> None:
    parts.claim()
    other = Parts(tmp_path / "r.parquet", small_matrix(seed=1))
    other.claim()
    other.keep_death(other.matrix[0], "died", [])
    with pytest.raises(InputError, match="another recording"):
        parts.claim()


def test_an_error_that_nobody_thought_of_costs_one_deployment_only(parts: Parts) -> None:
    def fault(deployment: Deployment, _: int) -> None:
        if deployment == MATRIX[1]:
            raise RuntimeError("no more file descriptors")

    _record(parts, FakeLab(FakeClock(), fault))
    assert [died.reason for died in parts.died()] == ["RuntimeError('no more file descriptors')"] * 2
    assert len(parts.finished()) == len(MATRIX) - 1


def test_a_machine_fault_stops_the_recording_instead_of_dropping_deployments(parts: Parts) -> None:
    def fault(*_: object) -> None:
        raise InputError("podman is not installed")

    with pytest.raises(InputError, match="not installed"):
        _record(parts, FakeLab(FakeClock(), fault))
    assert not parts.died()
