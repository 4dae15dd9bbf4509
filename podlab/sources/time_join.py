"""Making rows of what was measured at other times: the nearest within a tolerance, each value used at most once."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt
import pandas as pd

from podlab.data.catalogue import CATALOGUE

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
NOTHING = -1
#: Beyond this a value does not fit into the table's counters.
TOO_LARGE = 2**63


def nearest_rows(left_group: Ints, left_time: Ints, right_group: Ints, right_time: Ints) -> tuple[Ints, Ints]:
    """Find for each left row the right row of its group that is nearest in time; the earlier one of two.

    Parameters
    ----------
    left_group, left_time : ndarray of int64, shape (n_left,)
        In any order.
    right_group, right_time : ndarray of int64, shape (n_right,)
        In any order.

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
    """Match each left row with the nearest right row, within a tolerance, each used at most once per user.

    Parameters
    ----------
    left_group, left_time, right_group, right_time
        As for :func:`nearest_rows`.
    tolerance : ndarray of int64, shape (n_left,)
        The largest distance allowed.
    user : ndarray of int64, shape (n_left,)
        Of the left rows of one user that are nearest to the same right row, only the closest gets it (the earlier
        of two): a value must not be counted twice.

    Returns
    -------
    ndarray of int64, shape (n_left,)
        Row on the right, or -1.
    """
    index, distance = nearest_rows(left_group, left_time, right_group, right_time)
    index[distance > tolerance] = NOTHING
    order = np.lexsort((left_time, distance, index, user))
    repeats = np.zeros(len(order), dtype=bool)
    repeats[1:] = (np.diff(index[order]) == 0) & (np.diff(user[order]) == 0)
    index[order[repeats]] = NOTHING
    return index


def sampling_interval(group: Ints, time: Ints, *, default: int) -> Ints:
    """Estimate each group's sampling interval: the median of its steps.

    Parameters
    ----------
    group : ndarray of int64, shape (n_rows,)
        Numbered from 0.
    time : ndarray of int64, shape (n_rows,)
        In any order.
    default : int
        Taken where no group has two instants.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        The interval of each row's group. A group of one instant gets the median of the other groups' intervals.
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
