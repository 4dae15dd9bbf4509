"""A data set container by container, in bounded memory: partition by partition, but no container is cut.

Footers tell in which partition each container's last rows are. Until then its rows are kept, as many as somebody will
look at; then it is given out whole. So a container may live over any number of midnights, and what is in memory at one
time is a row group and the containers alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from podlab.data.catalogue import CONTAINER_KEY
from podlab.data.samples import is_sound
from podlab.data.store.carry import Carry, Numbered, Reach, in_order, join
from podlab.data.store.dataset import Dataset
from podlab.data.store.index import Index
from podlab.data.store.rows import Ids, number_instances, run_begins, to_frame
from podlab.errors import InputError

#: Containers are given out together when they have so many rows.
BATCH_ROWS = 50_000
_AGAIN = "collect again"


@dataclass(frozen=True)
class Batch:
    """Some containers, complete.

    Attributes
    ----------
    samples : DataFrame
        A checked samples table; rows of one container instance stand together and in order of time.
    left_out : array of int64 (n_containers,)
        How many rows of each, in order of appearance, were beyond reach.
    """

    samples: pd.DataFrame
    left_out: NDArray[np.int64]


@dataclass(frozen=True)
class Section:
    """The containers of a cluster that end within some of its partitions.

    Attributes
    ----------
    index : Index
        The cluster.
    first, end : int
        Positions of the partitions, the last one not included.
    """

    index: Index
    first: int
    end: int


def sections_of(index: Index, rows: int) -> list[Section]:
    """Divide a cluster's containers into sections that end within about so many rows each."""
    block = np.cumsum([0, *(partition.rows for partition in index.partitions)])[:-1] // rows
    first = np.flatnonzero(np.diff(block, prepend=-1)).tolist()
    return [_narrow(Section(index, a, b)) for a, b in zip(first, [*first[1:], len(index.partitions)], strict=True)]


def _narrow(section: Section) -> Section:
    """Keep of a section's cluster only what the section needs, so that little is sent with it."""
    index = section.index
    chosen = (index.last >= section.first) & (index.last < section.end)
    wanted = index.ids[chosen]
    needed = [n for n in range(section.end) if n >= section.first or _end_within(section, index.held[n]).any()]
    place = np.zeros(section.end, dtype=np.int64)
    place[needed] = np.arange(len(needed))
    own = Index(
        tuple(index.partitions[n] for n in needed),
        tuple(index.held[n] for n in needed),
        index.metrics,
        wanted,
        place[index.last[chosen]],
    )
    return Section(own, len(needed) - (section.end - section.first), len(needed))


def _end_within(section: Section, ids: Ids) -> NDArray[np.bool_]:
    """Tell which of some instances end within a section."""
    ends = section.index.ends(ids)
    return np.asarray((ends >= section.first) & (ends < section.end))


def stream(
    dataset: Dataset,
    section: Section,
    *,
    metrics: Collection[str] | None = None,
    labels: bool = False,
    reach: Reach | None = None,
    only: Ids | None = None,
) -> Iterator[Batch]:
    """Give the containers of a section, each once and complete.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    section : Section
        Which containers. Sections one after another give the same containers, in the same order, as one large one.
    metrics : collection of str, optional
        Metric columns to read; by default all.
    labels : bool
        Whether to read labels as well.
    reach : Reach, optional
        Which of a container's rows are needed; by default all. More may be there.
    only : array of uint64, optional
        Of the section only these instances, ascending.

    Yields
    ------
    Batch
        Of about :data:`BATCH_ROWS` rows or one large container.

    Raises
    ------
    InputError
        If a partition is not what its manifest says; the error names it.
    """
    index = section.index
    if only is not None:
        drawn = np.isin(index.ids, only)
        index = replace(index, ids=index.ids[drawn], last=index.last[drawn])
        section = replace(section, index=index)
    carry = Carry(reach or Reach())
    ready: list[tuple[Numbered, NDArray[np.int64]]] = []
    for number, partition in enumerate(index.partitions[: section.end]):
        held = index.held[number]
        wanted = held[_end_within(section, held)]
        if not wanted.size:
            continue
        names = dataset.columns_of(partition, metrics, labels)
        where = f"{dataset.where}/{partition.name}"
        with dataset.open(partition) as file:
            for rows in _whole_containers(file, names):
                begins = np.flatnonzero(np.diff(rows.ids, prepend=~rows.ids[:1]))
                runs = rows.ids[begins]
                if not np.isin(runs, held).all():
                    raise InputError("holds containers that its footer does not name", where=where, hint=_AGAIN)
                keep = np.isin(runs, wanted)
                done = keep & (index.ends(runs) == number)
                length = np.diff(begins, append=len(rows))
                carry.add(rows.only(np.repeat(keep & ~done, length)))
                if done.any():
                    ready.append(_complete(rows.only(np.repeat(done, length)), carry))
                if sum(len(rows) for rows, _ in ready) >= BATCH_ROWS:
                    yield _batch(ready, where)
                    ready = []
        carry.settle(wanted[index.ends(wanted) == number])
    if ready:
        yield _batch(ready, dataset.where)


def _whole_containers(file: pq.ParquetFile, names: Sequence[str]) -> Iterator[Numbered]:
    """Read a partition row group by row group, but what stands together of one container together."""
    held = None
    for number in range(file.num_row_groups):
        table = file.read_row_group(number, columns=names).replace_schema_metadata(None)
        if held is not None:
            table = join([held, Numbered(table, np.empty(0, dtype=np.uint64))]).table
        end = table.num_rows
        if number < file.num_row_groups - 1:
            end = int(run_begins(table, CONTAINER_KEY)[-1])
            held = Numbered(table.slice(end), np.empty(0, dtype=np.uint64))
        table = table.slice(0, end)
        begins = run_begins(table)
        yield Numbered(table, np.repeat(number_instances(table, begins), np.diff(begins, append=end)))


def _complete(rows: Numbered, carry: Carry) -> tuple[Numbered, NDArray[np.int64]]:
    """Join the last rows of some containers to those that were kept; and count what was not kept of each."""
    whose = np.unique(rows.ids)
    earlier = carry.rows_of(whose)
    if earlier is not None:
        rows = in_order(join([earlier, rows]))
    _, first = np.unique(rows.ids, return_index=True)
    return rows, carry.left_out_of(rows.ids[np.sort(first)])


def _batch(ready: Sequence[tuple[Numbered, NDArray[np.int64]]], where: str) -> Batch:
    samples = to_frame(join([rows for rows, _ in ready]).table)
    # As reading all at once does: an older podlab took an empty text for a cluster's name.
    samples["cluster"] = samples["cluster"].mask(samples["cluster"] == "", "local")
    if not is_sound(samples):
        raise InputError("holds rows that are no samples", where=where, hint=_AGAIN)
    return Batch(samples, np.concatenate([left_out for _, left_out in ready]))
