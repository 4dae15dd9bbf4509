"""Features: a naive twin, series that are missing or constant, and nothing that tells who the container is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from podlab.data.catalogue import IDENTITY, LABELS, ORIGINAL_METRICS
from podlab.data.samples import check_samples
from podlab.features.features import (
    DERIVED,
    RATIOS,
    STATISTICS,
    extract_features,
    feature_matrix,
    feature_names,
    series_in,
)
from podlab.features.rows import ObservationSpans
from podlab.features.windows import ALL_SERIES, Windows, make_windows
from tests.support.naive_features import statistics
from tests.support.synthetic import make_samples

TWO = ("rx_bytes", "tx_bytes")


def windows_of(cells: np.ndarray, series: tuple[str, ...] = TWO) -> Windows:
    count = len(cells)
    spans = ObservationSpans(np.zeros(count, dtype=np.int64), np.zeros(count), np.zeros(count))
    return Windows(cells.astype(np.float32), series, pd.DataFrame(index=range(count)), spans)


@settings(max_examples=80)
@given(data=st.data(), cells=st.integers(10, 60))
def test_same_as_the_naive_twin(data: st.DataObject, cells: int) -> None:
    values = st.sampled_from([0.0, 1.0, 2.5, 1000.0, 123_456.0, 1e9, 3e12]) | st.integers(0, 10**6).map(float)
    x = data.draw(arrays(np.float32, (3, 2, cells), elements=values.map(np.float32), fill=st.just(np.float32(7))))
    found, names = feature_matrix(windows_of(x))
    for row in range(3):
        for number, series in enumerate(TWO):
            expected = statistics([float(value) for value in x[row, number]])
            assert tuple(expected) == STATISTICS
            mine = {name: float(found[row, names.index(f"{series}.{name}")]) for name in expected}
            assert mine == pytest.approx(expected, rel=1e-4, abs=1e-5)
        a, b = (found[row, names.index(f"{series}.mean")] for series in TWO)
        assert found[row, names.index("rx_bytes/tx_bytes")] == a - b


def test_a_constant_has_no_shape() -> None:
    found, names = feature_matrix(windows_of(np.full((1, 2, 60), 123_456_789.0)))
    told = dict(zip(names, found[0].tolist(), strict=True))
    for name in ("mean", "min", "median", "max", "early", "late"):
        assert told[f"rx_bytes.{name}"] == pytest.approx(np.log1p(123_456_789.0))
    assert told["rx_bytes.growth"] == 0
    assert told["rx_bytes.early_share"] == 0.5
    assert told["rx_bytes.centre"] == pytest.approx(0.5)
    assert told["rx_bytes.settling"] == 0


def test_a_first_burst_does_not_blur_what_follows() -> None:
    x = np.ones((1, 2, 60))
    x[0, :, 0] = 3e12
    found, names = feature_matrix(windows_of(x))
    assert np.isfinite(found).all()
    assert found[0, names.index("rx_bytes.late")] == pytest.approx(np.log(2))


def test_a_missing_series_is_missing_in_its_own_features_only() -> None:
    x = np.ones((2, 2, 10))
    x[0, 1] = np.nan
    found, names = feature_matrix(windows_of(x))
    missing = [name for name, value in zip(names, found[0], strict=True) if np.isnan(value)]
    assert missing == [f"tx_bytes.{name}" for name in STATISTICS] + ["rx_bytes/tx_bytes"]
    assert not np.isnan(found[1]).any()


def test_no_containers_give_no_rows() -> None:
    found, names = feature_matrix(windows_of(np.empty((0, 2, 10))))
    assert found.shape == (0, len(names))


def test_blocks_do_not_show() -> None:
    x = np.random.default_rng(0).gamma(1.0, 1e6, (3000, 2, 60))
    whole, _ = feature_matrix(windows_of(x))
    np.testing.assert_array_equal(whole[1234:1240], feature_matrix(windows_of(x[1234:1240]))[0])


def test_every_feature_has_its_own_name() -> None:
    names = feature_names(tuple(ALL_SERIES))
    assert len(set(names)) == len(names) == (len(ALL_SERIES) + len(DERIVED)) * len(STATISTICS) + len(RATIOS)


def told_of(series: tuple[str, str], cells: tuple[float, float]) -> dict[str, float]:
    found, names = feature_matrix(windows_of(np.repeat(np.array(cells)[None, :, None], 10, axis=2), series))
    return dict(zip(names, found[0].tolist(), strict=True))


def test_disk_used_is_the_same_wherever_the_data_lie() -> None:
    places = ("rootfs_used_bytes", "volume_used_bytes")
    inside, outside, no_volume = (told_of(places, cells) for cells in ((5e6, 0.0), (1e6, 4e6), (5e6, np.nan)))
    for told in (inside, outside, no_volume):
        assert told["disk_used_bytes.mean"] == pytest.approx(np.log1p(5e6))
    assert np.isnan(told_of(places, (np.nan, 4e6))["disk_used_bytes.mean"])


def test_open_files_are_descriptors_that_are_no_sockets() -> None:
    counts = ("file_descriptors", "sockets")
    assert told_of(counts, (30.0, 12.0))["open_files.median"] == pytest.approx(np.log1p(18))
    assert told_of(counts, (3.0, 12.0))["open_files.median"] == 0.0  # counted at different instants
    assert np.isnan(told_of(counts, (30.0, np.nan))["open_files.median"])


def test_nothing_that_tells_who_the_container_is_reaches_the_features() -> None:
    samples = make_samples(deployments_per_service=2, seconds=35)
    keys = samples["pod"].astype(str)
    order = dict(zip(keys.unique(), np.random.default_rng(3).permutation(keys.unique()), strict=True))
    other = samples.copy()
    for column in (*IDENTITY, *LABELS, "image_size_bytes"):
        if column in other and column not in ("time", "started_at"):
            other[column] = (column + keys.map(order)) if column != "image_size_bytes" else float(len(column))
    moved = pd.Timedelta(days=400, milliseconds=7)
    other["time"] += moved
    other["started_at"] += moved
    a, b = make_windows(samples, horizon_s=30.0), make_windows(check_samples(other, where="test"), horizon_s=30.0)
    back = [b.containers["pod"].tolist().index("pod" + order[pod]) for pod in a.containers["pod"]]
    expected, found = extract_features(a), extract_features(b)
    assert expected.columns.equals(found.columns)
    np.testing.assert_array_equal(expected, found.iloc[back])
    assert all(set(series_in(name)) <= set(ORIGINAL_METRICS) for name in expected)


def test_the_number_of_samples_is_not_told() -> None:
    """Steady series look the same however often they are sampled."""
    samples = make_samples(("nginx",), deployments_per_service=1, seconds=60, jitter_s=0.0)
    steady = samples.assign(
        **{name: 5_000_000.0 for name in ORIGINAL_METRICS if samples[name].dtype == float},
        **{
            name: pd.Series(((samples["time"] - samples["time"][0]).dt.total_seconds() * 1000).round(), dtype="Int64")
            for name in ORIGINAL_METRICS
            if samples[name].dtype != float
        },
        started_at=pd.NaT,
    )
    often, sparse = (
        extract_features(make_windows(check_samples(each, where="test"), horizon_s=60.0))
        for each in (steady, steady.iloc[::7])
    )
    np.testing.assert_allclose(often, sparse, atol=1e-4)


def test_windows_say_how_long_each_container_was_observed() -> None:
    windows = make_windows(make_samples(("nginx",), deployments_per_service=2, seconds=50), horizon_s=30.0)
    assert np.all((windows.spans.observed_s >= 28) & (windows.spans.observed_s < 30))
    assert windows.usable.all()
    assert {"pod", "started_at", "service", "deployment"} <= set(windows.containers)
