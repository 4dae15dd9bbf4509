"""What the watcher's alarms find and how often they are false, by how long a score must stay above the threshold.

Run it with ``python -m benchmarks.alarms`` after ``make train``; it takes some minutes. Faults are those of
``second-faults.parquet``, found where an alarm is raised within one. False alarms are those in normal deployments of
``second.parquet``, scored by detectors that learned from the other half of the deployments, as
``notebooks/09_detectors`` does. Donors are the true services. Each is done with all samples, one a second, with one
each ten seconds, as most agents take them, and so once more for containers first seen in the midst of their life.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

# Before numpy is loaded: the matrices are small, and more threads only wait for each other.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import pandas as pd

from podlab.data.recordings import read_recording
from podlab.data.samples import INSTANCE_KEY
from podlab.detect import DetectorLibrary, fit_library
from podlab.detect.scoring import KNOWN_AFTER_S, score_rows
from podlab.evaluation.anomalies import read_fault_recording
from podlab.evaluation.splits import plan_splits
from podlab.features.rows import Rows, read_rows
from podlab.model import bundle
from podlab.watcher.alarms import Alarms

HOLDS_S = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0)
INTERVALS_S = (1.0, 10.0)
MID_LIFE_S = 90.0
SECONDS_PER_DAY = 86_400.0


def thin(samples: pd.DataFrame, interval_s: float, begin_s: float = 0.0) -> pd.DataFrame:
    """Keep the first sample of each interval of each container, from an age on."""
    age_s = (samples["time"] - samples["started_at"]).dt.total_seconds()
    step = samples.assign(step=age_s // interval_s)[age_s >= begin_s]
    return step.drop_duplicates([*INSTANCE_KEY, "step"]).drop(columns="step").reset_index(drop=True)


def raised(rows: Rows, library: DetectorLibrary, holds_s: Sequence[float]) -> dict[float, np.ndarray]:
    """Tell at which rows alarms are raised (n_rows,), by how long a score must stay above the threshold."""
    services = rows.containers["service"].astype(str).tolist()
    alarms = {hold_s: Alarms(len(services), raised_after_s=hold_s) for hold_s in holds_s}
    found = {hold_s: np.zeros(len(rows.code), dtype=bool) for hold_s in holds_s}
    for which, said in score_rows(rows, library, lambda who, _: ((services[who], 1.0),)):
        whose, time_s = rows.code[which], rows.offset_s[which]
        row_of = dict(zip(whose.tolist(), which.tolist(), strict=True))
        for hold_s, own in alarms.items():
            stood = set(own.standing)
            for change in own.step(whose, time_s, said, np.ones(whose.size, dtype=bool)):
                found[hold_s][row_of[change.slot]] |= change.slot not in stood
    return found


def faults_found(samples: pd.DataFrame, library: DetectorLibrary) -> list[dict[str, float]]:
    """Count the faults in which an alarm is raised, and alarms before a container's first fault."""
    recording = read_fault_recording(samples)
    lines = []
    for hold_s, marks in raised(recording.rows, library, HOLDS_S).items():
        delays = []
        for own, faults in zip(recording.series, recording.faults, strict=True):
            for first, last in zip(faults.first.tolist(), faults.last.tolist(), strict=True):
                hits = np.flatnonzero(marks[own[first : last + 1]])
                if hits.size:
                    delays.append(recording.time_s[own[first + hits[0]]] - recording.time_s[own[first]])
        lines.append(
            {
                "hold_s": hold_s,
                "faults": sum(faults.first.size for faults in recording.faults),
                "found": len(delays),
                "median_delay_s": float(np.median(delays)),
                "before_first_fault": int((recording.before_faults & marks).sum()),
            }
        )
    return lines


def false_alarms(parts: Sequence[tuple[pd.DataFrame, DetectorLibrary]]) -> list[dict[str, float]]:
    """Count alarms in normal containers in the first minute that they are seen, and later by container-day."""
    counts = {hold_s: np.zeros(2) for hold_s in HOLDS_S}
    containers, days = 0, 0.0
    for samples, library in parts:
        rows = read_rows(samples)
        containers += len(rows.containers)
        first_s = rows.offset_s[np.searchsorted(rows.code, np.arange(len(rows.containers)))]
        early = rows.offset_s < first_s[rows.code] + KNOWN_AFTER_S
        same = np.diff(rows.code) == 0
        days += np.diff(rows.offset_s)[same & ~early[1:]].sum() / SECONDS_PER_DAY
        for hold_s, marks in raised(rows, library, HOLDS_S).items():
            counts[hold_s] += (marks & early).sum(), (marks & ~early).sum()
    return [
        {
            "hold_s": hold_s,
            "containers": containers,
            "first_minute_per_container": early_count / containers,
            "later": late_count,
            "days": days,
            "later_per_day": late_count / days,
        }
        for hold_s, (early_count, late_count) in counts.items()
    ]


def halves(samples: pd.DataFrame) -> list[tuple[pd.DataFrame, DetectorLibrary]]:
    """Give each half of the deployments, and detectors that learned from the other."""
    deployments = samples.drop_duplicates("deployment")[["service", "deployment"]].reset_index(drop=True)
    found = []
    for split in plan_splits(deployments, folds=2, seed=0).splits:
        tested = samples["deployment"].isin(deployments["deployment"].iloc[split.test])
        library = fit_library(samples[~tested].reset_index(drop=True))
        assert library is not None
        found.append((samples[tested].reset_index(drop=True), library))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("data/models/default"))
    parser.add_argument("--faults", type=Path, default=Path("data/recordings/second-faults.parquet"))
    parser.add_argument("--normal", type=Path, default=Path("data/recordings/second.parquet"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    library = bundle.load(options.model).library
    assert library is not None, "fit the model again: it has no detectors"
    faulty, parts = read_recording([options.faults]), halves(read_recording([options.normal]))
    found: dict[str, list[dict[str, float]]] = {}
    for interval_s in INTERVALS_S:
        each = f"a sample each {interval_s:g} s"
        found[f"faults, {each}"] = faults_found(thin(faulty, interval_s), library)
        thinned = [(thin(samples, interval_s), own) for samples, own in parts]
        found[f"normal, {each}"] = false_alarms(thinned)
        late = [(thin(samples, interval_s, MID_LIFE_S), own) for samples, own in parts]
        found[f"normal, {each}, first seen after {MID_LIFE_S:g} s"] = false_alarms(late)
    if options.json:
        print(json.dumps(found))
        return
    for name, lines in found.items():
        print(name)
        print(pd.DataFrame(lines).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
