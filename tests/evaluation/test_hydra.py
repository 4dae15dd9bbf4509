"""Counts of competing kernels agree with a twin that goes cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from podlab.evaluation.baselines import _compete, hydra_features
from podlab.features.windows import make_windows
from tests.support.synthetic import make_samples


def slow_compete(values: np.ndarray, kernels: np.ndarray, dilation: int) -> np.ndarray:
    reach = dilation * (len(kernels) - 1)
    counts = np.zeros((len(values), 2 * kernels.shape[1]))
    for row, series in enumerate(values):
        for cell in range(series.size):
            fits = []
            for kernel in kernels.T:
                places = cell - reach // 2 + dilation * np.arange(kernel.size)
                fits.append(sum(w * series[p] for w, p in zip(kernel, places, strict=True) if 0 <= p < series.size))
            counts[row, int(np.argmax(fits))] += max(fits)
            counts[row, kernels.shape[1] + int(np.argmin(fits))] += 1
    return np.sqrt(np.maximum(counts, 0))


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_best_kernel_counts_by_its_fit_and_the_worst_by_once(dilation: int) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3, 20)).astype(np.float32)
    kernels = rng.normal(size=(9, 4)).astype(np.float32)
    fast = _compete(values, kernels, dilation)
    np.testing.assert_allclose(fast, slow_compete(values, kernels, dilation), rtol=1e-4, atol=1e-4)


def test_any_window_is_described_by_numbers_and_services_are_separated_by_them() -> None:
    samples = make_samples(("nginx", "mysql"), deployments_per_service=4, seconds=30)
    windows = make_windows(samples.assign(io_read_bytes=np.nan), horizon_s=12.0)
    X = hydra_features(windows).to_numpy()
    assert np.isfinite(X).all()
    assert X.shape[0] == 8
    truth = (windows.containers["service"] == "nginx").to_numpy(int)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV()).fit(X[::2], truth[::2])
    assert set(truth[::2]) == {0, 1}
    np.testing.assert_array_equal(model.predict(X[1::2]), truth[1::2])
