"""How good scores of strangeness are: against rows' labels, and against whole faults. Never point-adjusted.

A *series* is what one deployment did: its rows in time, over its restarts. A *fault* is an unbroken run of marked rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Widths in seconds of the slopes that VUS-PR puts on both sides of a fault: a score may rise a little early or late.
WIDTHS_S = (0.0, 5.0, 10.0, 15.0, 20.0)


@dataclass(frozen=True)
class Faults:
    """Where the faults of a series lie.

    Attributes
    ----------
    first, last : array of int64 (n_faults,)
        Their first and last rows.
    """

    first: IntArray
    last: IntArray


def faults_in(marked: BoolArray, kind: NDArray[np.object_] | None = None) -> Faults:
    """Find the unbroken runs of marked rows (n,), of one kind each where kinds are told (n,)."""
    if not marked.size:
        none = np.zeros(0, dtype=np.int64)
        return Faults(none, none)
    new = np.ones(marked.size, dtype=bool)
    new[1:] = marked[1:] != marked[:-1]
    if kind is not None:
        new[1:] |= marked[1:] & (kind[1:] != kind[:-1])
    begin = np.flatnonzero(new)
    end = np.append(begin[1:], marked.size) - 1
    held = marked[begin]
    return Faults(begin[held], end[held])


def vus_pr(score: FloatArray, time_s: FloatArray, faults: Faults) -> float:
    """Volume under the surface of precision and recall, over thresholds and over the widths of faults' slopes.

    Parameters
    ----------
    score : array of float64 (n,)
        Rises with strangeness. Rows of equal score are told apart by nothing: they pass a threshold together.
    time_s : array of float64 (n,)
        Does not fall.
    faults : Faults
        At least one.

    Notes
    -----
    Paparrizos et al. 2022, *Volume Under the Surface*, PVLDB 15(11): a fault of slope width l counts 1 inside and
    ``sqrt(1 - d / l)`` at a distance d up to l / 2 outside; recall is multiplied by the part of faults hit at all.
    The area is summed as average precision is; the volume is the mean over :data:`WIDTHS_S`.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order]) != 0), score.size - 1)
    return float(np.mean([_area(order, ends, time_s, faults, width_s) for width_s in WIDTHS_S]))


def _area(order: IntArray, ends: IntArray, time_s: FloatArray, faults: Faults, width_s: float) -> float:
    inside = np.zeros(order.size, dtype=bool)
    weight = np.zeros(order.size)
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    hit = np.empty(faults.first.size)
    for number, (first, last) in enumerate(zip(faults.first.tolist(), faults.last.tolist(), strict=True)):
        inside[first : last + 1] = True
        far_s = np.maximum(time_s[first] - time_s, time_s - time_s[last]).clip(0.0)
        near = (far_s == 0) | (far_s <= width_s / 2)
        slope = np.sqrt(np.maximum(1.0 - far_s[near] / max(width_s, 1e-9), 0.0)) if width_s else 1.0
        weight[near] = np.maximum(weight[near], slope)
        hit[number] = place[near].min()
    weight[inside] = 1.0
    found = np.cumsum(weight[order])[ends]
    outside = np.cumsum(np.where(inside, 0.0, weight)[order])[ends]
    recall = np.minimum(found / (inside.sum() + outside / 2), 1.0)
    recall *= np.searchsorted(np.sort(hit), ends, side="right") / hit.size
    precision = found / (ends + 1)
    return float(np.sum(np.diff(recall, prepend=0.0).clip(0.0) * precision))


def auroc(score: FloatArray, marked: BoolArray) -> float:
    """Probability that a marked row's score is above an unmarked one's, ties counting half; NaN without both."""
    positives, negatives = int(marked.sum()), int((~marked).sum())
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(count) - (count - 1) / 2
    above = middle_rank[place][marked].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
