"""Many containers' rows through a scorer, in the order in which a watcher would have seen them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from podlab.detect.library import Library
from podlab.detect.scorer import Scored, Scorer
from podlab.detect.ticks import sample, ticks
from podlab.features.rows import Rows

IntArray = NDArray[np.int64]
Donors = Sequence[tuple[str, float]]


def replay(
    rows: Rows, library: Library, donors: Callable[[int, int], Donors], step: IntArray | None = None
) -> Iterator[tuple[IntArray, Scored]]:
    """Score all rows.

    Parameters
    ----------
    rows : Rows
    library : Library
    donors : callable
        Names the donors of a container by its number and step.
    step : array of int64 (n_rows,), optional
        How much is known of the container at each row; whenever it rises the donors are asked for. By default they
        are asked for once. At step 0 the pooled detector watches.

    Yields
    ------
    tuple of (array of int64 (n,), Scored)
        Numbers of the rows, one of each container at most, and what was said of them.
    """
    known = np.ones(len(rows.code), dtype=np.int64) if step is None else step
    scorer = Scorer(library, len(rows.containers))
    at = np.zeros(scorer.size, dtype=np.int64)
    started = ~np.asarray(rows.containers["started_at"].array.isna())
    age_s = np.where(started[rows.code], rows.offset_s, np.inf)
    for which in ticks(rows):
        whose = rows.code[which]
        new = known[which] > at[whose]
        at[whose] = np.maximum(at[whose], known[which])
        scorer.set_donors(whose[new], [donors(container, int(at[container])) for container in whose[new].tolist()])
        yield which, scorer.score(whose, rows.offset_s[which], age_s[which], *sample(rows, which))
