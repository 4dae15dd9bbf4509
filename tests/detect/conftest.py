"""A library learned once, and new containers of the same services."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from podlab.detect import DetectorLibrary, default_estimators, fit_library
from tests.support.synthetic import make_samples

SERVICES = ("nginx", "redis", "mysql")


@cache
def _library() -> DetectorLibrary:
    samples = make_samples(SERVICES, deployments_per_service=8, seconds=90)
    found = fit_library(samples, make_estimators=default_estimators)
    assert found is not None
    return found


@cache
def fault_library() -> DetectorLibrary:
    """Detectors learned from synthetic faults."""
    samples = make_samples(SERVICES, deployments_per_service=7, seconds=90)
    found = fit_library(samples)
    assert found is not None
    return found


@pytest.fixture
def library() -> DetectorLibrary:
    return _library()


@pytest.fixture
def samples() -> pd.DataFrame:
    return make_samples(SERVICES, deployments_per_service=2, seconds=90, seed=5)


def leak(samples: pd.DataFrame, *, begin_s: float = 60.0) -> pd.DataFrame:
    """Memory and processor run away in all containers from some age on."""
    late = (samples["time"] - samples["started_at"]).dt.total_seconds() >= begin_s
    over_s = ((samples["time"] - samples["started_at"]).dt.total_seconds() - begin_s).clip(0)
    changed = samples.copy()
    for name in ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes"):
        changed[name] = samples[name] * (1 + over_s)
    more = (over_s * 3e9).round().astype("int64")
    changed["cpu_usage_core_nanoseconds"] = samples["cpu_usage_core_nanoseconds"] + more
    changed["anomaly"] = np.asarray(late)
    return changed
