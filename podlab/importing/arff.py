"""Weka's attribute-relation format: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from podlab.importing.table import ForeignTable, begin_of, from_rows, read_text

_QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE: Final = re.compile(rf"@attribute\s+({_QUOTED}|[^\s{{]+)\s*(.*)", re.IGNORECASE)
#: A value in quotes, or what stands up to the next comma.
_VALUE: Final = re.compile(rf"\s*(?:({_QUOTED})\s*|([^,]*))(,|$)")
_NUMBERS: Final = ("numeric", "real", "integer")
_MISSING: Final = "?"


@dataclass(frozen=True)
class _Attribute:
    """A column: its name, and the values that are allowed where they are declared."""

    name: str
    values: tuple[str, ...] | None


def read_arff(path: Path) -> ForeignTable:
    """Read a dense file.

    Raises
    ------
    ValueError
        If it is none, or a value is not of those that its attribute declares; the error says in which line.
    """
    text = read_text(path)
    attributes: list[_Attribute] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    in_data = False
    for number, line in enumerate(text.split("\n"), 1):
        told = _without_comment(line).strip()
        if not told:
            continue
        if in_data:
            rows.append(_read_row(told, attributes, number, text))
            lines.append(number)
        elif told.lower().startswith("@attribute"):
            attributes.append(_read_attribute(told, number))
        elif told.lower().startswith("@data"):
            in_data = True
        elif not told.lower().startswith("@relation"):
            raise ValueError(f"line {number}: is no part of a header: {begin_of(text, number)}")
    if not in_data:
        raise ValueError("there is no @data")
    return from_rows([[each.name for each in attributes], *rows], [0, *lines], text)


def _without_comment(line: str) -> str:
    """Take off what stands behind a ``%`` outside of quotes, as Weka does."""
    if "%" not in line:
        return line
    at = 0
    for found in re.finditer(rf"{_QUOTED}|%", line):
        at = found.start()
        if found[0] == "%":
            return line[:at]
    return line


def _read_attribute(told: str, number: int) -> _Attribute:
    found = _ATTRIBUTE.fullmatch(told)
    if found is None or not found[2]:
        raise ValueError(f"line {number}: {told[:60]!r} is no attribute")
    name, kind = _unquote(found[1]), found[2].strip()
    if kind.startswith("{"):
        if not kind.endswith("}"):
            raise ValueError(f"line {number}: the values of {name!r} do not end with }}")
        return _Attribute(name, tuple(value for value, _ in _split(kind[1:-1], number)))
    word = kind.split()[0].lower()
    if word not in (*_NUMBERS, "string", "date"):
        raise ValueError(f"line {number}: {name!r} is of a type that is not read: {word!r}")
    return _Attribute(name, None)


def _read_row(told: str, attributes: list[_Attribute], number: int, text: str) -> list[str]:
    if told.startswith("{"):
        raise ValueError(f"line {number}: sparse data is not read; save it as dense ARFF")
    values = _split(told, number)
    if len(values) == 1 and len(attributes) > 1:
        # Weka takes blanks between values, too.
        values = _split(re.sub(rf"({_QUOTED})|\s+", lambda found: found[1] or ",", told), number)
    if len(values) != len(attributes):
        shown = begin_of(text, number)
        raise ValueError(f"line {number} has {len(values)} fields, not {len(attributes)}: {shown}")
    row = []
    for (value, quoted), attribute in zip(values, attributes, strict=True):
        missing = value == _MISSING and not quoted
        if attribute.values is not None and not missing and value not in attribute.values:
            known = ", ".join(attribute.values[:20])
            raise ValueError(f"line {number}: {value!r} is none of {known}, the values of {attribute.name!r}")
        row.append("" if missing else value)
    return row


def _split(told: str, number: int) -> list[tuple[str, bool]]:
    """Part values at commas, and say which stood in quotes."""
    values: list[tuple[str, bool]] = []
    at = 0
    while True:
        found = _VALUE.match(told, at)
        if found is None or (found[2] is not None and found[2][:1] in ("'", '"')):
            raise ValueError(f"line {number}: a quote that does not end: {told[at : at + 40]!r}")
        values.append((_unquote(found[1]), True) if found[1] is not None else (found[2].strip(), False))
        if not found[3]:
            return values
        at = found.end()


def _unquote(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name[:1] in ("'", '"') else name
