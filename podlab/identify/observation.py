"""Observation windows: what the models look at, and which of them the training containers can show.

A container's start is a fingerprint that later load dilutes, so there is one model for each horizon since the start.
A container that is first seen later has no start to show; models of its steady state are trained on segments that begin
later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podlab.errors import InputError
from podlab.features.rows import ObservationSpans

#: Horizons by default, in seconds, as far as the training data fill them. The span that half of the containers were
#: observed for is added where it is at least twice the longest of them.
HORIZONS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
#: Lengths of steady-state segments, in seconds.
SEGMENT_LENGTHS_S = (60.0, 300.0, 1800.0)
#: The longest start-up window that a container fills is combined with the shortest one of at least this part of it:
#: the start is a fingerprint that later seconds dilute, but it must not be too short.
COMPANION_MIN_FRACTION = 0.25
_LEAST_ROWS = 2
#: Segments that are used of one container, at most: a long recording costs no more.
MAX_SEGMENTS = 3

ObservationKind = Literal["startup", "steady"]
#: What files call them.
STORED_KINDS: dict[ObservationKind, Literal["birth", "midlife"]] = {"startup": "birth", "steady": "midlife"}


@dataclass(frozen=True)
class ObservationWindow:
    """What one model looks at: the first seconds of a container, or a segment of its steady state."""

    kind: ObservationKind  # whether the window begins at the container's start
    length_s: float  # its length

    @property
    def name(self) -> str:
        """Such as ``birth10s``: the name of the model's file, in the words of the first format."""
        return f"{STORED_KINDS[self.kind]}{self.length_s:g}s"


def choose_windows(spans: ObservationSpans, horizons_s: Sequence[float] | None) -> tuple[ObservationWindow, ...]:
    """Choose the windows to train models for, by what the training containers show.

    Raises InputError if a horizon is not positive.

    Parameters
    ----------
    spans : ObservationSpans
        Of the training containers.
    horizons_s : sequence of float, optional
        Horizons to use, as far as half of the containers show a sample in them. By default, or if none is left, those
        of :data:`HORIZONS_S` that hold two samples and that half of the containers observed from the start reach.
    """
    if any(horizon_s <= 0 for horizon_s in horizons_s or ()):
        raise InputError("a horizon must be longer than 0 s", where="horizons")
    from_start = spans.start_observed
    interval_s = spans.typical_interval_s
    windows: list[ObservationWindow] = []
    if from_start.any():
        reach_s = float(np.median(spans.until_s[from_start]))
        given_s = covered_horizons(spans, horizons_s or ())
        chosen_s = given_s or [
            each for each in HORIZONS_S if _LEAST_ROWS * interval_s <= each * 1.05 and each <= reach_s * 1.05
        ]
        windows += [ObservationWindow("startup", horizon_s) for horizon_s in chosen_s]
        if not windows:
            windows.append(ObservationWindow("startup", max(round(reach_s), 1.0)))
        elif (
            horizons_s is None and windows[-1].length_s < HORIZONS_S[-1] and reach_s * 1.05 >= 2 * windows[-1].length_s
        ):
            # Otherwise no model would see half of the recording. Two digits, so that folds have the same window.
            windows.append(ObservationWindow("startup", float(f"{reach_s:.2g}")))
    seen = int((spans.rows > 0).sum())
    segments: list[ObservationWindow] = []
    for length_s in SEGMENT_LENGTHS_S:
        begins = segment_starts(spans, length_s)
        if 3 * interval_s > length_s or not begins:
            continue
        # Few long containers make a poor model; several segments of a shorter window are better then.
        if not segments or 2 * np.isfinite(begins[0]).sum() >= seen:
            segments.append(ObservationWindow("steady", length_s))
    windows += segments
    if not windows:
        span_s = np.nanmedian(spans.until_s - spans.first_s)
        windows.append(ObservationWindow("steady", max(round(float(span_s)), 1.0)))
    return tuple(windows)


def covered_horizons(spans: ObservationSpans, horizons_s: Sequence[float]) -> list[float]:
    """Give the horizons, ascending, in which half of the containers observed from the start show a sample."""
    first_s = spans.first_s[spans.start_observed]
    return [float(each) for each in sorted(set(horizons_s)) if first_s.size and np.median(first_s) < each]


def segment_starts(spans: ObservationSpans, length_s: float) -> list[NDArray[np.float64]]:
    """Place steady-state segments in the training containers.

    Returns
    -------
    list of array (n_containers,)
        One for each of up to :data:`MAX_SEGMENTS` segments: where it begins in each container, NaN where the container
        has no such segment. A segment begins at least half its length after the start; where the start was not
        observed, at the first row. Segments overlap by half.
    """
    earliest_s = np.where(spans.start_observed, 0.5 * length_s, spans.first_s)
    latest_s = spans.until_s * 1.02 - length_s
    begins = []
    for number in range(MAX_SEGMENTS):
        begin_s = earliest_s + number * 0.5 * length_s
        begin_s = np.where(begin_s <= latest_s, begin_s, np.nan)
        if np.isnan(begin_s).all():
            break
        begins.append(begin_s)
    return begins
