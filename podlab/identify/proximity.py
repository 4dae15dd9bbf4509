"""How near a container is to those of the training: the share of trees in which both fall into the same leaf.

The measure is the forest proximity of Breiman and Cutler; it lives in the model's own space, needs no scaling, and
bears missing features.


How alike services are: who would be taken for whom, before anything is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]

#: From this many rows on it pays to sort the training containers by leaf.
_MANY_ROWS = 256
#: Looking up a run of those that share a leaf costs this many times as much as comparing one pair of leaves.
_LOOK_UP_COST = 16
_BLOCK_RUNS = 100_000


def service_proximity(
    leaves: NDArray[np.int32], known: NDArray[np.int32], service: NDArray[np.int16], n_services: int
) -> NDArray[np.float64]:
    """Compute the proximity of rows to services.

    Parameters
    ----------
    leaves : array of int32 (n, n_trees)
        Where the rows fall.
    known : array of int32 (n_known, n_trees)
        Where training containers fall.
    service : array of int16 (n_known,)
        Their services; does not fall.
    n_services : int
        How many there are.

    Returns
    -------
    array of float64 (n, n_services)
        Of each service's nearest training container, 0 to 1; 0 for a service without one.
    """
    begins = np.searchsorted(service, np.arange(n_services + 1))
    there = np.flatnonzero(np.diff(begins))
    out = np.zeros((leaves.shape[0], n_services))
    for begin, shared in _shared_trees(leaves, known):
        # Services without a container would break the runs that `reduceat` takes the maximum of.
        most = np.maximum.reduceat(shared, begins[there], axis=1) if there.size else shared[:, :0]
        out[begin : begin + len(shared), there] = most.astype(np.float32) / np.float32(leaves.shape[1])
    return out


def _shared_trees(leaves: IntArray, known: IntArray) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    """Count the trees in which rows and training containers share the leaf: first row, counts (n_block, n_known)."""
    if len(leaves) >= _MANY_ROWS and len(known):
        by_leaf = _ByLeaf(leaves, known)
        if by_leaf.runs.sum() * _LOOK_UP_COST < leaves.size * len(known):
            yield from by_leaf.shared_trees()
            return
    for row, own in enumerate(leaves):
        yield row, np.count_nonzero(known == own, axis=1)[None]


class _ByLeaf:
    """Training containers sorted by leaf, so that only those in a row's own leaves are looked at.

    Containers that share a leaf mostly stand side by side, being of one service. So a leaf keeps runs of them: where a
    run begins, and where the first container behind it stands.
    """

    def __init__(self, leaves: IntArray, known: IntArray) -> None:
        self._known = len(known)
        self._leaves = leaves
        order = np.argsort(known, axis=None, kind="stable")
        leaf, container = known.reshape(-1)[order], order // known.shape[1]
        goes_on = (np.diff(leaf) == 0) & (np.diff(container) == 1)
        begins = np.flatnonzero(np.concatenate([[True], ~goes_on]))
        ends = np.flatnonzero(np.concatenate([~goes_on, [True]]))
        self._begin, self._behind = container[begins], container[ends] + 1
        self._number = np.bincount(leaf[begins], minlength=int(leaves.max()) + 1)
        self._first = np.cumsum(self._number) - self._number
        #: How many runs are in each row's leaves (n,).
        self.runs = self._number[leaves].sum(axis=1)

    def shared_trees(self) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
        """Count them in blocks with a limited number of runs."""
        width = self._known + 1
        block = (np.cumsum(self.runs) + np.arange(len(self.runs)) * width) // _BLOCK_RUNS
        for begin, end in pairwise((*np.flatnonzero(np.diff(block, prepend=-1)).tolist(), len(block))):
            leaf = self._leaves[begin:end]
            number = self._number[leaf].reshape(-1)
            # All runs of a leaf stand side by side, as do all leaves of a row.
            run = np.arange(number.sum())
            run += np.repeat(self._first[leaf].reshape(-1) - (np.cumsum(number) - number), number)
            row = np.repeat(np.arange(0, (end - begin) * width, width), self.runs[begin:end])
            size = (end - begin) * width
            change = np.bincount(self._begin[run] + row, minlength=size) - np.bincount(
                self._behind[run] + row, minlength=size
            )
            yield begin, change.reshape(-1, width).cumsum(axis=1)[:, :-1]


FloatArray = NDArray[np.float64]


def service_similarity(near: Sequence[FloatArray], truth: NDArray[np.intp], services: int) -> FloatArray:
    """Compute how alike each two services are.

    With m(a, b) the mean proximity of a's held-out containers to b's nearest training container, it is
    (m(a, b) + m(b, a)) / (m(a, a) + m(b, b)): 1 where containers of another service are as near as those of the own
    one, 0 where no tree ever confuses them.

    Parameters
    ----------
    near : sequence of array (n, n_services)
        Of each look: proximities of held-out containers, NaN where a container was not seen.
    truth : array of int (n,)
        Their services.
    services : int
        How many there are.

    Returns
    -------
    array of float64 (n_services, n_services)
        Symmetric, 0 to 1, 1 for each service with itself; 0 for one that was never held out.
    """
    total, count = np.zeros((2, services, services))
    for each in near:
        seen = ~np.isnan(each[:, 0])
        np.add.at(total, truth[seen], each[seen])
        np.add.at(count, truth[seen], 1.0)
    mean = total / np.maximum(count, 1.0)
    own = np.diag(mean)
    both = own[:, None] + own[None, :]
    alike = np.clip((mean + mean.T) / np.where(both > 0, both, 1.0), 0.0, 1.0)
    np.fill_diagonal(alike, 1.0)
    return alike
