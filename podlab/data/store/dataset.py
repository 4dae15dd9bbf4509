"""A data set as it was when it was opened, its rows checked before anything is believed; adding to it, and vacuum.

A samples table is added as a whole or not at all, whoever else adds at the same time.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from podlab.data.catalogue import AGES, ALL_COLUMNS, CATALOGUE, CONTAINER_KEY, IDENTITY, LABELS
from podlab.data.samples import INSTANCE_KEY, REQUIRED, check_samples, to_frame
from podlab.data.store.files import (
    FORMAT,
    Append,
    Partition,
    Store,
    append_of,
    digest_of,
    encode,
    manifest_name,
    open_store,
    partition_name,
    read_appends,
    time_of,
    url_of,
)
from podlab.errors import InputError, first_line
from podlab.progress import Progress

log = logging.getLogger(__name__)

#: Numbers of container instances.
Ids = NDArray[np.uint64]

#: Rows of one file at most: it is read as a whole where it lies in an object store.
MOST_ROWS = 1_000_000
#: Rows that are brought into memory at once.
ROW_GROUP_ROWS = 50_000
_HASHED_BYTES = 1 << 20
# Where a partition keeps the numbers of its instances: in the Parquet file's own metadata.
_IDS: Final = b"podlab.instances"
_RESTORE = "restore it from a copy, or remove the data set and collect again"


@dataclass(frozen=True)
class Dataset:
    """A data set: its files, and the partitions of all whole appends, by cluster, day and the time of the append."""

    store: Store
    partitions: tuple[Partition, ...]

    @property
    def where(self) -> str:
        """The folder, as the user named it."""
        return self.store.where

    @property
    def rows(self) -> int:
        """How many rows all partitions have."""
        return sum(each.rows for each in self.partitions)

    @property
    def bytes(self) -> int:
        """How many bytes all partitions have."""
        return sum(each.bytes for each in self.partitions)

    @property
    def digest(self) -> str:
        """One SHA-256 for all partitions."""
        return digest_of(self.partitions)

    @cached_property
    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters."""
        return tuple(dict.fromkeys(each.cluster for each in self.partitions))

    def columns_of(self, partition: Partition, metrics: Collection[str] | None, labels: bool = True) -> list[str]:
        """Name the columns of a partition that the catalogue knows: identity, these metrics, their ages, labels."""
        measured = tuple(CATALOGUE if metrics is None else metrics)
        families = {CATALOGUE[name].family for name in measured}
        ages = (name for family, name in AGES.items() if family in families)
        wanted = {*IDENTITY, *measured, *ages, *(LABELS if labels else ())}
        unknown = [name for name in partition.columns if name not in ALL_COLUMNS]
        if unknown:
            log.warning("%s: columns not in the catalogue are left out: %s", self._name(partition), ", ".join(unknown))
        return [name for name in ALL_COLUMNS if name in wanted and name in partition.columns]

    def read(self, *, metrics: Collection[str] | None = None) -> pd.DataFrame:
        """Read everything as one samples table, as :func:`podlab.data.recordings.read_recording` does a file.

        Raises InputError if a partition is not what its manifest says; the error names it.
        """
        tables = []
        for partition in self.partitions:
            with self.open(partition) as file:
                tables.append(file.read(self.columns_of(partition, metrics)).replace_schema_metadata(None))
        table = pa.concat_tables(tables, promote_options="default")
        return check_samples(to_frame(table), where=self.where)

    @contextmanager
    def open(self, partition: Partition) -> Iterator[pq.ParquetFile]:
        """Open a partition, after its digest and schema were checked.

        Raises InputError if it is not there, is torn, was changed, or is not a Parquet file of the manifest's columns.
        """
        with self._opened(partition) as opened:
            file = self._check(opened, partition)
            with pq.ParquetFile(file) as parquet:
                self._check_schema(parquet, partition)
                yield parquet

    def fetch(self, partition: Partition, target: Path) -> None:
        """Check a partition as :meth:`open` does, and put it at ``target``: a link to a file that is on this disk."""
        with self._opened(partition) as opened:
            file = self._check(opened, partition)
            with pq.ParquetFile(file) as parquet:
                self._check_schema(parquet, partition)
            if (local := self.store.local_path(partition.name)) is not None:
                target.symlink_to(local)
            else:
                file.seek(0)
                with target.open("wb") as copy:
                    shutil.copyfileobj(file, copy)

    def read_footer(self, partition: Partition) -> tuple[Ids, frozenset[str]]:
        """Read a partition's footer: the numbers of its container instances, ascending, and the metrics with any value.

        What it says is believed when the partition itself has been read: its digest covers the footer. Raises
        InputError if there is no usable one.
        """
        where = self._name(partition)
        with self._opened(partition, "was changed since it was written") as opened:
            self._check_size(opened, partition)
            with pq.ParquetFile(opened) as parquet:
                ids = _ids_of(parquet.schema_arrow)
                metrics = _metrics_with_values(parquet.metadata)
        if ids is None or not ids.size:
            raise InputError("was not written by podlab", where=where, hint=_RESTORE)
        return ids, metrics

    def verify(self, progress: Progress | None = None) -> None:
        """Check every partition; raises as :meth:`open` does."""
        for number, partition in enumerate(self.partitions):
            if progress is not None:
                progress(number, len(self.partitions), partition.cluster)
            with self.open(partition):
                pass

    @contextmanager
    def _opened(self, partition: Partition, unreadable: str | None = None) -> Iterator[BinaryIO]:
        """Open a partition's file; errors of reading it name it."""
        where = self._name(partition)
        try:
            with self.store.open(partition.name) as opened:
                yield opened
        except FileNotFoundError:
            raise InputError("is missing", where=where, hint=_RESTORE) from None
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = first_line(error)
            raise InputError(unreadable or f"cannot be read: {reason}", where=where, hint=_RESTORE) from error

    def _check(self, opened: BinaryIO, partition: Partition) -> BinaryIO:
        """Hash a file, and give one with the very bytes that were hashed."""
        where = self._name(partition)
        self._check_size(opened, partition)
        digest = hashlib.sha256()
        # A second download costs more than memory.
        kept = io.BytesIO() if self.store.local_path(partition.name) is None else None
        while piece := opened.read(_HASHED_BYTES):
            digest.update(piece)
            if kept is not None:
                kept.write(piece)
        if digest.hexdigest() != partition.sha256:
            raise InputError("was changed since it was written", where=where, hint=_RESTORE)
        file = opened if kept is None else kept
        file.seek(0)
        return file

    def _check_schema(self, parquet: pq.ParquetFile, partition: Partition) -> None:
        where = self._name(partition)
        schema = {field.name: str(field.type) for field in parquet.schema_arrow}
        if schema != partition.columns or parquet.metadata.num_rows != partition.rows:
            raise InputError("has another schema than its manifest says", where=where, hint=_RESTORE)
        missing = [name for name in REQUIRED if name not in schema]
        if missing:
            raise InputError(f"column {missing[0]!r} is missing", where=where, hint=_RESTORE)

    def _check_size(self, opened: BinaryIO, partition: Partition) -> None:
        size = opened.seek(0, 2)
        opened.seek(0)
        if size < partition.bytes:
            raise InputError(f"is torn: {size} of {partition.bytes} bytes", where=self._name(partition), hint=_RESTORE)

    def _name(self, partition: Partition) -> str:
        return f"{self.where}/{partition.name}"


def open_dataset(path: Path | str) -> Dataset:
    """Open the data set in a folder, or at a URL, as it is now; what is added later is not seen.

    Raises InputError if it is not a data set, a manifest was damaged, or a Parquet file lies in it that no append put
    there.
    """
    store = open_store(path)
    # In this order: whatever partition is listed, the manifest that its append began with is there as well.
    files = store.names()
    if not files:
        raise InputError("no data set is there", where=store.where, hint="name a folder that podlab wrote, or a file")
    appends = read_appends(store, store.names())
    if not appends:
        what = "is a folder, but no data set"
        raise InputError(what, where=store.where, hint="name the files in it, or make a data set of them")
    _refuse_foreign(store, files, appends)
    partitions = [each for append in appends.values() for each in append.partitions]
    if not partitions:
        raise InputError("holds no rows yet", where=store.where, hint="wait for the first append, or repeat it")
    partitions.sort(key=lambda each: (each.cluster, each.day))  # stable: within a day by the time of the append
    return Dataset(store, tuple(partitions))


def sources_of(path: Path | str) -> frozenset[str]:
    """Give the SHA-256 of all files that were added to a data set as a whole; none where there is no data set yet."""
    store = open_store(path)
    return frozenset(each.source for each in read_appends(store, store.names()).values() if each.state == "whole")


def _refuse_foreign(store: Store, files: dict[str, int], appends: dict[str, Append]) -> None:
    """Refuse Parquet files that no append put there: they would be left out without a word."""
    listed = {each.name for append in appends.values() for each in append.partitions}
    for name in sorted(set(files) - listed):
        append = appends.get(append_of(name) or "")
        if name.endswith(".parquet") and (append is None or append.state == "whole"):
            hint = "move it away; `podlab dataset add` takes its rows in"
            raise InputError("is no partition of this data set", where=f"{store.where}/{name}", hint=hint)


def _metrics_with_values(metadata: Any) -> frozenset[str]:
    """Name the metrics of which some row group has a value, by the statistics of a Parquet footer."""
    found = set()
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            statistics = column.statistics
            some = statistics is None or not statistics.has_null_count or statistics.null_count < column.num_values
            if column.path_in_schema in CATALOGUE and some:
                found.add(column.path_in_schema)
    return frozenset(found)


def number_instances(table: pa.Table) -> Ids:
    """Give each row's container instance a number that depends on nothing but its identity (n_rows,).

    Two instances get the same number once in 10^5 data sets of 10^7 instances; they are then read together, and still
    told apart by their identity.
    """
    texts = [table[name].to_pylist() for name in CONTAINER_KEY]
    started = table["started_at"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
    out = np.empty(len(table), dtype=np.uint64)
    for row, identity in enumerate(zip(*texts, started, strict=True)):
        out[row] = int.from_bytes(hashlib.blake2b(repr(identity).encode(), digest_size=8).digest(), "little")
    return out


def with_ids(table: pa.Table) -> pa.Table:
    """Write the numbers of a table's instances into its metadata."""
    ids = np.unique(number_instances(table.select(list(INSTANCE_KEY)).group_by(list(INSTANCE_KEY)).aggregate([])))
    return table.replace_schema_metadata({_IDS: base64.b64encode(ids.astype("<u8").tobytes())})


def _ids_of(schema: pa.Schema) -> Ids | None:
    """Read what :func:`with_ids` wrote; None where it is not there."""
    text = (schema.metadata or {}).get(_IDS)
    if text is None:
        return None
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype="<u8")
    except ValueError:
        return None


def append(
    frame: pd.DataFrame, path: Path | str, *, source: str = "", clock: Callable[[], datetime] | None = None
) -> Append:
    """Add a samples table to the data set in a folder, or at a URL, which is made if it is not there.

    Readers see all of it or, if this raises or is killed, nothing. Raises InputError if the table is not a samples
    table, the folder holds something else, or cannot be written.

    Parameters
    ----------
    source : str
        SHA-256 of the file that the table was read from, to tell later that it was added.
    clock : callable, optional
        Gives the time, which orders the appends.
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
    wrote: its append then names files that are missing. ``dry_run`` removes nothing. Raises InputError if the folder is
    not there or not a data set, or a file cannot be removed.

    Returns
    -------
    dict of str to int
        Bytes of the files removed, by name.
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
