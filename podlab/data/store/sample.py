"""Choosing containers to learn from where a data set holds more than fits into memory.

More containers of a deployment teach little: each service gets the same share, in it each deployment its turn, and of a
deployment's containers some are drawn. Who is drawn depends on the seed and each container's identity alone, not on
how the rows are spread over partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from podlab.data.samples import INSTANCE_KEY
from podlab.data.store.carry import Reach
from podlab.data.store.dataset import Dataset
from podlab.data.store.index import Index, read_index
from podlab.data.store.rows import Ids, number_instances, run_begins
from podlab.data.store.stream import Section, stream
from podlab.errors import InputError
from podlab.progress import Progress

#: Of a container so much of its beginning is learned from: three stretches of the longest look at mid-run that
#: podlab trains, half an hour each, overlapping by half, the first of them half its length after the start.
TRAINING_S = 4_500.0


@dataclass(frozen=True)
class _Census:
    """Labelled container instances: numbers, rows within reach, services and groups (n_instances,)."""

    ids: Ids
    rows: NDArray[np.int64]
    service: NDArray[np.object_]
    group: NDArray[np.object_]


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
    """Read labelled containers of data sets, at most so many rows.

    Parameters
    ----------
    datasets : sequence of Dataset
        Where to draw from.
    most_rows : int
        How many rows at most.
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
        Called before each partition.

    Returns
    -------
    DataFrame
        Samples, not yet in order.

    Raises
    ------
    InputError
        If nothing is labelled, or not even one container fits.
    """
    indexes = [(dataset, read_index(dataset, cluster)) for dataset in datasets for cluster in dataset.clusters]
    total = 2 * sum(len(index.partitions) for _, index in indexes)
    done = 0
    censuses = []
    for dataset, index in indexes:
        for number in range(len(index.partitions)):
            if progress is not None:
                progress(done, total, f"count {index.partitions[number].cluster}")
            censuses.append(_count(dataset, index, number, head_s, group, skipped_roles))
            done += 1
    chosen = _choose(_add_up(censuses), most_rows, services, seed)
    parts = []
    for dataset, index in indexes:
        if progress is not None:
            progress(done, total, f"read {index.partitions[0].cluster}")
        section = Section(index, 0, len(index.partitions))
        for batch in stream(dataset, section, labels=True, reach=Reach(head_s), only=chosen):
            parts.append(_beginnings(batch.samples, head_s))
        done += len(index.partitions)
    return pd.concat(parts, ignore_index=True)


def _count(
    dataset: Dataset, index: Index, number: int, head_s: float, group: str, skipped_roles: Sequence[str]
) -> _Census:
    """Count a partition's labelled rows by container; those of skipped roles count as not labelled."""
    partition = index.partitions[number]
    if "service" not in partition.columns:
        return _Census(*(np.empty(0, dtype=kind) for kind in (np.uint64, np.int64, object, object)))
    labels = ["service", *([group] if group in partition.columns and group != "service" else [])]
    role = ["role"] if "role" in partition.columns and skipped_roles else []
    columns = list(dict.fromkeys([*INSTANCE_KEY, "time", *labels, *role]))
    found: list[tuple[NDArray[Any], ...]] = []
    with dataset.open(partition) as file:
        for row_group in range(file.num_row_groups):
            table = file.read_row_group(row_group, columns=columns)
            begins = run_begins(table)
            heads = table.take(begins)
            rows = np.add.reduceat(_early(table, begins, head_s).astype(np.int64), begins)
            names = [np.asarray(heads[name].to_pylist(), dtype=object) for name in (labels[0], labels[-1])]
            if role:
                names[0][np.isin(heads["role"].to_pylist(), list(skipped_roles))] = None
            found.append((number_instances(table, begins), rows, *names))
    return _Census(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _early(table: pa.Table, begins: NDArray[np.int64], head_s: float) -> NDArray[np.bool_]:
    """Tell which rows are of their container's beginning; of its first row here where its start is not known."""
    time_ns = table["time"].cast(pa.int64()).to_numpy()
    first_ns = np.repeat(time_ns[begins], np.diff(begins, append=table.num_rows))
    started = table["started_at"].cast(pa.int64())
    began_ns = np.where(np.asarray(started.is_valid()), np.asarray(started.fill_null(0)), first_ns)
    return np.asarray(time_ns < np.maximum(began_ns, first_ns) + head_s * 1e9)


def _add_up(censuses: Sequence[_Census]) -> _Census:
    """Join the counts of all partitions, each container once."""
    ids, first, inverse = np.unique(
        np.concatenate([each.ids for each in censuses]), return_index=True, return_inverse=True
    )
    rows = np.bincount(inverse, weights=np.concatenate([each.rows for each in censuses])).astype(np.int64)
    service, group = (
        np.concatenate([getattr(each, name) for each in censuses])[first] for name in ("service", "group")
    )
    known = np.array([value is not None for value in service], dtype=bool) & (rows > 0)
    return _Census(ids[known], rows[known], service[known], group[known])


def _choose(census: _Census, most_rows: int, services: Sequence[str] | None, seed: int) -> Ids:
    """Draw containers until their rows would be too many; services and their deployments take turns."""
    if services is not None:
        wanted = np.isin(census.service.astype(str), list(services))
        census = _Census(*(getattr(census, name)[wanted] for name in ("ids", "rows", "service", "group")))
    if not census.ids.size:
        raise InputError("no row has a service", hint="give a labelled recording")
    table = pd.DataFrame(
        {"service": census.service, "group": census.group, "rows": census.rows, "draw": _draw(census.ids, seed)}
    )
    table = table.sort_values("draw", kind="stable")
    table["turn"] = table.groupby(["service", "group"], dropna=False).cumcount()
    table = table.sort_values(["turn", "draw"], kind="stable")
    table["turn"] = table.groupby("service").cumcount()
    table = table.sort_values(["turn", "draw"], kind="stable")
    taken = table.index[table["rows"].cumsum() <= most_rows]
    if not len(taken):
        raise InputError(
            f"not even one container fits into {most_rows} rows", where="--most-rows", hint="allow for more"
        )
    return np.sort(census.ids[taken])


def _draw(ids: Ids, seed: int) -> Ids:
    """Give each container a number that is as good as random (Steele et al. 2014, splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = ids + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _beginnings(samples: pd.DataFrame, head_s: float) -> pd.DataFrame:
    """Keep the rows of each container's beginning."""
    first = samples.groupby(list(INSTANCE_KEY), dropna=False, sort=False)["time"].transform("min")
    begin = samples["started_at"].where(samples["started_at"] > first, first)
    return samples[samples["time"] < begin + pd.Timedelta(seconds=head_s)]
