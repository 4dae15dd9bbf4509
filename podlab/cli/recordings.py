"""``podlab import``, and ``podlab dataset``: folders of Parquet files by cluster and day, for very many samples."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from podlab.cli.help import App
from podlab.cli.options import Form, Format, Json, choose_form
from podlab.cli.output import describe_recording, print_json, print_table, recording_in_words, show_progress
from podlab.data.units import format_count
from podlab.errors import InputError

if TYPE_CHECKING:
    from podlab.importing import Imported

dataset = App(
    help="Create, show and verify data sets: folders of many recordings.",
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The data set, or its URL.", show_default=False)]


@dataset.command()
def add(
    folder: Folder,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings to add.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Add recordings to a data set, which is created if needed.

    Files that were already added are skipped. After Ctrl-C, the same command continues where it stopped.

    Example: podlab dataset add data/fleet data/recordings/second.parquet
    """
    from podlab.data.recordings import fingerprint, read_with_role
    from podlab.data.store import append, is_dataset_path, sources_of
    from podlab.files import refuse_inputs

    if not is_dataset_path(folder, new=True):
        raise InputError("is a file, a folder is needed", where=str(folder), hint="choose another path")
    for file in files:
        if file.resolve().is_relative_to(folder.resolve()):
            raise InputError("is in the data set already", where=str(file), hint="name other recordings")
    refuse_inputs(folder, files)
    results: list[dict[str, Any]] = []
    with show_progress("add") as progress:
        for number, file in enumerate(files):
            progress(number, len(files), file.name)
            digest, _ = fingerprint(file)
            if digest in sources_of(folder):
                results.append({"file": str(file), "added": False, "rows": 0, "partitions": 0})
                continue
            added = append(read_with_role(file), folder, source=digest)
            rows = sum(each.rows for each in added.partitions)
            results.append({"file": str(file), "added": True, "rows": rows, "partitions": len(added.partitions)})
    for line in results:
        if as_json:
            print_json(line)
        elif line["added"]:
            print(f"{line['file']}: {format_count(line['rows'], 'row')} in {format_count(line['partitions'], 'file')}")
        else:
            print(f"{line['file']}: was added before, skipped")


@dataset.command()
def show(folder: Folder, form: Format = Form.TABLE, as_json: Json = False) -> None:
    """Show the contents of a data set, from its manifests alone.

    Example: podlab dataset show data/fleet
    """
    from podlab.data.store import open_dataset

    opened = open_dataset(folder)
    clusters = [
        {
            "cluster": cluster,
            "since": own[0].day,
            "until": own[-1].day,
            "partitions": len(own),
            "rows": sum(each.rows for each in own),
            "bytes": sum(each.bytes for each in own),
        }
        for cluster in opened.clusters
        if (own := [each for each in opened.partitions if each.cluster == cluster])
    ]
    form = choose_form(form, as_json)
    if form is Form.JSON:
        print_json({"folder": opened.where, "digest": opened.digest, "rows": opened.rows, "clusters": clusters})
        return
    columns = ("cluster", "since", "until", "partitions", "rows", "bytes")
    print_table(columns, [[line[name] for name in columns] for line in clusters], form=form, page="Data set")


@dataset.command()
def verify(folder: Folder, as_json: Json = False) -> None:
    """Check the digest of every file, and that none is unlisted.

    Example: podlab dataset verify data/fleet
    """
    from podlab.data.store import open_dataset

    opened = open_dataset(folder)
    with show_progress("verify") as progress:
        opened.verify(progress)
    if as_json:
        print_json({"folder": opened.where, "digest": opened.digest, "valid": True})
    else:
        print(f"{opened.where}: valid, {format_count(len(opened.partitions), 'file')}, {opened.rows} rows")


@dataset.command()
def tidy(
    folder: Folder,
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="Keep files of writes that began more recently.")
    ] = "1d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove leftovers of interrupted writes. Complete data are never removed.

    Example: podlab dataset tidy data/fleet --dry-run
    """
    from podlab.data.store import vacuum
    from podlab.data.units import parse_duration_s

    age = timedelta(seconds=parse_duration_s(older_than, where="--older-than"))
    found = vacuum(folder, older_than=age, dry_run=dry_run)
    if as_json:
        files = [{"file": name, "bytes": size} for name, size in found.items()]
        print_json({"folder": str(folder), "removed": not dry_run, "bytes": sum(found.values()), "files": files})
        return
    for name, size in found.items():
        print(f"{name}: {size} bytes")
    counted = f"{format_count(len(found), 'file')}, {sum(found.values())} bytes"
    print(f"{folder}: {counted} {'would be ' if dry_run else ''}removed")


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
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Recording to write: FILE.parquet or FILE.csv.", show_default=False)
    ],
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the cluster, if the mapping has none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Convert measurements from other tools into a recording.

    A mapping file says what each column is.

    Example: podlab import docs/import/docker-stats.jsonl --mapping docs/import/docker-stats.toml --out mine.parquet
    """
    from podlab.data.recordings import refuse_recording, write_recording
    from podlab.files import refuse_inputs
    from podlab.importing import import_files, read_mapping

    refuse_inputs(out, [*files, mapping])
    refuse_recording(out)
    with show_progress("import"):
        done = import_files(files, read_mapping(mapping), cluster=cluster)
        write_recording(done.samples, out)
    summary = _summary_of(done, out)
    if as_json:
        print_json(summary)
        return
    print(recording_in_words(summary))
    print("interval: " + ("-" if done.interval_s is None else f"{done.interval_s:g} s"))
    print_table(("metric", "rows with a value"), [(name, f"{share:.0%}") for name, share in done.present.items()])
    for note in done.notes:
        print(f"note: {note}")


def _summary_of(done: Imported, out: Path) -> dict[str, object]:
    import pandas as pd

    samples = done.samples
    services = samples["service"].value_counts() if "service" in samples else pd.Series(dtype="int64")
    return {
        **describe_recording(samples, out),
        "interval_s": done.interval_s,
        "present": {name: round(share, 4) for name, share in done.present.items()},
        "missing": [name for name, share in done.present.items() if share == 0],
        "services": {str(name): int(count) for name, count in services.items()},
        "notes": done.notes,
    }
