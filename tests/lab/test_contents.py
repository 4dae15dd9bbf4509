"""What a recording holds, counted."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lab.contents import ServiceContents, count_recording, count_together
from lab.draws import draws_table
from lab.life import record_life
from lab.matrix import PlannedFault
from podlab.data.recordings import write_recording
from podlab.errors import InputError
from tests.lab.fakes import FakeClock, FakeLab, small_matrix
from tests.lab.test_life import AtOnce


@pytest.fixture
def samples() -> pd.DataFrame:
    """Four deployments: three of 60 s, one of 120 s with two faults."""
    lab = FakeLab(FakeClock())
    faults = (
        PlannedFault("cpu-hog", 20.0, 10.0, 0.5), PlannedFault("burst", 40.0, 10.0, 0.5),
        PlannedFault("crash", 60.0, 20.0, 0.5),
    )  # fmt: skip
    planned = [replace(deployment, seconds=60) for deployment in small_matrix()]
    planned[2] = replace(planned[2], seconds=120, faults=faults)
    lives = [record_life(each, 0, lab.start, lab.clock, threading.Event(), AtOnce()) for each in planned]
    return pd.concat([life.samples for life in lives], ignore_index=True)


def test_services_lives_patterns_and_faults_are_counted(samples: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_recording(samples, path)
    counted = count_recording(path)
    assert counted.services == {"redis": 4}
    assert counted.deployments == 4
    assert counted.rows == 300
    assert counted.size_bytes == path.stat().st_size
    assert counted.lives_s == {60: 3, 120: 1}
    assert counted.longest_s == 120
    assert counted.patterns == {"heavy": 2, "idle": 2}
    assert counted.versions == {"redis": ["1.0"]}
    assert counted.faults == {"cpu-hog": 1, "crash": 1}
    assert counted.normal_events == {"burst": 1}
    assert counted.faulty_deployments == 1
    assert counted.sites == {"alpha": 4}
    assert len(counted.profiles["redis"]) == 4
    assert (counted.roles, counted.died) == ({}, None)


def test_roles_and_deaths_are_counted_from_the_table_of_draws(samples: pd.DataFrame, tmp_path: Path) -> None:
    planned = small_matrix()
    lost = replace(planned[0], name="redis-lost")
    unknown = replace(planned[0], name="other-lost", role="unknown")
    versions = dict.fromkeys((d.name for d in planned), "1.0")
    table = draws_table([*planned, lost, unknown], versions, {lost.name: 2, unknown.name: 2}, {})
    table.to_csv(tmp_path / "r-draws.csv", index=False)
    write_recording(samples, tmp_path / "r.parquet")
    counted = count_recording(tmp_path / "r.parquet")
    assert counted.roles == {"known": 4}
    assert (counted.died, counted.attempts_died) == (1, 2)
    assert counted.died_by_service == {"redis": 1}
    together = count_together([counted, replace(counted, file="r-faults.parquet", died_by_service={})])
    assert together.services == {"redis": ServiceContents(8, {"known": 4, "faults": 4}, ["alpha"], profiles=4, died=1)}
    assert (together.roles, together.died) == ({"known": 8}, 2)


def test_recordings_from_before_there_were_sites_are_counted(samples: pd.DataFrame, tmp_path: Path) -> None:
    write_recording(samples.drop(columns=["site", "profile"]), tmp_path / "r.parquet")
    counted = count_recording(tmp_path / "r.parquet")
    assert counted.sites == {}
    assert len(counted.profiles["redis"]) == 4


def test_a_recording_without_labels_cannot_be_counted(samples: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_recording(samples.drop(columns="variant"), path)
    with pytest.raises(InputError, match="variant"):
        count_recording(path)


def test_lives_are_counted_from_the_first_sample_where_no_start_is_told(samples: pd.DataFrame, tmp_path: Path) -> None:
    write_recording(samples.drop(columns="started_at"), tmp_path / "r.parquet")
    assert count_recording(tmp_path / "r.parquet").lives_s == {60: 3, 120: 1}
