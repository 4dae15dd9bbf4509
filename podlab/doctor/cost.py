"""What missing columns cost in accuracy, as it was measured of the model itself and stands in its bundle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from podlab.data.catalogue import CATALOGUE
from podlab.model.bundle import BundleInfo

#: The name of the scores in a bundle: a list of what was measured with some families of columns only.
SCORE = "fewer_columns"


class _Measured(msgspec.Struct):
    """One line of :data:`SCORE`, as far as it is needed."""

    condition: str
    families: list[str]
    horizon_s: float
    n_deployments: int
    lost: float
    lost_low: float
    lost_high: float


@dataclass(frozen=True)
class Cost:
    """What is lost where some columns are missing.

    Attributes
    ----------
    words : str
        For people.
    measured : str or None
        The condition that was measured and is nearest; None where none was.
    exact : bool
        Whether it is the condition here; otherwise more columns are here than were measured, and less is lost.
    lost, lost_low, lost_high : float or None
        How much lower macro-F1 was than with all columns, with its 95 % interval over deployments.
    """

    words: str
    measured: str | None = None
    exact: bool = False
    lost: float | None = None
    lost_low: float | None = None
    lost_high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def missing_families(absent: Collection[str], columns: Sequence[str]) -> list[str]:
    """Name the families of which no column is left."""
    left = {CATALOGUE[name].family for name in columns if name not in absent}
    return sorted({CATALOGUE[name].family for name in absent} - left)


def cost_of(model: BundleInfo | None, absent: Collection[str]) -> Cost:
    """Tell what it costs that some of a model's columns are missing.

    The measured conditions leave out whole families. The one that keeps most of what is here, and nothing that is not,
    bounds what is lost.

    Parameters
    ----------
    model : BundleInfo or None
    absent : collection of str
        The columns that are missing altogether.
    """
    if model is None or not absent:
        return Cost("")
    columns = model.manifest["columns"]
    here = {CATALOGUE[name].family for name in columns} - {CATALOGUE[name].family for name in absent}
    try:
        measured = msgspec.convert(model.manifest["scores"].get(SCORE, []), type=list[_Measured])
    except msgspec.ValidationError:
        measured = []
    if not measured:
        return Cost("What that costs was not measured of this model (`make train` does).")
    fitting = [each for each in measured if set(each.families) <= here]
    if not fitting:
        return Cost("So few columns were never tried: expect answers to be unreliable.")
    nearest = max(fitting, key=lambda each: (len(each.families), -each.lost))
    exact = set(nearest.families) == here
    lost = f"{nearest.lost:.3f} of macro-F1"
    if nearest.lost <= 0:
        lost = f"nothing: macro-F1 was {-nearest.lost:.3f} higher"
    words = (
        f"It costs {'as much as' if exact else 'no more than'} {nearest.condition!r} does: {lost} "
        f"({nearest.lost_low:.3f} to {nearest.lost_high:.3f}) after {nearest.horizon_s:g} s, "
        f"split by deployment, {nearest.n_deployments} deployments."
    )
    return Cost(words, nearest.condition, exact, nearest.lost, nearest.lost_low, nearest.lost_high)
