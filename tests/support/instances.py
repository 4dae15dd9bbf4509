"""Container instances of many kinds: over midnight, restarted, of unknown start, in two clusters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from podlab.data.store import append, containers, dataset
from tests.support.synthetic import make_samples

MIDNIGHT = pd.Timestamp("2026-01-06T00:00:00Z")


def make_containers(seconds: float = 40, seed: int = 0) -> pd.DataFrame:
    """Make 12 containers around midnight: of one the start is not known, and one has restarted."""
    table = make_samples(("nginx", "mysql", "redis"), deployments_per_service=4, seconds=seconds, seed=seed)
    pods = list(dict.fromkeys(table["pod"]))
    number = table["pod"].map({pod: number for number, pod in enumerate(pods)})
    begin = MIDNIGHT - pd.to_timedelta((5 + 7 * number) % (1.4 * seconds), unit="s")
    late = begin - table["started_at"]
    table = table.assign(
        time=table["time"] + late,
        started_at=(table["started_at"] + late).where(number != 3),
        cluster=np.where(number % 3 == 0, "east", "west"),
        volume_used_bytes=table["volume_used_bytes"].where(number == 1),
    )
    again = number == 5
    half = table["time"] > begin + pd.Timedelta(seconds=seconds / 2)
    started = begin + pd.Timedelta(seconds=seconds / 2)
    return table.assign(started_at=table["started_at"].where(~(again & half), started))


def scatter(samples: pd.DataFrame, folder: Path, appends: int, seed: int) -> Path:
    """Append the rows in so many parts, drawn at random."""
    part = np.random.default_rng(seed).integers(appends, size=len(samples))
    for number in range(appends):
        if (part == number).any():
            append(samples[part == number], folder)
    return folder


@contextmanager
def small_files(row_group_rows: int, most_rows: int, share_rows: int = 200) -> Iterator[None]:
    """Write and read in so small pieces that every border is crossed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "ROW_GROUP_ROWS", row_group_rows)
        patch.setattr(dataset, "MOST_ROWS", most_rows)
        patch.setattr(containers, "BATCH_ROWS", 50)
        patch.setattr(containers, "SHARE_ROWS", share_rows)
        yield
