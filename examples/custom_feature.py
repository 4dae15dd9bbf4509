"""A feature of one's own: register it, look at it, and see whether models need it."""

import sys

import numpy as np

import podlab


@podlab.feature("peak")  # rx_bytes.peak, cpu_usage_nanocores.peak, ...: one for each series
def peak(cells):  # (n_windows, n_cells), one series; NaN where it is missing
    """When the series is highest, as a share of the window."""
    return cells.argmax(axis=1) / cells.shape[1]


if __name__ == "__main__":
    samples = podlab.read_samples(sys.argv[1])  # such as data/recordings/first.parquet
    windows = podlab.make_windows(samples, horizon_s=30)
    features = podlab.extract_features(windows)
    print(features.filter(like=".peak").groupby(windows.containers["service"]).median().round(2).T)

    identifier = podlab.Identifier(horizons_s=[30]).fit(samples)
    model = identifier.horizon_models["birth30s"]
    importance = model.forest.importance(len(identifier.features))
    for number in np.argsort(-importance)[:5]:
        print(f"{identifier.features[number]:40} {importance[number] / importance.sum():.3f}")
