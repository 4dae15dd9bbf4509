"""A data set many times larger than memory: identification in one process, beside all rows in memory at once.

Run it with ``python -m benchmarks.scale [--rows 100000000] [--folder DIR]``. The recording is copied with noise until
it has so many rows: each copy has other pods, other start times (over many days, so that lives cross midnights) and
values that are off by some percent. A model is trained on the recording. Then one process identifies every container
of the data set, from reading to answers, and another one reads a part that fits and identifies it at once. CPU time per
row counts, and the peak memory of the whole process, interpreter and libraries included.

``--compare workers`` identifies the data set by one worker of a local Dask scheduler and by two, in seconds on the
clock. Take at least 2,000,000 rows: a worker gets half a million at once. ``--compare training`` trains on a tenth
of the rows, drawn from the data set, and on a data set that has no more. ``--compare lives`` scores short lives, and as
many rows of long ones.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

# Before numpy is loaded, so that both ways have one core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import pandas as pd

from benchmarks.measure import status_bytes
from podlab.data.recordings import read_recording, read_training
from podlab.data.store import append, open_dataset
from podlab.detect import fit_library
from podlab.detect.recording import score_dataset
from podlab.identify import fit
from podlab.identify.dataset import identify_dataset
from podlab.model import bundle
from podlab.notebook.scaling import copy_containers
from podlab.parallel import use_scheduler

RECORDING = Path("data/recordings/second.parquet")
#: Over how many days the copies are spread, and how many of them are appended at once.
DAYS = 28
COPIES_AT_ONCE = 4
#: The part that is identified in memory.
IN_MEMORY_ROWS = 500_000
#: How many workers are compared.
WORKERS = (1, 2)


def make(folder: Path, rows: int, *, labels: bool = False) -> None:
    """Append copies until the data set has so many rows; what an earlier run made is used."""
    recording = read_recording([RECORDING])
    if not labels:
        recording = recording.drop(columns=["service", "deployment", "variant", "version"])
    there = open_dataset(folder).rows if folder.exists() else 0
    done = there // len(recording)
    copies = -(-rows // len(recording))
    for first in range(done, copies, COPIES_AT_ONCE):
        numbers = range(first, min(first + COPIES_AT_ONCE, copies))
        day = first * DAYS // max(copies, 1)
        append(pd.concat([copy_containers(recording, number, day) for number in numbers], ignore_index=True), folder)
        print(f"{numbers[-1] + 1} of {copies} copies", flush=True)


def piece_by_piece(folder: Path, model: Path) -> Iterator[int]:
    """Count the answers of a data set."""
    identifier = bundle.load(model).identifier
    for part in identify_dataset(identifier, open_dataset(folder)):
        yield len(part.answers)


def at_once(files: Path, model: Path) -> Iterator[int]:
    """Count the answers of a table that is in memory as a whole."""
    yield len(bundle.load(model).identifier.identify(read_recording([files])))


def measure(work: Callable[[Path, Path], Iterator[int]], *paths: Path) -> dict[str, float]:
    """Work in a fresh process; give its answers, CPU seconds, seconds and peak memory in MB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(there, work, paths))
    process.start()
    there.close()
    found: dict[str, float] = here.recv()
    process.join()
    return found


def _work(pipe: object, work: Callable[[Path, Path], Iterator[int]], paths: tuple[Path, Path]) -> None:
    began, cpu = time.monotonic(), time.process_time()
    answers = sum(work(*paths))
    peak = status_bytes("VmHWM") / 1e6
    pipe.send(  # type: ignore[attr-defined]
        {"answers": answers, "cpu_s": time.process_time() - cpu, "s": time.monotonic() - began, "peak_mb": peak}
    )


def train(limit: int, folder: Path, _model: Path) -> Iterator[int]:
    """Train on so many rows of a data set at most, one process; count the containers learned from."""
    samples = read_training([folder], most_rows=limit)
    fit(samples, jobs=1)
    yield samples["pod"].nunique()


def compare_memory(folder: Path, model: Path, scratch: Path, rows: int) -> dict[str, dict[str, float]]:
    """Identify a data set piece by piece, and a part that fits into memory at once."""
    make(folder, rows)
    part = scratch / "part"
    make(part, min(rows, IN_MEMORY_ROWS))
    return {
        "in memory": measure(at_once, part, model) | {"rows": open_dataset(part).rows},
        "piece by piece": measure(piece_by_piece, folder, model) | {"rows": open_dataset(folder).rows},
    }


def compare_workers(folder: Path, model: Path, rows: int) -> dict[str, dict[str, float]]:
    """Identify a data set by one of a local Dask scheduler's two workers and by both; starting them is not counted."""
    from distributed import get_client
    from joblib import parallel_config

    make(folder, rows)
    found = {}
    with use_scheduler(f"local:{WORKERS[-1]}"):
        everyone = list(get_client().scheduler_info()["workers"])
        for workers in (WORKERS[-1], *WORKERS):  # the first time is for what a process does once
            # Of a scheduler with a single worker joblib would make no use, and do the work here.
            with parallel_config(backend="dask", workers=everyone[:workers]):
                began = time.monotonic()
                answers = sum(piece_by_piece(folder, model))
            found[f"workers: {workers}"] = {"answers": answers, "s": time.monotonic() - began}
            found[f"workers: {workers}"]["rows"] = open_dataset(folder).rows
    return {f"workers: {workers}": found[f"workers: {workers}"] for workers in WORKERS}


def compare_training(folder: Path, model: Path, scratch: Path, rows: int) -> dict[str, dict[str, float]]:
    """Train on a tenth of a data set's rows, drawn from it, and on a data set that has no more."""
    small = scratch / "small"
    make(small, rows // 10, labels=True)
    limit = open_dataset(small).rows
    make(folder, 10 * limit, labels=True)
    drawn = partial(train, limit)
    return {
        "of all that fits": measure(drawn, small, model) | {"rows": open_dataset(small).rows},
        "of ten times the limit": measure(drawn, folder, model) | {"rows": open_dataset(folder).rows},
    }


def score_all(folder: Path, model: Path) -> Iterator[int]:
    """Score a data set; count its containers."""
    loaded = bundle.load(model)
    assert loaded.library is not None
    for part in score_dataset(open_dataset(folder), loaded.identifier, loaded.library):
        yield len(part.containers)


def compare_lives(folder: Path, model: Path, scratch: Path, rows: int) -> dict[str, dict[str, float]]:
    """Score many short lives, and the same rows as long lives."""
    make(folder, rows)
    recording = read_recording([RECORDING]).drop(columns=["service", "deployment", "variant", "version"])
    longest = (recording["time"] - recording["started_at"]).max() + pd.Timedelta("1s")
    for number in range(-(-rows // len(recording))):
        append(recording.assign(time=recording["time"] + number * longest), scratch / "long")
    return {
        "short lives": measure(score_all, folder, model) | {"rows": open_dataset(folder).rows},
        "long lives": measure(score_all, scratch / "long", model) | {"rows": open_dataset(scratch / "long").rows},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compare", choices=("memory", "workers", "training", "lives"), default="memory")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="keep the data set there, and use what is there")
    parser.add_argument("--most-memory-mb", type=float, help="end with 1 if the last process measured took more")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        model, folder = scratch / "model", options.folder or scratch / "fleet"
        if options.compare == "training":
            found = compare_training(folder, model, scratch, options.rows)
        else:
            recording = read_recording([RECORDING])
            library = fit_library(recording) if options.compare == "lives" else None
            bundle.save(fit(recording, jobs=1), model, name="scale", library=library)
            if options.compare == "memory":
                found = compare_memory(folder, model, scratch, options.rows)
            elif options.compare == "lives":
                found = compare_lives(folder, model, scratch, options.rows)
            else:
                found = compare_workers(folder, model, options.rows)
    _tell(found, as_json=options.json)
    peak_mb = list(found.values())[-1].get("peak_mb", 0.0)
    if options.most_memory_mb is not None and peak_mb > options.most_memory_mb:
        raise SystemExit(f"{peak_mb:,.0f} MB at the peak, more than {options.most_memory_mb:,.0f} MB")


def _tell(found: dict[str, dict[str, float]], *, as_json: bool) -> None:
    first, last = found.values()
    cost = "cpu_s" if "cpu_s" in last else "s"
    ratios = {"throughput_ratio": (last["rows"] / last[cost]) / (first["rows"] / first[cost])}
    if "peak_mb" in last:
        ratios["memory_ratio"] = last["peak_mb"] / first["peak_mb"]
    if as_json:
        print(json.dumps(found | ratios))
        return
    for name, own in found.items():
        peak = f", {own['peak_mb']:,.0f} MB at the peak" if "peak_mb" in own else ""
        print(
            f"{name}: {own['rows']:,} rows, {own['answers']:,.0f} containers in {own[cost]:.1f} "
            f"{'CPU-seconds' if cost == 'cpu_s' else 'seconds'} ({own['rows'] / own[cost]:,.0f} rows a second){peak}"
        )
    print(f"The second has {', '.join(f'{value:.2f} times the {name[:-6]}' for name, value in ratios.items())}.")


if __name__ == "__main__":
    main()
