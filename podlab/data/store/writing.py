"""Adding a samples table to a data set, all of it or nothing, whoever else adds at the same time; and vacuum."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podlab.data.samples import check_samples
from podlab.data.store.dataset import with_ids
from podlab.data.store.files import open_store, url_of
from podlab.data.store.manifest import (
    FORMAT,
    Append,
    Partition,
    append_of,
    encode,
    manifest_name,
    partition_name,
    read_appends,
    time_of,
)
from podlab.errors import InputError

#: Rows of one file at most: it is read as a whole where it lies in an object store.
MOST_ROWS = 1_000_000
#: Rows that are brought into memory at once.
ROW_GROUP_ROWS = 50_000


def append(
    frame: pd.DataFrame, path: Path | str, *, source: str = "", clock: Callable[[], datetime] | None = None
) -> Append:
    """Add a samples table to the data set in a folder, which is made if it is not there.

    Parameters
    ----------
    frame : DataFrame
        A samples table.
    path : Path or str
        The folder, or its URL.
    source : str
        SHA-256 of the file that the table was read from, to tell later that it was added.
    clock : callable, optional
        Gives the time, which orders the appends.

    Returns
    -------
    Append
        What was added. Readers see all of it or, if this raises or is killed, nothing.

    Raises
    ------
    InputError
        If the table is not a samples table, the folder holds something else, or cannot be written.
    """
    store = open_store(path)
    names = store.names()
    if names and not any(name.startswith("manifest/") for name in names):
        raise InputError("holds something else than a data set", where=store.where, hint="choose another folder")
    samples = check_samples(frame, where=store.where)
    now = (clock or (lambda: datetime.now(UTC)))()
    append_id = f"{int(now.timestamp() * 1e6) * 1000:019d}-{secrets.token_hex(6)}"
    store.write(manifest_name(append_id), encode(Append(FORMAT, "begun", source)))
    partitions: list[Partition] = []
    for (cluster, day), part in _split(samples):
        name = partition_name(cluster, day, append_id, len(partitions))
        content, schema = _to_parquet(part)
        store.write(name, content)
        columns = {field.name: str(field.type) for field in schema}
        digest = hashlib.sha256(content).hexdigest()
        partitions.append(Partition(name, cluster, day, len(part), len(content), digest, columns))
    added = Append(FORMAT, "whole", source, partitions)
    store.write(manifest_name(append_id), encode(added))
    return added


def _split(samples: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Give the rows of each cluster and day, at most :data:`MOST_ROWS` at once."""
    day = samples["time"].dt.floor("D")
    for (cluster, of_day), part in samples.groupby(["cluster", day], sort=True):
        for begin in range(0, len(part), MOST_ROWS):
            yield (str(cluster), f"{of_day:%Y-%m-%d}"), part.iloc[begin : begin + MOST_ROWS]


def _to_parquet(part: pd.DataFrame) -> tuple[bytes, pa.Schema]:
    """Write rows as a Parquet file; the same rows give the same bytes."""
    table = pa.Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(with_ids(table), buffer, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    return buffer.getvalue(), table.schema


def vacuum(
    path: Path | str,
    *,
    older_than: timedelta = timedelta(days=1),
    dry_run: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, int]:
    """Remove the files of appends that were begun long ago and were not completed, and old working files.

    Rows that readers see are never touched. A writer that is still at work after ``older_than`` would lose what it
    wrote: its append then names files that are missing.

    Parameters
    ----------
    path : Path or str
        The data set's folder, or its URL.
    older_than : timedelta
        How long ago an append must have begun.
    dry_run : bool
        Remove nothing.
    clock : callable
        Gives the time.

    Returns
    -------
    dict of str to int
        Bytes of the files removed, by name.

    Raises
    ------
    InputError
        If the folder is not there or not a data set, or a file cannot be removed.
    """
    store = open_store(path)
    if url_of(path) is None and not Path(path).exists():
        raise InputError("no such folder", where=store.where, hint="name the folder of a data set")
    files = store.names()
    appends = read_appends(store, files)
    if files and not appends:
        raise InputError("is not a data set", where=store.where, hint="name the folder of one")
    before = clock() - older_than
    dead = {name for name, each in appends.items() if each.state == "begun" and time_of(name) < before}
    found = {name: size for name, size in files.items() if append_of(name) in dead}
    found |= store.working_files(before)
    # A manifest goes after its partitions: while it is there, nobody takes them for foreign files.
    found |= {manifest_name(name): files[manifest_name(name)] for name in sorted(dead)}
    if not dry_run:
        for name in found:
            store.remove(name)
    return found
