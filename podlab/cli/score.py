"""``podlab score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from podlab import bundle
from podlab.cli.options import Files, Json, ModelFolder, refuse_to_overwrite
from podlab.cli.output import print_json, print_table
from podlab.errors import InputError
from podlab.files import atomic_file
from podlab.metrics import CONTAINER_KEY
from podlab.settings import load_settings
from podlab.telemetry.recording import read_recording


def score(
    files: Files,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Parquet file of scores to write.", show_default=False)],
    model: ModelFolder = None,
    as_json: Json = False,
) -> None:
    """Score how strange each sample of recordings is, by the detectors of what each container is identified as.

    Every container is identified from its own first seconds; nothing of a sample's future is used for its score.

    Example: podlab score data/recordings/services-faults.parquet --model data/models/default --out scores.parquet
    """
    from podlab.detect.recording import score_recording

    settings = load_settings(model_path=model)
    refuse_to_overwrite(out, files)
    loaded = bundle.load(settings.model_path)
    if loaded.library is None:
        raise InputError("has no detectors", where=str(settings.model_path), todo="fit the model again")
    scoring = score_recording(read_recording(files), loaded.identifier, loaded.library)
    with atomic_file(out) as temporary:
        pq.write_table(pa.Table.from_pandas(scoring.table, preserve_index=False), temporary, compression="zstd")

    last_row = [*(scoring.first_row[1:] - 1).tolist(), len(scoring.table) - 1]
    told = [
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
    if as_json:
        for line in told:
            print_json(line)
        return
    columns = ("namespace", "pod", "container", "service", "samples")
    print_table(
        (*columns, "alarms"),
        [(*(line[name] for name in columns), len(alarms)) for line, alarms in zip(told, scoring.alarms, strict=True)],
    )
