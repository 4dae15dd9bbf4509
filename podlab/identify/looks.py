"""What the experts look at: the first seconds after the birth, or a stretch in the middle of life.

A container's start is a fingerprint that later load dilutes, so there is one expert for each horizon since the start.
A container met later has no start to show; its experts were trained on stretches that begin later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.features.windows import Sighting

#: Horizons tried by default, in seconds; those that the training data cannot fill are left out. What half of the
#: containers showed in all is added where it is at least twice the longest of them.
HORIZONS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
#: Lengths of stretches of mid-life, in seconds.
STRETCHES_S = (60.0, 300.0, 1800.0)
#: Beside the longest birth that a container has filled, the shortest one of at least this part of it keeps its vote:
#: the start is a fingerprint that later seconds dilute, but what was seen of it must not be too little.
COMPANION_SHARE = 0.25
_LEAST_ROWS = 2
#: Of one container at most this many stretches are used, so that a long recording costs no more.
MAX_STRETCHES = 3


@dataclass(frozen=True)
class Look:
    """One expert's view.

    Attributes
    ----------
    kind : {"birth", "midlife"}
        Whether the window begins at the container's start.
    length_s : float
        Its length.
    """

    kind: Literal["birth", "midlife"]
    length_s: float

    @property
    def name(self) -> str:
        """Such as ``birth10s``; names the expert's file."""
        return f"{self.kind}{self.length_s:g}s"


def choose_looks(sighting: Sighting, horizons_s: Sequence[float] | None) -> tuple[Look, ...]:
    """Choose what experts to train, from what the training containers can show.

    Parameters
    ----------
    sighting : Sighting
        Of the training containers.
    horizons_s : sequence of float, optional
        Horizons to use instead of those of :data:`HORIZONS_S` that hold two samples and that half the containers seen
        from birth reach. Those in which fewer than half of them show a sample are left out; where that leaves none,
        those by default are used.

    Raises
    ------
    InputError
        If a horizon is not positive.
    """
    if any(horizon_s <= 0 for horizon_s in horizons_s or ()):
        raise InputError("a horizon must be longer than 0 s", where="horizons")
    born = sighting.from_birth
    interval_s = sighting.typical_interval_s
    looks: list[Look] = []
    if born.any():
        reach_s = float(np.median(sighting.until_s[born]))
        given_s = shown_horizons(sighting, horizons_s or ())
        chosen_s = given_s or [
            each for each in HORIZONS_S if _LEAST_ROWS * interval_s <= each * 1.05 and each <= reach_s * 1.05
        ]
        looks += [Look("birth", horizon_s) for horizon_s in chosen_s]
        if not looks:
            looks.append(Look("birth", max(round(reach_s), 1.0)))
        elif horizons_s is None and looks[-1].length_s < HORIZONS_S[-1] and reach_s * 1.05 >= 2 * looks[-1].length_s:
            # Half of what was recorded would be seen by no expert; two digits, so that folds have the same one.
            looks.append(Look("birth", float(f"{reach_s:.2g}")))
    seen = int((sighting.rows > 0).sum())
    stretches: list[Look] = []
    for length_s in STRETCHES_S:
        begins = stretch_begins(sighting, length_s)
        if 3 * interval_s > length_s or not begins:
            continue
        # Few long containers make a poor expert: several short looks of one that learned from all tell more.
        if not stretches or 2 * np.isfinite(begins[0]).sum() >= seen:
            stretches.append(Look("midlife", length_s))
    looks += stretches
    if not looks:
        span_s = np.nanmedian(sighting.until_s - sighting.first_s)
        looks.append(Look("midlife", max(round(float(span_s)), 1.0)))
    return tuple(looks)


def shown_horizons(sighting: Sighting, horizons_s: Sequence[float]) -> list[float]:
    """Give the horizons, ascending, in which half the containers seen from birth show a sample."""
    first_s = sighting.first_s[sighting.from_birth]
    return [float(each) for each in sorted(set(horizons_s)) if first_s.size and np.median(first_s) < each]


def stretch_begins(sighting: Sighting, length_s: float) -> list[NDArray[np.float64]]:
    """Lay stretches of mid-life over the training containers.

    Returns
    -------
    list of array (n_containers,)
        For each of up to :data:`MAX_STRETCHES` stretches where it begins in each container, NaN where the container
        has no such stretch. A stretch begins at least half its length after the start; where the start was not seen,
        at the first row. They overlap by half.
    """
    earliest_s = np.where(sighting.from_birth, 0.5 * length_s, sighting.first_s)
    latest_s = sighting.until_s * 1.02 - length_s
    begins = []
    for number in range(MAX_STRETCHES):
        begin_s = earliest_s + number * 0.5 * length_s
        begin_s = np.where(begin_s <= latest_s, begin_s, np.nan)
        if np.isnan(begin_s).all():
            break
        begins.append(begin_s)
    return begins
