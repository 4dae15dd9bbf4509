"""``podlab explore``: a recording as one page to look through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from podlab.cli.options import Files, Settings, with_settings
from podlab.cli.output import show_progress
from podlab.data.units import format_count
from podlab.errors import InputError


@with_settings("model_path")
def explore(
    settings: Settings,
    files: Files,
    out: Annotated[
        Path, typer.Option(metavar="HTML", help="Page to write; it opens anywhere, offline.", show_default=False)
    ],
) -> None:
    """Write a page to look through recordings.

    It shows series, answers over time, the evidence for them, and anomaly scores. If there are more than 1,000
    containers, 1,000 are drawn at random. A container's series have at most 240 points.

    Example: podlab explore data/recordings/second.parquet --model data/models/first --out explore.html
    """
    from podlab.data import MOST_TRAINING_ROWS
    from podlab.data.recordings import read_recording
    from podlab.data.store import is_dataset_path, open_dataset
    from podlab.explore import explore as explore_samples
    from podlab.explore import write_page
    from podlab.files import atomic_file, refuse_inputs, refuse_unwritable, require_suffix
    from podlab.model import bundle

    require_suffix(out, ".html", ".htm")
    refuse_inputs(out, [*files, settings.model_path])
    refuse_unwritable(out)
    for path in files:
        if is_dataset_path(path) and (rows := open_dataset(path).rows) > MOST_TRAINING_ROWS:
            hint = f"at most {MOST_TRAINING_ROWS:,} fit; explore some of the recordings that it was made of"
            raise InputError(f"{rows:,} rows do not fit into a page", where=str(path), hint=hint)
    loaded = bundle.load(settings.model_path)
    with show_progress("explore") as progress:
        data = explore_samples(read_recording(files), loaded.identifier, loaded.library, progress=progress)
    with atomic_file(out) as temporary:
        write_page(data, temporary, model=loaded.identifier.model, source=", ".join(path.name for path in files))
    print(f"{out}: {format_count(len(data['containers']), 'container')}, {out.stat().st_size / 1e6:.1f} MB")
