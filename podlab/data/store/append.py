"""Adding a samples table to a data set, all of it or nothing, whoever else adds at the same time."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podlab.data.samples import check_samples
from podlab.data.store.manifest import FORMAT, Append, Partition, encode, manifest_name, partition_name
from podlab.data.store.rows import with_ids
from podlab.data.store.store import open_store
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
