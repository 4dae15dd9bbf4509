"""Which metrics drive a score, and how far each is from what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from podlab.detect.signals import SIGNALS
from podlab.detect.usual import FARTHEST

#: Signals nearer to the usual than this drive nothing.
_LEAST_STRAYS = 2.0


@dataclass(frozen=True)
class Driver:
    """One signal that drives a score.

    Attributes
    ----------
    signal : str
        One of :data:`podlab.detect.signals.SIGNALS`.
    strays : float
        How many usual deviations it is away, above the usual if positive.
    against : {"service", "itself"}
        Whether its value is unusual for the service, or its change from the container's own usual is.
    """

    signal: str
    strays: float
    against: Literal["service", "itself"]

    @property
    def words(self) -> str:
        """Say it for people."""
        far, side = abs(self.strays), "above" if self.strays > 0 else "below"
        times = f"{FARTHEST:.0f} or more" if far >= FARTHEST else f"{far:.1f}"
        whose = "what is usual for the service" if self.against == "service" else "its own usual"
        return f"{self.signal} {times} deviations {side} {whose}"

    def to_json(self) -> dict[str, object]:
        """Give the JSON object."""
        return {"signal": self.signal, "strays": round(self.strays, 2), "against": self.against}


def drivers_of(far: NDArray[np.float64], *, most: int = 3) -> tuple[Driver, ...]:
    """Name what drives one row's score, the farthest first.

    Parameters
    ----------
    far : array of float64 (2 * n_signals,)
        A row of :attr:`podlab.detect.scorer.Scored.far`.
    most : int
        How many at most; a signal is named once, by the farther of its value and its change.
    """
    value, change = far[: len(SIGNALS)], far[len(SIGNALS) :]
    changed = np.abs(change) > np.abs(value)
    farther = np.where(changed, change, value)
    order = np.argsort(-np.abs(farther), kind="stable")[:most]
    return tuple(
        Driver(SIGNALS[number], float(farther[number]), "itself" if changed[number] else "service")
        for number in order.tolist()
        if abs(farther[number]) >= _LEAST_STRAYS
    )
