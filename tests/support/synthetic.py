"""Labelled samples made by a formula: quick, seeded, and with services that differ as real ones do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from podlab.data.catalogue import CATALOGUE, MEASURED_METRICS, ORIGINAL_METRICS
from podlab.data.samples import check_samples

EPOCH = pd.Timestamp("2026-01-05T08:00:00Z")
SERVICES = ("nginx", "mysql", "redis", "postgres")


def make_samples(
    services: Sequence[str] = SERVICES,
    *,
    deployments_per_service: int = 6,
    seconds: float = 130,
    interval_s: float = 1.0,
    jitter_s: float = 0.05,
    columns: Sequence[str] = ORIGINAL_METRICS,
    seed: int = 0,
) -> pd.DataFrame:
    """Make a checked samples table.

    Each service has its own typical memory, start-up burst, rates and disk use; each deployment varies them, and
    every second deployment is idle. Start times are spread over hours, so that absolute time tells nothing.
    """
    frames = []
    rng = np.random.default_rng(seed)
    # Drawn from the name, so that the same service looks the same whatever else is in the table.
    for service in services:
        typical = np.random.default_rng(list(service.encode()))
        level = {metric: 10 ** typical.uniform(4, 8) for metric in ORIGINAL_METRICS}
        burst_s = typical.uniform(2, 12)
        for number in range(deployments_per_service):
            idle = number % 2 == 0
            frames.append(_one(service, number, level, burst_s, idle, seconds, interval_s, jitter_s, rng))
    table = pd.concat(frames, ignore_index=True)
    if not set(columns) <= set(ORIGINAL_METRICS):
        table = table.assign(**_further(table))
    dropped = [metric for metric in MEASURED_METRICS if metric in table and metric not in columns]
    return check_samples(table.drop(columns=dropped), where="synthetic samples")


def _further(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Make what is not among the features: multiples of the CPU time and of the memory, so that nothing is drawn."""
    counted, level = table["cpu_usage_core_nanoseconds"], table["memory_usage_bytes"]
    made = {}
    for number, metric in enumerate(name for name in MEASURED_METRICS if name not in ORIGINAL_METRICS):
        if CATALOGUE[metric].kind == "counter":
            # The kernel counts waiting in microseconds, and user and system time no finer than cAdvisor's text tells.
            made[metric] = counted // (1000 + number) * (1000 if CATALOGUE[metric].unit == "ns" else 1)
        else:
            made[metric] = level // (100 + number)
    return made


def _one(
    service: str,
    number: int,
    level: dict[str, float],
    burst_s: float,
    idle: bool,
    seconds: float,
    interval_s: float,
    jitter_s: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    started_at = EPOCH + pd.Timedelta(seconds=float(rng.uniform(0, 20_000)))
    offset_s = np.arange(rng.uniform(0.05, 0.95) * interval_s, seconds, interval_s)
    jittered_s = offset_s + rng.normal(0, jitter_s * interval_s, offset_s.size).clip(-0.4, 0.4)
    offset_s = np.maximum.accumulate(jittered_s.clip(0))  # none before the start: counters would run backwards
    load = 0.02 if idle else rng.uniform(0.3, 1.5)
    start_up = 1 - np.exp(-offset_s / burst_s)
    scale = {metric: value * rng.lognormal(0, 0.15) for metric, value in level.items()}

    def gauge(metric: str) -> np.ndarray:
        noise = rng.normal(1, 0.01, offset_s.size)
        return np.round(scale[metric] * start_up * noise * (1 + 0.05 * load)).clip(0)

    def counter(metric: str) -> np.ndarray:
        rate = scale[metric] * (np.exp(-offset_s / burst_s) + 0.05 * load * rng.gamma(4, 0.25, offset_s.size))
        steps = np.diff(offset_s, prepend=0.0)
        return np.cumsum(rate * steps).astype("int64")

    counters = {"cpu_usage_core_nanoseconds", "memory_page_faults", "memory_major_page_faults"}
    counters |= {"rx_bytes", "tx_bytes", "io_read_bytes", "io_write_bytes"}
    values = {m: counter(m) if m in counters else gauge(m) for m in ORIGINAL_METRICS}
    name = f"pod-{int(rng.integers(16**6)):06x}"
    return pd.DataFrame(
        {
            "time": started_at + pd.to_timedelta(offset_s, unit="s").round("ms"),
            "cluster": "local",
            "node": f"node-{number % 3}",
            "namespace": "lab",
            "pod": name,
            "pod_uid": f"{name}-uid",
            "container": "main",
            "image": f"example.test/{service}:1",
            "started_at": started_at,
            **values,
            "image_size_bytes": float(10_000_000 + 1_000 * len(service)),
            "service": service,
            "deployment": f"{service}-{number}",
            "variant": f"{'idle' if idle else 'steady'}/default",
            "version": "1",
        }
    )


def draw_design(
    samples: pd.DataFrame, *, sites: Sequence[str] = ("alpha",), seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give samples as they are recorded with drawn configurations: with sites and profiles, and a table of draws.

    Deployments of each service take turns at the sites; all else is drawn by itself. Every service has the knob
    ``workers``; mysql has ``engine`` as well.
    """
    rng = np.random.default_rng(seed)
    first = samples.drop_duplicates("deployment")[["deployment", "service", "variant", "version"]]
    count = len(first)
    turn = first.groupby("service").cumcount().to_numpy()
    workers = rng.integers(1, 33, count)
    draws = pd.DataFrame(
        {
            "deployment": first["deployment"].to_numpy(),
            "role": "known",
            "service": first["service"].to_numpy(),
            "site": np.array(sites)[turn % len(sites)],
            "release": "bookworm",
            "version": first["version"].to_numpy(),
            "pattern": first["variant"].str.partition("/")[0].to_numpy(),
            "profile": np.where(workers <= 8, "workers=1..8", "workers=9..32"),
            "outcome": "recorded",
            "attempts_died": 0,
            "knob:engine": np.where(first["service"] == "mysql", rng.choice(["a", "b"], count), None),
            "knob:workers": workers.astype(str),
            "data_in": rng.choice(["volume", "layer"], count),
            "launcher": rng.choice(["direct", "shell", "init"], count),
            "earlier_run": rng.random(count) < 0.3,
            "page_cache": rng.choice(["warm", "cold"], count),
            "cpu_limit_cores": np.where(rng.random(count) < 0.4, np.nan, rng.uniform(0.25, 2.0, count).round(2)),
            "memory_limit_mib": np.where(rng.random(count) < 0.4, np.nan, rng.integers(64, 256, count)),
            "rate_per_s": rng.uniform(1, 100, count).round(2),
            "payload_bytes": rng.integers(20, 65536, count),
            "faults": "[]",
        }
    )
    told = draws.set_index("deployment")
    design = {column: samples["deployment"].map(told[column]) for column in ("site", "profile")}
    variant = samples["variant"].str.partition("/")[0] + "/" + design["profile"]
    return check_samples(samples.assign(**design, variant=variant), where="synthetic samples"), draws


def make_miner(
    *, seconds: float, cores: float = 1.0, kernel: float = 0.02, ramp: bool = False, **changed: float
) -> pd.DataFrame:
    """Make a container that mines as the recordings' do: a core, next to no kernel, and a pool that it talks to.

    ``changed`` replaces what a counter grows by each second.
    """
    offset_s = np.arange(0.5, seconds, 1.0)
    cpu_ns = cores * 1e9 * (offset_s**2 / seconds if ramp else offset_s)
    per_s = {
        "memory_page_faults": 0,
        "io_read_bytes": 0,
        "io_write_bytes": 0,
        "rx_bytes": 300,
        "tx_bytes": 40,
        **changed,
    }
    counters = {
        "cpu_usage_core_nanoseconds": cpu_ns,
        "cpu_user_core_nanoseconds": cpu_ns * (1 - kernel),
        "cpu_system_core_nanoseconds": cpu_ns * kernel,
        **{name: value * offset_s for name, value in per_s.items()},
    }
    table = pd.DataFrame(
        {
            "time": EPOCH + pd.to_timedelta(offset_s, unit="s"), "cluster": "local", "namespace": "guests",
            "pod": "guest-0", "pod_uid": "uid-guest-0", "container": "main", "started_at": EPOCH,
            **{name: values.round().astype("int64") for name, values in counters.items()},
            **dict.fromkeys(("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes"), 20e6),
        }
    )  # fmt: skip
    return check_samples(table, where="synthetic miner")
