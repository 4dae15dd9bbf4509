"""A recording and models that the commands are called with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from podlab.cli import main
from podlab.data.recordings import read_recording, write_recording
from podlab.explore import explore
from podlab.model import bundle
from tests.support.synthetic import make_samples


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small labelled recording."""
    path = tmp_path_factory.mktemp("recording") / "small.parquet"
    write_recording(make_samples(deployments_per_service=4, seconds=70), path)
    return path


@pytest.fixture(scope="session")
def other_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other deployments of the same services."""
    path = tmp_path_factory.mktemp("recording") / "other.parquet"
    write_recording(make_samples(deployments_per_service=2, seconds=70, seed=7), path)
    return path


@pytest.fixture(scope="session")
def model(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted on the small recording."""
    folder = tmp_path_factory.mktemp("models") / "small"
    assert main(["fit", str(recording), "--out", str(folder), "--horizons", "10s,30s"]) == 0
    return folder


@pytest.fixture(scope="session")
def faulty(other_recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other recording, with a fault in its first container, and a name that is no harmless text."""
    samples = read_recording([other_recording])
    age_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
    first = samples["pod"] == samples["pod"].iloc[0]
    fault = first & age_s.between(40.0, 49.0)
    path = tmp_path_factory.mktemp("faulty") / "faulty.parquet"
    named = samples.assign(
        anomaly=fault.astype("boolean"),
        anomaly_kind=pd.Series("cpu-hog", index=samples.index, dtype="str").where(fault),
        deployment=samples["deployment"] + "</script><!--",
    )
    write_recording(named, path)
    return path


@pytest.fixture(scope="session")
def shown(faulty: Path, model: Path) -> dict[str, Any]:
    """What the explorer shows of it."""
    loaded = bundle.load(model)
    return explore(read_recording([faulty]), loaded.identifier, loaded.library)
