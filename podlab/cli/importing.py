"""``podlab import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podlab.cli.options import Json
from podlab.cli.output import print_json, print_table

if TYPE_CHECKING:
    from podlab.importing import Imported


def import_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="CSV, Parquet, JSON lines, ARFF, or a Prometheus response.", show_default=False
        ),
    ],
    mapping: Annotated[
        Path, typer.Option(metavar="TOML", help="Mapping file that describes the columns.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Recording to write (Parquet).", show_default=False)],
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the cluster, if the mapping has none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert measurements from other tools into a recording, using a mapping file.

    Example: podlab import docs/import/docker-stats.jsonl --mapping docs/import/docker-stats.toml --out mine.parquet
    """
    from podlab.data.recordings import write_recording
    from podlab.data.store.files import url_of
    from podlab.files import refuse_inputs, refuse_unwritable
    from podlab.importing import import_files, read_mapping

    refuse_inputs(out, [*files, mapping])
    if url_of(out) is None:
        refuse_unwritable(out)
    done = import_files(files, read_mapping(mapping), cluster=cluster)
    write_recording(done.samples, out)
    told = _told(done, out)
    if as_json:
        print_json(told)
        return
    print(f"{out}: {told['rows']} rows of {told['containers']} containers, {told['since']} to {told['until']}")
    print("interval: " + ("-" if done.interval_s is None else f"{done.interval_s:g} s"))
    print_table(("metric", "rows with a value"), [(name, f"{share:.0%}") for name, share in done.present.items()])
    for note in done.notes:
        print(f"note: {note}")


def _told(done: Imported, out: Path) -> dict[str, object]:
    import pandas as pd

    from podlab.data.samples import INSTANCE_KEY

    samples = done.samples
    services = samples["service"].value_counts() if "service" in samples else pd.Series(dtype="int64")
    return {
        "file": str(out),
        "rows": len(samples),
        "containers": int(samples.groupby(list(INSTANCE_KEY), dropna=False).ngroups),
        "since": samples["time"].min().isoformat(),
        "until": samples["time"].max().isoformat(),
        "interval_s": done.interval_s,
        "present": {name: round(share, 4) for name, share in done.present.items()},
        "missing": [name for name, share in done.present.items() if share == 0],
        "services": {str(name): int(count) for name, count in services.items()},
        "notes": done.notes,
    }
