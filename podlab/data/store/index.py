"""Which containers a cluster's partitions hold, and so where each one ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podlab.data.store.dataset import Dataset
from podlab.data.store.manifest import Partition
from podlab.data.store.rows import Ids

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """The containers of one cluster.

    Attributes
    ----------
    partitions : tuple of Partition
        In order of time.
    held : tuple of array of uint64
        For each, the numbers of its container instances, ascending.
    metrics : frozenset of str
        Those of which there is any value.
    ids : array of uint64 (n_instances,)
        All instances, ascending.
    last : array of int64 (n_instances,)
        The position in ``partitions`` of each one's last rows.
    """

    partitions: tuple[Partition, ...]
    held: tuple[Ids, ...]
    metrics: frozenset[str]
    ids: Ids
    last: IntArray

    def ends(self, ids: Ids) -> IntArray:
        """Give the positions of the last partitions of some instances; -1 for those that it does not know.

        It costs next to nothing however many instances there are, as it must: it is asked for each row group.
        """
        if not self.ids.size:
            return np.full(len(ids), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.ids, ids), self.ids.size - 1)
        return np.where(self.ids[at] == ids, self.last[at], -1)


def read_index(dataset: Dataset, cluster: str) -> Index:
    """Read the footers of a cluster's partitions.

    Raises
    ------
    InputError
        If one has no usable footer.
    """
    partitions = tuple(each for each in dataset.partitions if each.cluster == cluster)
    footers = [dataset.look_into(partition) for partition in partitions]
    held = tuple(ids for ids, _ in footers)
    number = np.repeat(np.arange(len(held)), [len(ids) for ids in held])
    # Of equal ids the first in reversed order is the last one.
    ids, first = np.unique(np.concatenate(held)[::-1], return_index=True)
    metrics = frozenset[str]().union(*(names for _, names in footers))
    return Index(partitions, held, metrics, ids, number[::-1][first])
