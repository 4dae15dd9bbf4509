"""How alike services are: who would be taken for whom, before anything is decided."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def similarity_of(near: Sequence[FloatArray], truth: NDArray[np.intp], services: int) -> FloatArray:
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
