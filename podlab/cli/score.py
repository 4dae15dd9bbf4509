"""``podlab score``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from podlab.cli.options import Files, Json, ModelFolder, Scheduler, split_recordings
from podlab.cli.output import print_json, print_table
from podlab.errors import InputError

if TYPE_CHECKING:
    from podlab.detect import DetectorLibrary
    from podlab.detect.recording import RecordingScores
    from podlab.identify import Identifier
    from podlab.importing.labelled_series import Rule

#: What is told of containers waits for the file of scores to be complete: so much of it in memory, more on disk.
_MOST_LINES_BYTES = 8_000_000
_LINES_AT_ONCE = 10_000


def score(
    files: Files,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Scores to write: Parquet, or CSV if named .csv.", show_default=False)
    ],
    model: ModelFolder = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--map",
            "--mapping",
            metavar="GIVEN=COLUMN,...",
            help="Read CSV series of other formats: which columns are time, anomaly and metrics; "
            "*FACTOR changes units, rate: makes a counter of a rate.",
            show_default=False,
        ),
    ] = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Score how anomalous each sample is, with the detector of the identified service.

    Every container is identified from its own first seconds; nothing of a sample's future is used for its score.

    Of series of other formats: podlab score machine-1.csv --map "timestamp=time,cpu_r=cpu_usage_nanocores*1e9,
    eth_in=rate:rx_bytes,label=anomaly" --out scores.parquet

    Example: podlab score data/recordings/second-faults.parquet --model data/models/default --out scores.parquet
    """
    from podlab.config import load_settings
    from podlab.files import atomic_file, refuse_inputs
    from podlab.importing.labelled_series import parse_mapping
    from podlab.model import bundle
    from podlab.parallel import use_scheduler

    settings = load_settings(model_path=model)
    refuse_inputs(out, [*files, settings.model_path])
    loaded = bundle.load(settings.model_path)
    if loaded.library is None:
        raise InputError("has no detectors", where=str(settings.model_path), hint="fit the model again")
    scorings = (
        _score_all(files, loaded.identifier, loaded.library)
        if mapping is None
        else _score_series(files, parse_mapping(mapping), loaded.identifier, loaded.library)
    )
    with tempfile.SpooledTemporaryFile(max_size=_MOST_LINES_BYTES, mode="w+", encoding="utf-8") as lines:
        with use_scheduler(scheduler), atomic_file(out) as temporary:
            _write(scorings, temporary, lines)
        lines.seek(0)
        told = (json.loads(line) for line in lines)
        if as_json:
            for line in told:
                print_json(line)
            return
        columns = ("namespace", "pod", "container", "service", "samples")
        while some := list(islice(told, _LINES_AT_ONCE)):
            print_table(
                (*columns, "alarms"),
                [(*(line[name] for name in columns), len(line["alarms"])) for line in some],
            )


def _score_all(files: list[Path], identifier: Identifier, library: DetectorLibrary) -> Iterator[RecordingScores]:
    """Score all files at once, then each data set piece by piece."""
    from podlab.data.recordings import read_recording
    from podlab.data.store import open_dataset
    from podlab.detect.recording import score_dataset, score_recording

    plain, folders = split_recordings(files)
    if plain:
        yield score_recording(read_recording(plain), identifier, library)
    for folder in folders:
        yield from score_dataset(open_dataset(folder), identifier, library)


def _score_series(
    files: list[Path], rules: tuple[Rule, ...], identifier: Identifier, library: DetectorLibrary
) -> Iterator[RecordingScores]:
    """Score series of another format, one after the other."""
    from podlab.detect.recording import score_recording
    from podlab.importing.labelled_series import read_series

    for path in files:
        yield score_recording(read_series(path, rules), identifier, library)


def _write(scorings: Iterator[RecordingScores], path: Path, lines: IO[str]) -> None:
    """Write scores as they come, and what is told of each container as a line of JSON."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    writer: Any = None
    try:
        for scoring in scorings:
            table = pa.Table.from_pandas(scoring.table, preserve_index=False)
            if writer is None:
                writer = (
                    pyarrow.csv.CSVWriter(path, table.schema)
                    if path.suffix.lower() == ".csv"
                    else pq.ParquetWriter(path, table.schema, compression="zstd")
                )
            writer.write_table(table)
            lines.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines_of(scoring))
    finally:
        if writer is not None:
            writer.close()


def _lines_of(scoring: RecordingScores) -> list[dict[str, object]]:
    """Tell of each container what it is and when it was strange."""
    import pyarrow as pa

    from podlab.data.catalogue import CONTAINER_KEY

    last_row = [*(scoring.first_row[1:] - 1).tolist(), len(scoring.table) - 1]
    return [
        {
            **dict(zip(CONTAINER_KEY, who, strict=True)),
            "service": service,
            "samples": last - first + 1,
            "alarms": [alarm.to_json() for alarm in alarms],
        }
        for who, service, first, last, alarms in zip(
            zip(*(pa.array(scoring.containers[name]).to_pylist() for name in CONTAINER_KEY), strict=True),
            pa.array(scoring.table["service"].iloc[last_row]).to_pylist(),
            scoring.first_row.tolist(),
            last_row,
            scoring.alarms,
            strict=True,
        )
    ]
