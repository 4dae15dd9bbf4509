"""Containers that are anomalous for a while, and a watcher that scores them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from podlab.detect import DetectorLibrary, Scorer
from podlab.detect.signals import samples_at
from podlab.features.rows import read_rows
from podlab.kubernetes.informer import InformerStatus
from podlab.watcher.status import WatcherStatus
from tests.support.synthetic import make_samples
from tests.support.watching import Bench, make_bench, starting_together


def make_containers(seconds: float = 420.0) -> pd.DataFrame:
    """Make six normal containers of two services that start together."""
    made = make_samples(("nginx", "redis"), deployments_per_service=3, seconds=seconds, interval_s=2.0, seed=5)
    return starting_together(made)


def overload(samples: pd.DataFrame, pod: str, begin_s: float, end_s: float) -> pd.DataFrame:
    """Let one pod's processor and memory run away between two ages."""
    age_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
    own = samples["pod"] == pod
    over_s = (age_s.clip(begin_s, end_s) - begin_s).where(own, 0)
    inside = own & (age_s >= begin_s) & (age_s < end_s)
    changed = samples.copy()
    more = (over_s * 3e9).round().astype("int64")
    changed["cpu_usage_core_nanoseconds"] = samples["cpu_usage_core_nanoseconds"] + more
    for name in ("memory_usage_bytes", "memory_working_set_bytes", "memory_rss_bytes"):
        changed[name] = samples[name].where(~inside, samples[name] * 30)
    return changed


def pod_of(samples: pd.DataFrame, service: str) -> str:
    """Name the first pod of a service."""
    return str(samples.loc[samples["service"] == service, "pod"].iloc[0])


def make_anomaly_bench(samples: pd.DataFrame, model: Path, **options: Any) -> Bench:
    """Set up a watcher that looks for anomalies."""
    return make_bench(samples, model, anomalies=True, **options)


def alarms(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What was said of anomalies: kind and pod."""
    return [(line["event"], line["pod"]) for line in lines if line["event"] in ("anomalous", "anomaly-over")]


def watched(here: Bench) -> dict[str, dict[str, object]]:
    """How each pod is watched."""
    monitor = here.watcher.monitor
    assert monitor is not None
    return {tracked.view.pod: monitor.describe(tracked) for tracked in here.watcher.registry.containers()}


def score_naively(
    samples: pd.DataFrame, library: DetectorLibrary, donors_from: dict[str, tuple[float, str]]
) -> Iterator[tuple[str, float, float]]:
    """Score each container by itself, a row at a time: pod, time and score.

    Parameters
    ----------
    samples : DataFrame
    library : DetectorLibrary
    donors_from : dict of str to (float, str)
        By pod: since when, in seconds since 1970, which service's detector watches it; until then the pooled one.
    """
    for pod, own in samples.groupby("pod"):
        started_at = own["started_at"].dt.floor("s")
        rows = read_rows(own.assign(started_at=started_at).reset_index(drop=True))
        begin_s = started_at.iloc[0].timestamp()
        scorer, one = Scorer(library, 1), np.array([0])
        since_s, service = donors_from[str(pod)]
        named = False
        for row in range(len(rows.code)):
            age_s = rows.offset_s[row : row + 1]
            if not named and begin_s + age_s[0] > since_s:
                scorer.set_source_detectors(one, [[(service, 1.0)]])
                named = True
            said = scorer.score(one, age_s, age_s, *samples_at(rows, np.array([row])))
            yield str(pod), round(begin_s + float(age_s[0]), 3), float(said.score[0])


def status_of(here: Bench) -> WatcherStatus:
    """Give the status of a watcher, as its web server shows it."""
    return WatcherStatus(here.watcher, InformerStatus(), here.clock.at_s, lambda: here.clock.at_s)
