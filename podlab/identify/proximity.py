"""How near a container is to those of the training: the share of trees in which both fall into the same leaf.

The measure is the forest proximity of Breiman and Cutler; it lives in the model's own space, needs no scaling, and
bears missing features.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]

#: From this many rows on it pays to sort the training containers by leaf.
_MANY_ROWS = 256
#: Looking up who shares a leaf costs this many times as much as comparing one pair of leaves.
_LOOK_UP_COST = 8
_BLOCK_PAIRS = 100_000


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
    if len(leaves) >= _MANY_ROWS:
        by_leaf = _ByLeaf(leaves, known)
        if by_leaf.pairs.sum() * _LOOK_UP_COST < leaves.size * len(known):
            yield from by_leaf.shared_trees()
            return
    for row, own in enumerate(leaves):
        yield row, np.count_nonzero(known == own, axis=1)[None]


class _ByLeaf:
    """Training containers sorted by leaf, so that only those in a row's own leaves are looked at."""

    def __init__(self, leaves: IntArray, known: IntArray) -> None:
        self._known = len(known)
        self._leaves = leaves
        self._container = np.argsort(known, axis=None, kind="stable") // known.shape[1]
        number = np.bincount(known.reshape(-1), minlength=int(leaves.max()) + 1)
        self._number, self._begin = number, np.cumsum(number) - number
        #: How many pairs of tree and training container share a leaf with each row (n,).
        self.pairs = number[leaves].sum(axis=1)

    def shared_trees(self) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
        """Count them in blocks with a limited number of pairs."""
        block = (np.cumsum(self.pairs) + np.arange(len(self.pairs)) * self._known) // _BLOCK_PAIRS
        for begin, end in pairwise((*np.flatnonzero(np.diff(block, prepend=-1)).tolist(), len(block))):
            leaf = self._leaves[begin:end]
            number = self._number[leaf].reshape(-1)
            # Runs of neighbouring places, one run for each row and tree.
            place = np.arange(number.sum())
            place += np.repeat(self._begin[leaf].reshape(-1) - (np.cumsum(number) - number), number)
            pair = self._container[place]
            pair += np.repeat(np.arange(end - begin) * self._known, self.pairs[begin:end])
            shared = np.bincount(pair, minlength=(end - begin) * self._known)
            yield begin, shared.reshape(end - begin, self._known)
