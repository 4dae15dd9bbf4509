"""A foreign file as a table that knows where in the file each of its rows is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from podlab.files import decode_text

_MOST_SHOWN: Final = 40
_ESCAPE: Final = "\x1b"


@dataclass(frozen=True)
class ForeignTable:
    """What a file holds.

    Attributes
    ----------
    rows : DataFrame
        Its columns as they are called there, by position.
    lines : ndarray of int64, shape (n_rows,)
        Where each row is, counted from 1.
    unit : str
        What is counted: ``line``, or ``row`` or ``value`` where a file has no lines.
    """

    rows: pd.DataFrame
    lines: npt.NDArray[np.int64]
    unit: str

    @classmethod
    def of(cls, rows: pd.DataFrame, lines: Sequence[int] | npt.NDArray[np.int64], unit: str) -> ForeignTable:
        """Make one; columns of one name are told apart as ``name (1)``, ``name (2)`` unless they hold the same."""
        return cls(_name_apart(rows.reset_index(drop=True)), np.asarray(lines, dtype=np.int64), unit)

    def at(self, position: int) -> str:
        """Say where a row is, such as ``line 7``."""
        return f"{self.unit} {self.lines[position]}"


def read_text(path: Path) -> str:
    """Read a text file, in UTF-8 or as its byte order mark says.

    Raises
    ------
    ValueError
        If it is no such text, or holds the control codes of a terminal; the error says in which line.
    """
    content = path.read_bytes()
    try:
        text = decode_text(content)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line}: is no UTF-8 text") from error
    if (found := text.find(_ESCAPE)) >= 0:
        number = text.count("\n", 0, found) + 1
        begins = text[found - 1 : found] in ("", "\n")
        what = f"{'begins with' if begins else 'holds'} terminal control codes (docker stats without --no-stream?)"
        raise ValueError(f"line {number}: {what}")
    return text


def begin_of(text: str, number: int) -> str:
    """Show how a line begins, counted from 1."""
    line = text.split("\n", number)[number - 1].rstrip("\r")
    return repr(line[:_MOST_SHOWN] + ("..." if len(line) > _MOST_SHOWN else ""))


def from_rows(rows: Sequence[Sequence[str]], lines: Sequence[int], text: str) -> ForeignTable:
    """Make a table of rows, of which the first names the columns.

    Raises
    ------
    ValueError
        If a row has more or fewer fields than that.
    """
    # An empty line has no field; editors and shells leave one at the end.
    filled = [(row, line) for row, line in zip(rows, lines, strict=True) if row]
    if not filled:
        return ForeignTable.of(pd.DataFrame(), [], "line")
    (names, _), *data = filled
    for row, line in data:
        if len(row) != len(names):
            raise ValueError(f"line {line} has {len(row)} fields, not {len(names)}: {begin_of(text, line)}")
    cells = [[field or None for field in row] for row, _ in data]
    return ForeignTable.of(
        pd.DataFrame(cells, columns=pd.Index(list(names)), dtype="object"), [line for _, line in data], "line"
    )


def _name_apart(rows: pd.DataFrame) -> pd.DataFrame:
    names = [str(name) for name in rows.columns]
    if len(set(names)) == len(names):
        return rows.set_axis(names, axis=1)
    kept, called = [], []
    for name in dict.fromkeys(names):
        places = [place for place, other in enumerate(names) if other == name]
        first = rows.iloc[:, places[0]]
        if all(first.equals(rows.iloc[:, place]) for place in places):
            places = places[:1]
        kept += places
        called += [name] if len(places) == 1 else [f"{name} ({number})" for number in range(1, len(places) + 1)]
    return rows.iloc[:, kept].set_axis(called, axis=1)
