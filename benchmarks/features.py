"""What features cost: podlab beside pandas groupby and tsfresh's minimal set, on the same values in one run.

Run it with ``python -m benchmarks.features``. One window is 60 samples of 11 metrics. CPU time on one core counts,
because it hardly depends on what else the machine does; of several runs the least counts.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable

# Before numpy is loaded, so that all contenders have one core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np
import pandas as pd

from benchmarks.measure import has_peer, least_cpu_s
from podlab.data.catalogue import CATALOGUE
from podlab.data.samples import check_samples
from podlab.features.features import feature_matrix
from podlab.features.rows import ObservationSpans, read_rows
from podlab.features.windows import SERIES, Windows, make_windows

SAMPLES = 60
METRICS = tuple(SERIES)[:11]
START = pd.Timestamp("2026-01-01T00:00:00Z")


def make_values(windows: int) -> np.ndarray:
    """Draw values (n_windows, n_metrics, n_samples) with the spread of real metrics."""
    rng = np.random.default_rng(0)
    scale = 10 ** rng.uniform(3, 8, (windows, len(METRICS), 1))
    return (scale * rng.gamma(2.0, 0.5, (windows, len(METRICS), SAMPLES))).astype(np.float32)


def as_windows(values: np.ndarray) -> Windows:
    """Wrap values that are on a grid already."""
    seconds = np.full(len(values), float(SAMPLES))
    spans = ObservationSpans(np.full(len(values), SAMPLES), 0 * seconds, seconds)
    return Windows(values, METRICS, pd.DataFrame(index=range(len(values))), spans)


def as_frame(values: np.ndarray) -> pd.DataFrame:
    """Lay the same out as a long frame, one row per sample."""
    window = np.repeat(np.arange(len(values)), SAMPLES)
    columns = {name: values[:, number].reshape(-1) for number, name in enumerate(METRICS)}
    return pd.DataFrame({"window": window, "sample": np.tile(np.arange(SAMPLES), len(values)), **columns})


def as_samples(values: np.ndarray) -> pd.DataFrame:
    """Lay the same out as a samples table, as a recording or a database gives it."""
    window = np.repeat(np.arange(len(values)), SAMPLES)
    time_s = pd.to_timedelta(np.tile(np.arange(SAMPLES), len(values)) + 0.5, unit="s")
    columns = {
        name: values[:, number].cumsum(axis=1).astype(np.int64).reshape(-1)
        if CATALOGUE[name].kind == "counter"
        else values[:, number].reshape(-1)
        for number, name in enumerate(METRICS)
    }
    pods = pd.Series(np.char.add("pod-", window.astype(str)), dtype="str")
    return check_samples(
        pd.DataFrame({"time": START + time_s, "pod": pods, "container": "main", "started_at": START, **columns}),
        where="benchmark",
    )


def by_tsfresh(frame: pd.DataFrame) -> Callable[[], object]:
    """Give the way by tsfresh."""
    from tsfresh import extract_features
    from tsfresh.feature_extraction import MinimalFCParameters

    return lambda: extract_features(
        frame, column_id="window", column_sort="sample", default_fc_parameters=MinimalFCParameters(),
        disable_progressbar=True, n_jobs=0,
    )  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    values = make_values(options.windows)
    some = max(1, options.windows // 100)
    windows, frame = as_windows(values), as_frame(values)
    samples = as_samples(values)
    statistics = ["sum", "median", "mean", "size", "std", "var", "max", "min", "first", "last"]

    def by_groupby() -> object:
        groups = frame.groupby("window")[list(METRICS)]
        return groups.agg(statistics), groups.quantile([0.25, 0.75])

    rates = {
        "podlab, windows to features": options.windows / least_cpu_s(lambda: feature_matrix(windows), options.repeats),
        "podlab, samples table to features": options.windows
        / least_cpu_s(lambda: feature_matrix(make_windows(read_rows(samples), horizon_s=60.0)), options.repeats),
        "sorting the same values only": options.windows
        / least_cpu_s(lambda: np.sort(values, axis=-1), options.repeats),
        "pandas groupby": options.windows / least_cpu_s(by_groupby, 2),
    }
    if has_peer("tsfresh"):
        rates["tsfresh, minimal"] = some / least_cpu_s(by_tsfresh(as_frame(values[:some])), 2)
    ours = rates["podlab, windows to features"]
    ratios = {name: ours / rate for name, rate in rates.items() if not name.startswith("podlab")}
    if options.json:
        print(json.dumps({"windows_per_cpu_s": rates, "times_as_fast": ratios}))
        return
    features = feature_matrix(as_windows(values[:1]))[0].shape[1]
    print(f"{options.windows} windows of {SAMPLES} samples x {len(METRICS)} metrics; podlab: {features} features")
    for name, rate in rates.items():
        print(f"{name:36s} {rate:10,.0f} windows per CPU-second")
    for name, ratio in ratios.items():
        print(f"podlab is {ratio:.2f} times as fast as {name}")


if __name__ == "__main__":
    main()
