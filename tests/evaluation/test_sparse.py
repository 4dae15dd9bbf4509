"""With few columns, sparsely sampled, podlab is compared with a forest on means and deviations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from podlab.evaluation.sparse import FOREST, PODLAB, compare_sparse_sampling, means_and_deviations
from tests.support.synthetic import make_samples


def test_both_are_judged_on_the_same_deployments_as_a_slow_cluster_would_show_them():
    short = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=40)
    found = compare_sparse_sampling(short, interval_s=5.0, seen_s=(0.0, 35.0, 90.0), folds=2, jobs=1)
    assert found["seen_s"].to_list() == [0, 0, 35, 35], "none was recorded for 90 s"
    assert found["method"].to_list() == [PODLAB, FOREST] * 2
    assert set(found["n_deployments"]) == {8}
    assert found["samples"].between(7, 8).all()
    assert found["minutes"].between(0.5, 0.67).all()
    assert (found["macro_f1"] > 0.8).all(), "memory alone tells these services apart"
    by_method = found[found["seen_s"] == 0].set_index("method")
    ahead = by_method.loc[PODLAB, "macro_f1"] - by_method.loc[FOREST, "macro_f1"]
    assert by_method.loc[FOREST, "gain"] == pytest.approx(ahead)
    assert np.isnan(by_method.loc[PODLAB, "gain"])


def test_windows_are_means_and_deviations_of_levels_and_of_growth_per_second():
    start = pd.Timestamp("2026-01-05T08:00:00Z")
    samples = pd.DataFrame(
        {
            "time": [start + pd.Timedelta(seconds=each) for each in (10, 0, 20, 0)],
            "cpu_usage_core_nanoseconds": pd.array([100, 0, 300, 7], dtype="Int64"),
            "memory_rss_bytes": [4.0, 2.0, 6.0, 1.0],
        }
    )
    described = means_and_deviations(samples, np.array([0, 0, 0, 1]))
    assert described[0] == pytest.approx([15, np.std([10, 20], ddof=1), 4, 2])
    assert np.isnan(described[1, [0, 1, 3]]).all()
    assert described[1, 2] == 1
