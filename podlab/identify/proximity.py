"""How near a container is to those of the training: the share of trees in which both fall into the same leaf.

The measure is the forest proximity of Breiman and Cutler; it lives in the model's own space, needs no scaling, and
bears missing features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 64


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
    out = np.zeros((leaves.shape[0], n_services))
    begins = np.searchsorted(service, np.arange(n_services + 1))
    for begin in range(0, leaves.shape[0], _BLOCK_ROWS):
        block = leaves[begin : begin + _BLOCK_ROWS]
        shared = np.zeros((block.shape[0], known.shape[0]), dtype=np.float32)
        for row, own in enumerate(block):
            shared[row] = (known == own).mean(axis=1, dtype=np.float32)
        for number in range(n_services):
            of_service = shared[:, begins[number] : begins[number + 1]]
            if of_service.shape[1]:
                out[begin : begin + _BLOCK_ROWS, number] = of_service.max(axis=1)
    return out
