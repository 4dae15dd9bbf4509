"""The samples table as arrays: rows in any order, restarts, missing names, repeated instants, and a naive twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.data.samples import check_samples
from podlab.features import windows
from podlab.features.rows import read_rows
from podlab.features.windows import make_windows
from tests.support import naive_rows
from tests.support.synthetic import EPOCH, make_samples

names = st.sampled_from([None, "a", "b"])
sample = st.fixed_dictionaries(
    {
        "time": st.integers(0, 8).map(lambda second: EPOCH + pd.Timedelta(seconds=second)),
        "cluster": names,
        "namespace": names,
        "pod": st.sampled_from(["a", "b"]),
        "pod_uid": names,
        "container": st.sampled_from(["main", "side"]),
        "started_at": st.sampled_from([pd.NaT, EPOCH, EPOCH + pd.Timedelta(seconds=5)]),
        "rx_bytes": st.none() | st.integers(0, 2**62),
        "rootfs_used_bytes": st.none() | st.integers(0, 10**6).map(float),
    }
)


def checked(samples: list[dict[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame(samples).astype({"rx_bytes": "Int64", "rootfs_used_bytes": "float64"})
    return check_samples(frame, where="test")


@settings(max_examples=100)
@given(samples=st.lists(sample, min_size=1, max_size=30), data=st.data())
def test_same_as_the_naive_twin(samples: list[dict[str, object]], data: st.DataObject) -> None:
    table = checked(samples)
    order = data.draw(st.permutations(range(len(table))) | st.just(list(range(len(table)))))
    twice = pd.concat([table, table.iloc[: data.draw(st.integers(0, 3))]])
    table = data.draw(st.sampled_from([table.iloc[order], table, twice]))
    found = read_rows(table)
    expected = naive_rows.rows(table)
    assert found.code.tolist() == [number for number, _, _ in expected]
    assert found.offset_s.tolist() == [offset_s for _, offset_s, _ in expected]
    for name in ("rx_bytes", "rootfs_used_bytes"):
        values = [None if pd.isna(row[name]) else row[name] for _, _, row in expected]
        here, stored = found.valid[name], vars(found)["values"][name]
        assert [value if there else None for there, value in zip(here, stored, strict=True)] == values
    first = [row for before, (number, _, row) in zip([-1, *found.code], expected, strict=False) if before != number]
    for name in ("cluster", "namespace", "pod", "pod_uid", "container", "started_at"):
        theirs = [None if pd.isna(row[name]) else row[name] for row in first]
        assert [None if pd.isna(value) else value for value in found.containers[name]] == theirs


@pytest.mark.parametrize(("horizon_s", "begin_s"), [(None, 0.0), (20.0, 0.0), (20.0, 7.0)])
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, horizon_s: float | None, begin_s: float) -> None:
    samples = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=40)
    pods = samples["pod"].unique()
    # Gaps, a counter that falls, a column without a value, and containers that have no row in the window.
    samples.loc[samples["pod"] == pods[0], "cpu_usage_core_nanoseconds"] = pd.NA
    samples.loc[samples.index % 7 == 3, ["rx_bytes", "rootfs_used_bytes"]] = pd.NA
    samples.loc[samples["pod"] == pods[1], "tx_bytes"] = samples.loc[samples["pod"] == pods[1], "tx_bytes"] % 1000
    samples["started_at"] = samples["started_at"].mask(samples["pod"] == pods[2])
    late = (samples["pod"] == pods[3]) & (samples["time"] - samples["started_at"] < pd.Timedelta(seconds=30))
    samples = samples[~late]
    begins_s = np.full(len(pods), begin_s)
    whole = make_windows(samples, horizon_s=horizon_s, begin_s=begins_s if begin_s else 0.0)
    for room in (1, 100, 300):
        monkeypatch.setattr(windows, "_BLOCK_ROWS", room)
        found = make_windows(samples, horizon_s=horizon_s, begin_s=begins_s if begin_s else 0.0)
        np.testing.assert_array_equal(found.cells, whole.cells)
        np.testing.assert_array_equal(found.spans.first_s, whole.spans.first_s)
