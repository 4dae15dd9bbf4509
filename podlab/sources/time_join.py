"""Making rows of what was measured at other times: the nearest within a tolerance, each value used at most once.

Groups, owners and times are arrays of int64 in any order; times may have any unit, the same in one call.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from podlab.data.catalogue import CATALOGUE

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NOTHING = -1
#: Beyond this a value does not fit into the table's counters.
TOO_LARGE = 2**63


class Timeline(NamedTuple):
    """The rows of a table to be, sorted by container and time."""

    #: Number of each row's container, and when it was taken (n_rows,).
    owner: Ints
    time: Ints
    interval: Ints  # estimated sampling interval of the row's container (n_rows,)

    @classmethod
    def of(cls, metrics: Iterable[tuple[Ints, Ints]], *, default: int) -> Timeline:
        """Make the rows of each metric's owners and times: the instants at which a container was measured.

        All metrics of a container usually carry the same instant. Those that lie less than half an interval from a row
        belong to it; others make a row of their own, so that nothing is lost where the first metric has a gap.
        ``default`` is the interval where each container was measured just once.
        """
        owner = time = np.empty(0, dtype=np.int64)
        for new_owner, new_time in metrics:
            if np.array_equal(new_owner, owner) and np.array_equal(new_time, time):
                continue
            if len(owner) and len(new_owner):
                _, apart = nearest_rows(new_owner, new_time, owner, time)
                further = apart > sampling_interval(new_owner, new_time, default=default) // 2
                new_owner, new_time = new_owner[further], new_time[further]
            owner, time = np.append(owner, new_owner), np.append(time, new_time)
            order = np.lexsort((time, owner))
            once = changes(owner[order], time[order])
            owner, time = owner[order][once], time[order][once]
        return cls(owner, time, sampling_interval(owner, time, default=default))

    def match(self, group: Ints, time: Ints, *, own: Ints | None = None) -> Ints:
        """Give each row (n_rows,) the place of its group's nearest value within half an interval, or -1.

        ``own`` is each row's group; its container by default. Each value is used once per container.
        """
        own = self.owner if own is None else own
        if np.array_equal(group, own) and np.array_equal(time, self.time):
            return np.arange(len(time))
        return match_rows(own, self.time, group, time, tolerance=self.interval // 2, user=self.owner)


def nearest_rows(left_group: Ints, left_time: Ints, right_group: Ints, right_time: Ints) -> tuple[Ints, Ints]:
    """Find for each left row the right row of its group that is nearest in time; the earlier one of two.

    Returns
    -------
    index : ndarray of int64, shape (n_left,)
        Row on the right, or -1 where the group has none.
    distance : ndarray of int64, shape (n_left,)
        How far apart they are; the largest int64 where there is none.
    """
    n_left = len(left_time)
    time = np.concatenate([left_time, right_time])
    group = np.concatenate([left_group, right_group])
    order = np.lexsort((time, group))
    is_right = order >= n_left
    place = np.arange(len(order))
    before = np.maximum.accumulate(np.where(is_right, place, NOTHING))
    after = np.minimum.accumulate(np.where(is_right, place, len(order))[::-1])[::-1]

    left_place = place[~is_right]
    index = np.full(n_left, NOTHING, dtype=np.int64)
    distance = np.full(n_left, np.iinfo(np.int64).max)
    for candidate in (before[left_place], after[left_place]):
        there = (candidate >= 0) & (candidate < len(order))
        left = order[left_place[there]]
        right = order[candidate[there]]
        apart = np.abs(time[right] - time[left])
        better = (group[right] == group[left]) & (apart < distance[left])
        index[left[better]] = right[better] - n_left
        distance[left[better]] = apart[better]
    return index, distance


def match_rows(
    left_group: Ints, left_time: Ints, right_group: Ints, right_time: Ints, *, tolerance: Ints, user: Ints
) -> Ints:
    """Match each left row with the nearest right row, or -1 where that is further than its ``tolerance`` (n_left,).

    Of the left rows of one ``user`` (n_left,) that are nearest to the same right row, only the closest gets it (the
    earlier of two): a value must not be counted twice.
    """
    index, distance = nearest_rows(left_group, left_time, right_group, right_time)
    index[distance > tolerance] = NOTHING
    order = np.lexsort((left_time, distance, index, user))
    index[order[~changes(index[order], user[order])]] = NOTHING
    return index


def changes(*columns: Ints) -> Flags:
    """Tell which rows (n_rows,) differ in some column from the row before; the first one does."""
    new = np.zeros(len(columns[0]), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= np.diff(column) != 0
    return new


def sampling_interval(group: Ints, time: Ints, *, default: int) -> Ints:
    """Estimate the sampling interval of each row's group (n_rows,), numbered from 0: the median of its steps.

    A group of one instant gets the median of the other groups' intervals; ``default`` where no group has two.
    """
    order = np.lexsort((time, group))
    same = np.diff(group[order]) == 0
    steps, owner = np.diff(time[order])[same], group[order][1:][same]
    owner, steps = owner[steps > 0], steps[steps > 0]
    if len(steps) == 0:
        return np.full(len(time), default, dtype=np.int64)
    by_size = np.lexsort((steps, owner))
    owners, first, count = np.unique(owner[by_size], return_index=True, return_counts=True)
    medians = steps[by_size][first + (count - 1) // 2]
    interval = np.full(int(group.max()) + 1, int(np.median(medians)), dtype=np.int64)
    interval[owners] = medians
    return interval[group]


def instants(time_ns: Ints) -> pd.Series:
    """Turn nanoseconds since 1970 into a column of times (n_rows,)."""
    return pd.Series(time_ns.view("datetime64[ns]")).dt.tz_localize("UTC")


def drop_impossible(frame: pd.DataFrame) -> None:
    """Make metrics missing where they are below 0 or beyond 2**63: what a kubelet reckons wraps at times."""
    for name in frame.columns.intersection(list(CATALOGUE)):
        wrapped = ((frame[name] < 0) | (frame[name] >= TOO_LARGE)).fillna(False).to_numpy(dtype=bool)
        if wrapped.any():
            log.warning("%d values of %s are below 0 or beyond 2**63 and count as missing", int(wrapped.sum()), name)
            frame[name] = frame[name].mask(wrapped)
