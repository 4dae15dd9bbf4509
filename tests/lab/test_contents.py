"""What a recording holds, counted."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from podlab.errors import InputError
from podlab.lab.contents import count_recording
from podlab.lab.life import record_life
from podlab.lab.matrix import PlannedFault
from podlab.telemetry.recording import write_recording
from tests.lab.fakes import FakeClock, FakeLab, small_matrix
from tests.lab.test_life import AtOnce


@pytest.fixture
def samples() -> pd.DataFrame:
    """Four deployments: three of 60 s, one of 120 s with two faults."""
    lab = FakeLab(FakeClock())
    faults = (PlannedFault("cpu-hog", 20.0, 10.0, 0.5), PlannedFault("crash", 60.0, 20.0, 0.5))
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
    assert counted.faulty_deployments == 1


def test_a_recording_without_labels_cannot_be_counted(samples: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_recording(samples.drop(columns="variant"), path)
    with pytest.raises(InputError, match="variant"):
        count_recording(path)


def test_lives_are_counted_from_the_first_sample_where_no_start_is_told(samples: pd.DataFrame, tmp_path: Path) -> None:
    write_recording(samples.drop(columns="started_at"), tmp_path / "r.parquet")
    assert count_recording(tmp_path / "r.parquet").lives_s == {60: 3, 120: 1}
