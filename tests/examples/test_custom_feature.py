"""The example of a feature of one's own runs as a user would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_shows_the_feature_and_what_the_model_makes_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "examples/custom_feature.py", "tests/contract/fixtures/train.parquet"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "rx_bytes.peak" in done.stdout
    assert len(done.stdout.splitlines()) > 15
