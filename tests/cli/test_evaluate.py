"""`podlab evaluate` as a user reads it."""

from __future__ import annotations

from pathlib import Path

from podlab.telemetry.recording import write_recording
from tests.cli.conftest import Call
from tests.support.synthetic import make_samples


def test_a_service_that_could_not_be_tested_is_named(call: Call, tmp_path: Path) -> None:
    samples = make_samples(("mysql", "nginx", "redis"), deployments_per_service=2, seconds=12)
    write_recording(samples[samples["deployment"] != "nginx-1"], tmp_path / "a.parquet")
    done = call("evaluate", tmp_path / "a.parquet", "--horizons", "10s", "--no-controls")
    assert done.exit_code == 0
    assert "5 deployments of 3 services; guessing gives 0.500" in done.out
    assert done.out.splitlines()[-1] == "not tested, with too few different values of deployment: nginx"
    write_recording(samples, tmp_path / "b.parquet")
    assert "not tested" not in call("evaluate", tmp_path / "b.parquet", "--horizons", "10s", "--no-controls").out
