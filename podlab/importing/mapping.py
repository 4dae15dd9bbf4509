"""The mapping file: which column of a foreign file is which of ours, in which unit; everything else is refused."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from podlab.data.catalogue import CATALOGUE
from podlab.data.samples import MISSING_NUMBERS, is_missing
from podlab.errors import InputError
from podlab.files import read_toml

#: The unit of a text that holds its unit itself.
TEXT: Final = "text"

_BYTES: Final = {
    "bytes": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "KiB": 2.0**10, "MiB": 2.0**20,
    "GiB": 2.0**30, "TiB": 2.0**40, "PiB": 2.0**50,
}  # fmt: skip
_SECONDS: Final = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_CORES: Final = {"nanocores": 1.0, "microcores": 1e3, "millicores": 1e6, "cores": 1e9, "percent of a core": 1e7}
#: Our unit -> a file's unit -> factor. There is no ``KB`` or ``k``: some mean 1000 by it, and some 1024.
FACTORS: Final = {"bytes": _BYTES, "ns": _SECONDS, "1e-9 cores": _CORES, "1": {"1": 1.0}}
#: Suffixes of a number in a text.
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
#: What only Kubernetes writes. Bytes that are no multiple of 1024 have no unit there, and 0 never has one.
_OF_KUBERNETES: Final = re.compile(r"\s*[0-9.]+[KMGTP]i\b")


class QuantityError(ValueError):
    """A ``text``, all of it as in the file, that is not a number with a unit."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(what)
        self.text = text


def units_of(unit: str) -> tuple[str, ...]:
    """List the units that a file may have for a metric whose unit is ``unit``."""
    return (*FACTORS[unit], TEXT)


def read_quantities(values: pd.Series, unit: str, part: int) -> pd.Series:
    """Read texts with units as numbers in our unit, NaN where there is no value.

    ``part`` says which of several parted by ``/``, from 1. Raises QuantityError with the first text that is none.
    """
    texts = pd.Series(values.dropna().astype(str).unique(), dtype="str")
    plain = unit == "bytes" and any(map(_OF_KUBERNETES.match, texts))
    nothing = set(texts[is_missing(texts, MISSING_NUMBERS)])
    known = {text: None if text in nothing else _read(text, unit, part, plain) for text in texts}
    return values.astype("object").map(lambda text: known[str(text)] if pd.notna(text) else None).astype("float64")


def _read(text: str, unit: str, part: int, plain: bool) -> float | None:
    parts = text.split("/")
    if len(parts) < part:
        raise QuantityError(f"{text!r} has no part {part}", text)
    piece = parts[part - 1].strip()
    if piece.lower() in MISSING_NUMBERS:
        return None
    if piece.isascii() and piece.isdecimal() and (plain or not piece.strip("0")):
        return float(piece)
    found = _QUANTITY.fullmatch(piece)
    factor = _SUFFIXES[unit].get(found[2]) if found else None
    if found is None or factor is None:
        units = ", ".join(suffix or "none" for suffix in _SUFFIXES[unit])
        raise QuantityError(f"{piece!r} is not a number with a unit of {units}", text)
    return float(found[1]) * factor


def is_nothing_of_nothing(values: pd.Series) -> pd.Series:
    """Tell where a text is ``0B / 0B``: so much of no limit, as docker writes of what it does not know."""
    return values.astype("str").str.fullmatch(r"\s*0(?:\.0+)?\s*\w*\s*/\s*0(?:\.0+)?\s*\w*\s*").fillna(False)


FileFormat = Literal["csv", "parquet", "json-lines", "arff", "prometheus"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _refuse_no_pattern(pattern: str | None) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error


class Time(_Part):
    """When a row was taken: a column and how it is written, or, where there is none, how far apart rows are.

    Where each instant is a column of its own, a regular expression that fits their names.
    """

    column: str | None = None
    format: str = "iso8601"
    zone: str | None = None
    round: str | None = None
    every: str | None = None
    start: str | None = None
    columns: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Time:
        if [self.column, self.every, self.columns].count(None) != 2:
            what = "give `column`, or `every` where the file has no times, or `columns` where each instant is a column"
            raise ValueError(what)
        _refuse_no_pattern(self.columns)
        if (self.every is None) != (self.start is None):
            raise ValueError("`every` needs a `start`, and `start` an `every`")
        return self


class Fixed(_Part):
    """The same value for all rows."""

    value: str


class FromFile(_Part):
    """A part of the file's name: what the first group of a regular expression finds in it, its ending left out."""

    file: str


class FromColumn(_Part):
    """A column, some of whose values are called otherwise here."""

    column: str
    rename: dict[str, str]


class Age(_Part):
    """How long a container had run at a row's time, from which its start follows."""

    age: str
    unit: Literal["ms", "s", "min", "h", "d", "text"] = "s"


Origin = str | Fixed | FromFile | FromColumn


_FORMS = ("str", "Fixed", "FromFile", "FromColumn", "Age")
#: Errors that say only that another form is meant.
_OTHER_FORM = ("string_type", "missing", "extra_forbidden", "model_type")


class Identity(_Part):
    """Who a row is about: columns, fixed values, or parts of the file's name."""

    pod: Origin
    container: Origin = Fixed(value="main")
    cluster: Origin | None = None
    node: Origin | None = None
    namespace: Origin | None = None
    pod_uid: Origin | None = None
    image: Origin | None = None
    started_at: str | Age | None = None


class Labels(_Part):
    """The truth about a row, where it is known."""

    service: Origin | None = None
    deployment: Origin | None = None
    variant: Origin | None = None
    version: Origin | None = None


class Long(_Part):
    """Where each row holds one value: the columns that name it and hold it."""

    name: str
    value: str


class Column(_Part):
    """One metric: where it is, in which unit, and what kind of number it is."""

    name: str
    metric: str
    unit: str
    kind: Literal["gauge", "counter", "rate", "growth"] | None = None
    part: int = Field(1, ge=1, le=9)
    where: dict[str, str] = {}
    sum: bool = False
    time: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Column:
        if self.metric not in CATALOGUE:
            raise ValueError(f"unknown metric {self.metric!r}; known are {', '.join(CATALOGUE)}")
        metric = CATALOGUE[self.metric]
        known = units_of(metric.unit)
        if self.unit not in known:
            raise ValueError(f"unknown unit {self.unit!r} of {self.metric}; known are {', '.join(known)}")
        if metric.kind != "counter" and self.kind not in (None, "gauge"):
            raise ValueError(f"{self.metric} is a level, not a {self.kind}")
        if metric.kind == "counter" and self.kind == "gauge":
            what = f"{self.metric} only grows: its kind is counter, rate (per second) or growth (since before)"
            raise ValueError(what)
        return self

    @property
    def factor(self) -> float:
        """What a number is multiplied by to be in our unit; 1 for text that holds its unit itself."""
        return 1.0 if self.unit == TEXT else FACTORS[CATALOGUE[self.metric].unit][self.unit]


class Mapping(_Part):
    """A whole mapping file."""

    format: FileFormat | None = None
    #: What stands before the fraction of the metrics' numbers.
    decimal: Literal[".", ","] = "."
    time: Time
    identity: Identity
    labels: Labels = Labels()
    long: Long | None = None
    column: Annotated[list[Column], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_metric_once(self) -> Mapping:
        for metric, count in Counter(each.metric for each in self.column).items():
            if count > 1:
                names = ", ".join(repr(each.name) for each in self.column if each.metric == metric)
                raise ValueError(f"{metric} is to come from {count} columns: {names}; keep one")
        return self

    @model_validator(mode="after")
    def _times_that_go_with_columns(self) -> Mapping:
        for each in self.column:
            if each.time is not None and (self.long is not None or self.time.column is None):
                raise ValueError(f"{each.name!r} has a `time` of its own: only where rows are wide, and have times")
            if each.sum and self.time.every is not None:
                raise ValueError(f"the values of {each.name!r} cannot be added without times")
        return self


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises InputError if it cannot be read, is not TOML, or says something that is unknown, missing or ambiguous.
    """
    try:
        return Mapping.model_validate(read_toml(path))
    except ValidationError as errors:
        # pydantic lists what is wrong with each form of an Origin: the form that is meant has a value that is wrong.
        listed = errors.errors()
        first = next((each for each in listed if each["type"] not in _OTHER_FORM), listed[0])
        place = ".".join(str(p) for p in first["loc"] if p not in _FORMS)
        what = "unknown word" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise InputError(f"{place}: {what}" if place else what, where=str(path)) from None
