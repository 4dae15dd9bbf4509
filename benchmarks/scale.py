"""A data set many times larger than memory: identification in one process, beside all rows in memory at once.

Run it with ``python -m benchmarks.scale [--rows 100000000] [--folder DIR]``. The recording is copied with noise until
it has so many rows: each copy has other pods, other start times (over many days, so that lives cross midnights) and
values that are off by some percent. A model is trained on the recording. Then one process identifies every container
of the data set, from reading to answers, and another one reads a part that fits and identifies it at once. CPU time per
row counts, and the peak memory of the whole process, interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Before numpy is loaded, so that both ways have one core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import pandas as pd

from benchmarks.measure import status_bytes
from podlab import bundle
from podlab.dataset import append, open_dataset
from podlab.identify import fit
from podlab.identify.dataset import identify_dataset
from podlab.telemetry.recording import read_recording
from podlab.workbench.copies import copy_containers

RECORDING = Path("data/recordings/services.parquet")
#: Over how many days the copies are spread, and how many of them are appended at once.
DAYS = 28
COPIES_AT_ONCE = 4
#: The part that is identified in memory.
IN_MEMORY_ROWS = 500_000


def make(folder: Path, rows: int) -> None:
    """Append copies until the data set has so many rows; what an earlier run made is used."""
    recording = read_recording([RECORDING]).drop(columns=["service", "deployment", "variant", "version"])
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="keep the data set there, and use what is there")
    parser.add_argument("--most-memory-mb", type=float, help="end with 1 if the piece-by-piece process took more")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch, "model")
        bundle.save(fit(read_recording([RECORDING]), jobs=1), model, name="scale")
        folder = options.folder or Path(scratch, "fleet")
        make(folder, options.rows)
        part = Path(scratch, "part")
        make(part, min(options.rows, IN_MEMORY_ROWS))
        in_memory = measure(at_once, part, model) | {"rows": open_dataset(part).rows}
        streamed = measure(piece_by_piece, folder, model) | {"rows": open_dataset(folder).rows}
    ratio = (streamed["rows"] / streamed["cpu_s"]) / (in_memory["rows"] / in_memory["cpu_s"])
    if options.json:
        print(json.dumps({"piece by piece": streamed, "in memory": in_memory, "throughput_ratio": ratio}))
    else:
        _tell(streamed, in_memory, ratio)
    if options.most_memory_mb is not None and streamed["peak_mb"] > options.most_memory_mb:
        raise SystemExit(f"{streamed['peak_mb']:,.0f} MB at the peak, more than {options.most_memory_mb:,.0f} MB")


def _tell(streamed: dict[str, float], in_memory: dict[str, float], ratio: float) -> None:
    for name, found in (("piece by piece", streamed), ("in memory", in_memory)):
        print(
            f"{name}: {found['rows']:,} rows, {found['answers']:,.0f} containers in {found['cpu_s']:.1f} CPU-seconds "
            f"({found['rows'] / found['cpu_s']:,.0f} rows a second), {found['peak_mb']:,.0f} MB at the peak"
        )
    print(f"Piece by piece has {ratio:.2f} of the throughput in memory.")


if __name__ == "__main__":
    main()
