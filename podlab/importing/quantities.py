"""Units of foreign files, and numbers that stand in a text with theirs: ``12.5%``, ``1.5MiB``, ``250m``."""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from podlab.data.samples import MISSING_NUMBERS

#: The unit of a text that holds its unit itself.
TEXT: Final = "text"

_BYTES: Final = {
    "bytes": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2.0**10, "MiB": 2.0**20,
    "GiB": 2.0**30, "TiB": 2.0**40,
}  # fmt: skip
_SECONDS: Final = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_CORES: Final = {"nanocores": 1.0, "microcores": 1e3, "millicores": 1e6, "cores": 1e9, "percent of a core": 1e7}
#: Our unit -> a file's unit -> factor. There is no ``KB`` or ``k``: some mean 1000 by it, and some 1024.
FACTORS: Final = {"bytes": _BYTES, "ns": _SECONDS, "1e-9 cores": _CORES, "1": {"1": 1.0}}
#: What may stand behind a number in a text.
_SUFFIXES: Final = {
    # Kubernetes leaves the B out. Its k, M and G are read nowhere: others mean 1024 by them.
    "bytes": {
        **{unit: f for unit, f in _BYTES.items() if unit != "bytes"},
        **{unit.removesuffix("B"): f for unit, f in _BYTES.items() if "i" in unit},
    },
    "ns": _SECONDS,
    "1e-9 cores": {"n": 1.0, "u": 1e3, "m": 1e6, "": 1e9, "%": 1e7},
    "1": {"": 1.0},
}
_QUANTITY: Final = re.compile(r"\s*([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z%]*)\s*")
#: What is written where there is no value.
MISSING: Final = MISSING_NUMBERS


class QuantityError(ValueError):
    """A text that is no number with a unit.

    Attributes
    ----------
    text : str
        All of it, as it stands in the file.
    """

    def __init__(self, what: str, text: str) -> None:
        super().__init__(what)
        self.text = text


def units_of(unit: str) -> tuple[str, ...]:
    """List the units that a file may have for a metric whose unit is ``unit``."""
    return (*FACTORS[unit], TEXT)


def read_quantities(values: pd.Series, unit: str, part: int) -> pd.Series:
    """Read texts with units as numbers in our unit.

    Parameters
    ----------
    values : Series of str
    unit : str
        Our unit.
    part : int
        Which of several, parted by ``/``, counted from 1.

    Returns
    -------
    Series of float64
        NaN where there is no value.

    Raises
    ------
    QuantityError
        With the first text that is none.
    """
    known = {text: _read(text, unit, part) for text in values.dropna().astype(str).unique()}
    return values.astype("object").map(lambda text: known[str(text)] if pd.notna(text) else None).astype("float64")


def _read(text: str, unit: str, part: int) -> float | None:
    if text.strip() in MISSING:
        return None  # of a stopped container, `docker stats` says so instead of both parts
    parts = text.split("/")
    if len(parts) < part:
        raise QuantityError(f"{text!r} has no part {part}", text)
    piece = parts[part - 1].strip()
    if piece in MISSING:
        return None
    found = _QUANTITY.fullmatch(piece)
    factor = _SUFFIXES[unit].get(found[2]) if found else None
    if found is None or factor is None:
        units = ", ".join(suffix or "none" for suffix in _SUFFIXES[unit])
        raise QuantityError(f"{piece!r} is not a number with a unit of {units}", text)
    return float(found[1]) * factor


def is_nothing_of_nothing(values: pd.Series) -> pd.Series:
    """Tell where a text is ``0B / 0B``: so much of no limit, as docker writes of what it does not know."""
    return values.astype("str").str.fullmatch(r"\s*0(?:\.0+)?\s*\w*\s*/\s*0(?:\.0+)?\s*\w*\s*").fillna(False)
