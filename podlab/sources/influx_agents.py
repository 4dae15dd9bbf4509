"""Of several Telegraf agents that tell of the same container, take one: rows told twice are no more rows.

A DaemonSet beside a central agent, or two replicas, ask the same kubelet and write the same samples a moment apart;
only the tag ``host`` tells whose a row is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from podlab.sources.influx_wire import Rows
from podlab.sources.nearest import nearest_rows, sampling_interval

#: The agent's own host, which Telegraf adds to all points.
AGENT_TAG: Final = "host"
# Telegraf's default, for an agent that saw every container just once.
_DEFAULT_INTERVAL_NS: Final = 10_000_000_000


def one_agent(rows: Rows) -> Rows:
    """Take of each series the rows of the agent that has most of them, and others' where that one has none.

    Parameters
    ----------
    rows : Rows
        Whose last tag is :data:`AGENT_TAG`.

    Returns
    -------
    Rows
        Without that tag. A row of another agent is in it where the first has none within three quarters of an interval,
        as when agents take turns.
    """
    bare = [tags[:-1] for tags in rows.tags]
    numbers: dict[tuple[str, ...], int] = {}
    who = np.array([numbers.setdefault(tags, len(numbers)) for tags in bare], dtype=np.int64)
    agents = sorted({tags[-1] for tags in rows.tags})
    if len(set(rows.tags)) == len(numbers):
        return replace(rows, tags=bare)
    agent = np.array([agents.index(tags[-1]) for tags in rows.tags], dtype=np.int64)
    owner, time_ns = who[rows.series], rows.time_ns
    pair = owner * len(agents) + agent[rows.series]

    pairs, count = np.unique(pair, return_counts=True)
    order = np.lexsort((pairs, -count, pairs // len(agents)))
    first = np.searchsorted(pairs // len(agents), pairs // len(agents))
    place = np.empty(len(pairs), dtype=np.int64)
    place[order] = np.arange(len(pairs)) - first[order]
    rank = place[np.searchsorted(pairs, pair)]

    kept = rank == 0
    for level in range(1, int(rank.max(initial=0)) + 1):
        taken, other = np.flatnonzero(kept), np.flatnonzero(rank == level)
        _, apart_ns = nearest_rows(owner[other], time_ns[other], owner[taken], time_ns[taken])
        interval_ns = np.full(len(numbers), _DEFAULT_INTERVAL_NS, dtype=np.int64)
        interval_ns[owner[taken]] = sampling_interval(owner[taken], time_ns[taken], default=_DEFAULT_INTERVAL_NS)
        kept[other[apart_ns > interval_ns[owner[other]] // 4 * 3]] = True
    fields = {name: values[kept] for name, values in rows.fields.items()}
    return Rows(bare, rows.series[kept], time_ns[kept], fields)
