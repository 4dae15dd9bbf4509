"""Recordings that were made for tests are not trained on unless asked for."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from podlab.data.recordings import read_recording, read_training, read_with_role, write_recording
from podlab.data.store import append
from podlab.errors import InputError
from tests.support.synthetic import make_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings with known services, unknown services, and faults, named as the recorder names them."""
    folder = tmp_path_factory.mktemp("recordings")
    write_recording(make_samples(("nginx", "redis"), deployments_per_service=2, seconds=20), folder / "mine.parquet")
    unknown = make_samples(("miner",), deployments_per_service=3, seconds=20, seed=1)
    write_recording(unknown, folder / "mine-unknown.parquet")
    faults = make_samples(("nats",), deployments_per_service=2, seconds=20, seed=2)
    write_recording(faults, folder / "mine-faults.parquet")
    return folder


def test_what_was_recorded_for_tests_is_left_out_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = read_training(sorted(folder.glob("*.parquet")))
    pd.testing.assert_frame_equal(samples, read_recording(folder / "mine.parquet"))
    (told,) = caplog.messages
    assert told.endswith(
        "not used for training: 3 containers of unknown services, 2 containers with faults; "
        "--include unknown,faults uses them"
    )


def test_it_is_trained_on_where_asked(folder: Path) -> None:
    samples = read_training(sorted(folder.glob("*.parquet")), include=["unknown"])
    assert set(samples["service"]) == {"nginx", "redis", "miner"}
    everything = read_training(sorted(folder.glob("*.parquet")), include=["unknown", "faults"])
    pd.testing.assert_frame_equal(everything, read_recording(sorted(folder.glob("*.parquet"))))


def test_rows_say_what_they_are_for_whatever_the_file_is_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = make_samples(("nginx", "redis"), deployments_per_service=2, seconds=20)
    unknown = make_samples(("miner",), deployments_per_service=3, seconds=20, seed=1).assign(role="unknown")
    for path in (tmp_path / "renamed.parquet", tmp_path / "renamed.csv"):
        write_recording(pd.concat([known, unknown], ignore_index=True), path)
        caplog.clear()
        assert set(read_training(path)["service"]) == {"nginx", "redis"}
        assert "not used for training: 3 containers of unknown services" in caplog.text


@pytest.mark.parametrize("most_rows", [10_000, 60])
def test_a_data_set_remembers_what_each_file_was_recorded_for(folder: Path, tmp_path: Path, most_rows: int) -> None:
    for file in sorted(folder.glob("*.parquet")):
        append(read_with_role(file), tmp_path / "fleet")
    assert set(read_training(tmp_path / "fleet", most_rows=most_rows)["service"]) == {"nginx", "redis"}
    wanted = read_training(tmp_path / "fleet", most_rows=most_rows, include=["unknown"])
    assert "miner" in set(wanted["service"])


def test_rows_from_an_anomaly_on_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = make_samples(("nginx",), deployments_per_service=2, seconds=20)
    age_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
    samples["anomaly"] = (samples["deployment"] == "nginx-0") & age_s.between(8, 12)
    write_recording(samples, tmp_path / "own.parquet")
    kept = read_training(tmp_path / "own.parquet")
    assert len(kept) == ((samples["deployment"] != "nginx-0") | (age_s < 8)).sum()
    assert "12 rows from an anomaly on" in caplog.text


def test_nothing_left_to_train_on_and_a_wrong_word(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no rows left.*--include unknown uses them"):
        read_training(folder / "mine-unknown.parquet")
    with pytest.raises(InputError, match="no role 'strange'"):
        read_training(folder / "mine.parquet", include=["strange"])


def test_a_misspelt_role_is_not_taken_as_known(tmp_path: Path) -> None:
    samples = make_samples(("nginx", "miner"), deployments_per_service=2, seconds=20)
    write_recording(samples.assign(role=samples["service"].map({"miner": "unkown"})), tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r"own.parquet: no role 'unkown'; column 'role' has known, unknown, faults"):
        read_training(tmp_path / "own.parquet")
