"""A data set container by container, however many partitions a container's rows lie in, in bounded memory.

Footers tell in which partition each container ends, and so which partitions hold the containers of a share. DuckDB
sorts a share's rows by container and time, on disk where they do not fit into memory.

Where a data set holds more than fits into memory, some containers are drawn to learn from. More containers of a
deployment teach little: each service gets the same share, in it each deployment its turn, and of a deployment's
containers some are drawn. Which are drawn depends on the seed and each container's identity alone, not on how the rows
are spread over partitions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from podlab.data.catalogue import ALL_COLUMNS, TIMES
from podlab.data.samples import INSTANCE_KEY, is_sound, to_frame
from podlab.data.store.dataset import Dataset, Ids, number_instances
from podlab.data.store.files import Partition
from podlab.errors import InputError, first_line
from podlab.parallel import in_turn, is_spread
from podlab.progress import Progress

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

#: Containers are given out together when they have so many rows.
BATCH_ROWS = 50_000
#: A share has the containers that end within about so many rows. If a worker dies, no more is done again.
SHARE_ROWS = 500_000
#: What DuckDB may take of memory before it sorts on disk.
_MEMORY_LIMIT = "300MB"
_EVER_NS = np.iinfo(np.int64).max
#: Of a container so much of its beginning is learned from: three segments of the longest steady-state window that
#: podlab trains, half an hour each, overlapping by half, the first of them half its length after the start.
TRAINING_S = 4_500.0

#: Missing parts of an identity are equal to each other.
_SAME_INSTANCE = " AND ".join(f"rows.{name} IS NOT DISTINCT FROM found.{name}" for name in INSTANCE_KEY)
_IDENTITY = ", ".join(INSTANCE_KEY)
_LEFT_OUT = "(epoch_ns(time) >= head_end_ns AND epoch_ns(time) < tail_begin_ns AND epoch_ns(time) > first_ns)"


@dataclass(frozen=True)
class Share:
    """Containers of one cluster that are read together.

    ``partitions`` are all that hold rows of them, in order of time; ``ids`` (n_instances,) the container instances'
    numbers, ascending.
    """

    partitions: tuple[Partition, ...]
    ids: Ids


@dataclass(frozen=True)
class Batch:
    """Some containers, complete: a checked samples table, rows of one container instance together and in order of time.

    ``left_out`` (n_containers,) is how many rows of each, in order of appearance, were not asked for.
    """

    samples: pd.DataFrame
    left_out: NDArray[np.int64]


def read_shares(dataset: Dataset) -> tuple[list[Share], frozenset[str]]:
    """Divide the containers of a data set into shares, from the footers of its partitions.

    Clusters come one after another, in each the containers that end earlier first. The second result are the metrics of
    which the data set has any value. Raises InputError if a partition has no usable footer.
    """
    shares = []
    metrics: set[str] = set()
    for cluster in dataset.clusters:
        partitions = [each for each in dataset.partitions if each.cluster == cluster]
        footers = [dataset.read_footer(partition) for partition in partitions]
        metrics = metrics.union(*(named for _, named in footers))
        held = [ids for ids, _ in footers]
        position = np.repeat(np.arange(len(held)), [len(ids) for ids in held])
        # Of equal ids the first in reversed order is in the last partition.
        ids, first = np.unique(np.concatenate(held)[::-1], return_index=True)
        block = (np.cumsum([0, *(each.rows for each in partitions)])[:-1] // SHARE_ROWS)[position[::-1][first]]
        for number in np.unique(block):
            own = ids[block == number]
            needed = (each for each, there in zip(partitions, held, strict=True) if np.isin(there, own).any())
            shares.append(Share(tuple(needed), own))
    return shares, frozenset(metrics)


def over_shares(
    dataset: Dataset, shares: Sequence[Share], work: Callable[[Dataset, Share], Iterable[T]]
) -> Iterator[T]:
    """Give what some work gives of each share, in order: here, or done by a scheduler's workers.

    The workers must find the data set under the same path or URL, and ``work`` can be pickled.
    """
    if not is_spread():
        for share in shares:
            yield from work(dataset, share)
        return
    from joblib import delayed

    bare = replace(dataset, partitions=())  # a share brings its own
    for found in in_turn((delayed(_listed)(work, bare, share) for share in shares), len(shares)):
        yield from found


def _listed(work: Callable[[Dataset, Share], Iterable[T]], dataset: Dataset, share: Share) -> list[T]:
    return list(work(dataset, share))


def stream_containers(
    dataset: Dataset,
    share: Share,
    *,
    metrics: Collection[str] | None = None,
    labels: bool = False,
    head_s: float = np.inf,
    tail_s: float | None = None,
) -> Iterator[Batch]:
    """Give the containers of a share, each once and complete, in order of their identity.

    Raises InputError if a partition is not what its manifest says; the error names it.

    Parameters
    ----------
    metrics : collection of str, optional
        Metric columns to read; by default all.
    labels : bool
        Whether to read labels as well.
    head_s, tail_s : float
        Of each container only the rows of its first seconds (since its start, or since its first row if that is later;
        the first row always) and of its last ones. By default all.

    Yields
    ------
    Batch
        Of about :data:`BATCH_ROWS` rows or one large container.
    """
    wanted = {name for each in share.partitions for name in dataset.columns_of(each, metrics, labels)}
    names = [name for name in ALL_COLUMNS if name in wanted]
    # Sorting is what takes time: the texts of the identity are put in afterwards.
    sorted_names = [name for name in names if name not in INSTANCE_KEY]
    with _open_rows(dataset, share.partitions) as database:
        found = _with_utc_times(
            database.sql(
                f"SELECT {_IDENTITY}, min(time) AS first, max(time) AS last FROM rows GROUP BY ALL ORDER BY ALL"  # noqa: S608
            ).to_arrow_table()
        )
        ids = number_instances(found)
        if not np.isin(share.ids, ids).all():
            raise InputError("holds other containers than its footers say", where=dataset.where, hint="collect again")
        found = _with_limits(found.filter(np.isin(ids, share.ids)), head_s, tail_s)
        database.register("found", found)
        left_out = _count_left_out(database, found)
        # As reading all at once does: an older podlab took an empty text for a cluster's name.
        named = pc.if_else(pc.equal(found["cluster"], ""), "local", found["cluster"])
        identity = found.set_column(found.column_names.index("cluster"), "cluster", named)
        reader = database.sql(
            f"SELECT number, {_columns('rows', sorted_names)} FROM rows JOIN found ON {_SAME_INSTANCE} "  # noqa: S608
            f"WHERE NOT {_LEFT_OUT} ORDER BY number, time, file_index, file_row_number"
        ).to_arrow_reader(BATCH_ROWS)
        for table in cut_between_containers(reader):
            merged = _merge_repeated(_with_utc_times(table))
            numbers = merged["number"]
            for name in INSTANCE_KEY:
                merged = merged.append_column(name, identity[name].take(numbers))
            samples = to_frame(merged.select(names))
            if not is_sound(samples):
                raise InputError("holds rows that are no samples", where=dataset.where, hint="collect again")
            yield Batch(samples, left_out[np.unique(numbers)])


@contextmanager
def _open_rows(dataset: Dataset, partitions: Sequence[Partition]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database with the view ``rows`` of some partitions, checked before; what it puts on disk goes at the end.

    Raises InputError if a partition is not what its manifest says, DuckDB is not installed, or a query fails.
    """
    try:
        import duckdb
    except ImportError:
        raise InputError("reading a data set needs duckdb", where=dataset.where, hint="install podlab[train]") from None

    with tempfile.TemporaryDirectory(prefix="podlab-") as name:
        folder = Path(name)
        for number, partition in enumerate(partitions):
            dataset.fetch(partition, folder / f"{number:06d}.parquet")
        settings: dict[str, Any] = {
            "memory_limit": _MEMORY_LIMIT, "temp_directory": str(folder / "sort"), "preserve_insertion_order": False,
            "autoinstall_known_extensions": False, "threads": 1,  # two take a fifth more CPU and memory
        }  # fmt: skip
        try:
            with duckdb.connect(config=settings) as database:
                files = str(folder / "*.parquet").replace("'", "''")
                database.execute(
                    "CREATE VIEW rows AS SELECT *, file_index, file_row_number "  # noqa: S608
                    f"FROM read_parquet('{files}', union_by_name = true, hive_partitioning = false)"
                )
                yield database
        except duckdb.Error as error:
            reason = first_line(error)
            raise InputError(f"cannot be read: {reason}", where=dataset.where, hint="collect again") from error


def _with_limits(found: pa.Table, head_s: float, tail_s: float | None) -> pa.Table:
    """Give each container a number, and the instants between which none of its rows is wanted."""
    first_ns, last_ns = (found[name].cast(pa.timestamp("ns")).cast(pa.int64()) for name in ("first", "last"))
    start_ns = found["started_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
    begin_ns = np.maximum(np.asarray(first_ns), np.asarray(start_ns))
    head_end_ns = np.full(len(found), _EVER_NS) if np.isinf(head_s) else begin_ns + round(head_s * 1e9)
    tail_begin_ns = np.full(len(found), _EVER_NS) if tail_s is None else np.asarray(last_ns) - round(tail_s * 1e9)
    table = found.select(list(INSTANCE_KEY)).append_column("number", pa.array(np.arange(len(found))))
    for name, values in (("first_ns", first_ns), ("head_end_ns", head_end_ns), ("tail_begin_ns", tail_begin_ns)):
        table = table.append_column(name, pa.array(np.asarray(values)))
    return table


def _count_left_out(database: duckdb.DuckDBPyConnection, found: pa.Table) -> NDArray[np.int64]:
    """Count the instants of each container at which none of its rows is wanted (n_containers,)."""
    count = np.zeros(len(found), dtype=np.int64)
    if (np.asarray(found["head_end_ns"]) < np.asarray(found["tail_begin_ns"])).any():
        counted = database.sql(
            f"SELECT number, count(DISTINCT time) FROM rows JOIN found ON {_SAME_INSTANCE} "  # noqa: S608
            f"WHERE {_LEFT_OUT} GROUP BY number"
        ).fetchnumpy()
        number, left_out = counted.values()
        count[number] = left_out
    return count


def _with_utc_times(table: pa.Table) -> pa.Table:
    """Name the time zone as the partitions do; DuckDB gives it the name of this machine's."""
    for position, name in enumerate(table.column_names):
        if name in TIMES:
            table = table.set_column(position, name, table[name].cast(pa.timestamp("ns", "UTC")))
    return table


def cut_between_containers(pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join pieces of a table in order of ``number``, and cut it where that changes, about every BATCH_ROWS rows."""
    held: pa.Table | None = None
    for piece in pieces:
        new = pa.Table.from_batches([piece])
        held = new if held is None else pa.concat_tables([held, new])
        begins = np.flatnonzero(np.diff(np.asarray(held["number"]), prepend=-1))
        done = 0
        for begin in begins.tolist():
            if begin - done >= BATCH_ROWS:
                yield held.slice(done, begin - done)
                done = begin
        held = held.slice(done)
    if held is not None and held.num_rows:
        yield held


def _merge_repeated(table: pa.Table) -> pa.Table:
    """Make one row of those of one container and instant: of each column the first value known."""
    number, time_ns = np.asarray(table["number"]), np.asarray(table["time"].cast(pa.int64()))
    new = np.ones(len(table), dtype=bool)
    new[1:] = (np.diff(number) != 0) | (np.diff(time_ns) != 0)
    if new.all():
        return table
    begins, rows = np.flatnonzero(new), np.arange(len(table))
    columns = []
    for values in table.columns:
        first = np.minimum.reduceat(np.where(np.asarray(values.is_valid()), rows, len(rows)), begins)
        columns.append(values.take(np.where(first < len(rows), first, begins)))
    return pa.table(columns, schema=table.schema)


def _count_labelled(
    dataset: Dataset, share: Share, *, head_s: float, group: str, skipped_roles: Sequence[str] = ()
) -> pd.DataFrame:
    """Count the rows of the labelled containers of a share, without those that were recorded for some roles.

    One row per container instance: ``id``, ``service``, ``group`` and ``rows``, those of its first seconds.
    """
    columns = {name for partition in share.partitions for name in partition.columns}.intersection(ALL_COLUMNS)
    if "service" not in columns:
        return pd.DataFrame({"id": share.ids[:0], "service": [], "group": [], "rows": []})
    own_group, own_role = (f"min({name})" if name in columns else "NULL::VARCHAR" for name in (group, "role"))
    with _open_rows(dataset, share.partitions) as database:
        counted = database.sql(
            f"WITH found AS (SELECT {_IDENTITY}, min(time) AS first, min(service) AS own_service, "  # noqa: S608
            f"{own_group} AS own_group, {own_role} AS own_role FROM rows GROUP BY ALL) "
            f"SELECT {_columns('found', INSTANCE_KEY)}, own_service, own_group, "
            "count(*) FILTER (epoch_ns(time) < epoch_ns(greatest(first, found.started_at)) + $head_ns) AS n_rows "
            f"FROM rows JOIN found ON {_SAME_INSTANCE} "
            "WHERE own_service IS NOT NULL AND NOT coalesce(list_contains($skipped, own_role), false) GROUP BY ALL",
            params={"head_ns": round(head_s * 1e9), "skipped": list(skipped_roles)},
        ).to_arrow_table()
    names = {"service": "own_service", "group": "own_group", "rows": "n_rows"}
    table = pd.DataFrame(
        {"id": number_instances(counted)} | {new: counted[name].to_pandas() for new, name in names.items()}
    )
    return table[table["id"].isin(share.ids)]


def _columns(table: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def sample_datasets(
    datasets: Sequence[Dataset],
    *,
    most_rows: int,
    head_s: float = TRAINING_S,
    services: Sequence[str] | None = None,
    group: str = "deployment",
    skipped_roles: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Read labelled containers of data sets, at most ``most_rows`` rows, not yet in order.

    Raises InputError if nothing is labelled, or not even one container fits.

    Parameters
    ----------
    head_s : float
        How much of each container's beginning is read.
    services : sequence of str, optional
        Only these; by default all.
    group : str
        Column of the deployments.
    skipped_roles : sequence of str
        Containers recorded for these roles are not drawn.
    seed : int
        Draws the containers.
    progress : callable, optional
        Called before each share of a data set is counted, and before it is read.
    """
    shares = [(dataset, share) for dataset in datasets for share in read_shares(dataset)[0]]

    def report(done: int, what: str, share: Share) -> None:
        if progress is not None:
            progress(done, 2 * len(shares), f"{what} {share.partitions[0].cluster}")

    counted = []
    for number, (dataset, share) in enumerate(shares):
        report(number, "count", share)
        counted.append(_count_labelled(dataset, share, head_s=head_s, group=group, skipped_roles=skipped_roles))
    chosen = _choose(pd.concat(counted, ignore_index=True), most_rows, services, seed)
    parts = []
    for number, (dataset, share) in enumerate(shares):
        report(len(shares) + number, "read", share)
        own = replace(share, ids=share.ids[np.isin(share.ids, chosen)])
        if own.ids.size:
            parts += [batch.samples for batch in stream_containers(dataset, own, labels=True, head_s=head_s)]
    return pd.concat(parts, ignore_index=True)


def _choose(counted: pd.DataFrame, most_rows: int, services: Sequence[str] | None, seed: int) -> Ids:
    """Draw containers until their rows would be too many; services and their deployments take turns."""
    # A container may be in several data sets.
    table = counted.groupby("id", sort=True).agg({"service": "first", "group": "first", "rows": "sum"}).reset_index()
    if services is not None:
        table = table[table["service"].isin(list(services))]
    if table.empty:
        raise InputError("no row has a service", hint="give a labelled recording")
    table["draw"] = _draw(table["id"].to_numpy(np.uint64), seed)
    table = table.sort_values("draw", kind="stable")
    table["turn"] = table.groupby(["service", "group"], dropna=False).cumcount()
    table = table.sort_values(["turn", "draw"], kind="stable")
    table["turn"] = table.groupby("service").cumcount()
    table = table.sort_values(["turn", "draw"], kind="stable")
    chosen = table.loc[table["rows"].cumsum() <= most_rows, "id"].to_numpy(np.uint64)
    if not chosen.size:
        what = f"not even one container fits into {most_rows} rows"
        raise InputError(what, where="--most-rows", hint="allow for more")
    return np.sort(chosen)


def _draw(ids: Ids, seed: int) -> Ids:
    """Give each container a number that is as good as random (Steele et al. 2014, splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = ids + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
