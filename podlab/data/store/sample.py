"""Choosing containers to learn from where a data set holds more than fits into memory.

More containers of a deployment teach little: each service gets the same share, in it each deployment its turn, and of a
deployment's containers some are drawn. Which are drawn depends on the seed and each container's identity alone, not on
how the rows are spread over partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from podlab.data.store.containers import Share, count_labelled, read_shares, stream_containers
from podlab.data.store.dataset import Dataset, Ids
from podlab.errors import InputError
from podlab.progress import Progress

#: Of a container so much of its beginning is learned from: three segments of the longest steady-state window that
#: podlab trains, half an hour each, overlapping by half, the first of them half its length after the start.
TRAINING_S = 4_500.0


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
        Called before each share of a data set is counted, and before it is read.

    Returns
    -------
    DataFrame
        Samples, not yet in order.

    Raises
    ------
    InputError
        If nothing is labelled, or not even one container fits.
    """
    shares = [(dataset, share) for dataset in datasets for share in read_shares(dataset)[0]]

    def report(done: int, what: str, share: Share) -> None:
        if progress is not None:
            progress(done, 2 * len(shares), f"{what} {share.partitions[0].cluster}")

    counted = []
    for number, (dataset, share) in enumerate(shares):
        report(number, "count", share)
        counted.append(count_labelled(dataset, share, head_s=head_s, group=group, skipped_roles=skipped_roles))
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
        raise InputError(
            f"not even one container fits into {most_rows} rows", where="--most-rows", hint="allow for more"
        )
    return np.sort(chosen)


def _draw(ids: Ids, seed: int) -> Ids:
    """Give each container a number that is as good as random (Steele et al. 2014, splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = ids + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
