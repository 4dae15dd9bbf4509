"""A recording without faults of its own, and by_window made by hand in which neighbours are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.audit.windows import WindowTable
from podlab.features.features import feature_names
from tests.support.synthetic import EPOCH, make_samples

SERVICES = ("nginx", "mysql", "redis", "postgres")


@pytest.fixture(scope="session")
def samples() -> pd.DataFrame:
    """Four services, six deployments each, 30 s long; every second deployment is idle."""
    return make_samples(SERVICES, deployments_per_service=6, seconds=30)


def make_window_table(X: np.ndarray, services: list[str], **labels: object) -> WindowTable:
    """Make a window table of as many features of one series as ``X`` has columns; labels are columns, too."""
    names = feature_names(("memory_rss_bytes",))[: X.shape[1]]
    born = EPOCH + pd.to_timedelta(np.arange(len(X)) * 7.0, unit="s")
    deployments = pd.DataFrame(
        {
            "service": pd.array(services, dtype="str"),
            "deployment": pd.array([f"d{number}" for number in range(len(X))], dtype="str"),
            "born": born,
            "begin": born,
            "end": born + pd.Timedelta(seconds=60),
            **labels,
        }
    )
    return WindowTable("start-up", pd.DataFrame(X.astype(np.float32), columns=list(names)), deployments)
