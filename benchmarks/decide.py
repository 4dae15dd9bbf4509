"""What a decision costs: podlab beside pandas and scikit-learn, on the same samples table in one run.

Run it with ``python -m benchmarks.decide``. A table holds 60 s of each container, one row a second, every metric there
is. The peer is the plain way: statistics by pandas groupby, then ``predict_proba`` of a random forest with as many
trees as one of podlab's forests has (podlab adds up two of them, and also tells how novel a container is and which
services it resembles). CPU time on one core counts, because it hardly depends on what else the machine does; of
several runs the least counts. Memory is what a process needs beyond the table and the model.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial

# Before numpy is loaded, so that all contenders have one core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from benchmarks.measure import extra_peak_bytes, least_cpu_s
from podlab.data.catalogue import CATALOGUE, ORIGINAL_METRICS
from podlab.data.samples import check_samples
from podlab.identify import fit

SAMPLES = 60
SERVICES = 20
#: As many as one of podlab's forests has.
TREES = 200
TRAINING_CONTAINERS = 240
START = pd.Timestamp("2026-01-01T00:00:00Z")
STATISTICS = ["mean", "median", "std", "min", "max", "first", "last"]


def make_frame(containers: int, seed: int) -> pd.DataFrame:
    """Draw a labelled table of services that differ in level, start-up and rate, rows by container and time."""
    typical = np.random.default_rng(0)
    level = 10 ** typical.uniform(4, 8, (SERVICES, len(ORIGINAL_METRICS)))
    burst_s = typical.uniform(2, 12, SERVICES)
    rng = np.random.default_rng(seed)
    number = np.arange(containers)
    service = number % SERVICES
    offset_s = np.arange(SAMPLES) + rng.uniform(0.05, 0.95, (containers, 1))
    scale = level[service] * rng.lognormal(0, 0.3, (containers, len(ORIGINAL_METRICS)))
    fade = np.exp(-offset_s / burst_s[service][:, None])
    values = {}
    for column, name in enumerate(ORIGINAL_METRICS):
        noise = rng.gamma(20.0, 0.05, offset_s.shape)
        own = scale[:, [column]]
        if CATALOGUE[name].kind == "counter":
            values[name] = (own * (fade + 0.05 * noise)).cumsum(axis=1).astype(np.int64).reshape(-1)
        else:
            values[name] = (own * (1 - fade) * noise).round().reshape(-1)

    def per_row(texts: np.ndarray) -> pd.Series:
        return pd.Series(texts, dtype="str").repeat(SAMPLES).reset_index(drop=True)

    start = START + pd.to_timedelta(np.sort(rng.uniform(0, 3600, containers)).round(3), unit="s")
    pod = np.char.add("pod-", np.char.zfill(number.astype(str), 6))
    identity = {
        "time": start.repeat(SAMPLES) + pd.to_timedelta(offset_s.reshape(-1).round(3), unit="s"),
        "cluster": "local",
        "node": per_row(np.char.add("node-", (number % 50).astype(str))),
        "namespace": per_row(np.char.add("team-", (number % 30).astype(str))),
        "pod": per_row(pod),
        "pod_uid": per_row(np.char.add(pod, "-4f5c2c1e-uid")),
        "container": "main",
        "image": per_row(np.char.add("example.test/image-", service.astype(str))),
        "started_at": start.repeat(SAMPLES),
    }
    labels = {"service": per_row(np.char.add("service-", service.astype(str))), "deployment": per_row(pod)}
    return pd.DataFrame({**identity, **values, **labels})


def fit_peer(training: pd.DataFrame) -> Callable[[pd.DataFrame], np.ndarray]:
    """Fit scikit-learn's forest on statistics by pandas groupby; give the way from samples to probabilities."""
    counters = [name for name in ORIGINAL_METRICS if CATALOGUE[name].kind == "counter"]

    def features(samples: pd.DataFrame) -> pd.DataFrame:
        values = samples[["pod_uid", *ORIGINAL_METRICS]].astype(dict.fromkeys(ORIGINAL_METRICS, "float64"))
        values[counters] = values.groupby("pod_uid", sort=False)[counters].diff()
        return values.groupby("pod_uid", sort=False)[list(ORIGINAL_METRICS)].agg(STATISTICS)

    forest = RandomForestClassifier(TREES, random_state=0, n_jobs=1)
    forest.fit(features(training).to_numpy(np.float32), training.groupby("pod_uid", sort=False)["service"].first())
    return lambda samples: forest.predict_proba(features(samples).to_numpy(np.float32))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--containers", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    training = check_samples(make_frame(TRAINING_CONTAINERS, seed=1), where="training")
    identifier = fit(training, horizons_s=(10.0, 60.0), jobs=1)
    peer = fit_peer(training)
    frame = make_frame(options.containers, seed=2).drop(columns=["service", "deployment"])
    samples = check_samples(frame, where="benchmark")
    single = samples.iloc[:SAMPLES].reset_index(drop=True)
    ways: dict[str, Callable[[pd.DataFrame], object]] = {
        "podlab": identifier.identify,
        "pandas groupby, scikit-learn": peer,
    }
    found = {
        name: {
            "peak_mb": extra_peak_bytes(partial(way, samples)) / 1e6,
            "cpu_s": least_cpu_s(partial(way, samples), options.repeats),
            "single_ms": 1e3 * least_cpu_s(partial(way, single), 20 * options.repeats),
        }
        for name, way in ways.items()
    }
    check_s = least_cpu_s(partial(check_samples, frame, where="benchmark"), 2)
    ours, theirs = found.values()
    ratios = {name: theirs[name] / ours[name] for name in ours}
    if options.json:
        print(json.dumps({"found": found, "check_samples_cpu_s": check_s, "times_podlabs": ratios}))
        return
    print(f"{options.containers} containers x {SAMPLES} samples x {len(ORIGINAL_METRICS)} metrics; {SERVICES} services")
    for name, cost in found.items():
        print(
            f"{name:30s} {cost['cpu_s']:7.2f} CPU-seconds, {cost['peak_mb']:6.0f} MB more at the peak,"
            f" {cost['single_ms']:6.1f} ms for a single container"
        )
    print(f"The peer takes {ratios['cpu_s']:.1f} times the CPU time, {ratios['peak_mb']:.1f} times the memory and")
    print(
        f"{ratios['single_ms']:.1f} times as long for a single container. Checking a table once takes {check_s:.2f} s."
    )


if __name__ == "__main__":
    main()
