"""Reading foreign files as they are: a table of texts and numbers, whatever the columns mean."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podlab.data.samples import check_text, to_frame
from podlab.errors import InputError, PodlabError, first_line
from podlab.files import decode_text, packed_kind, readable, separator_of
from podlab.importing.mapping import FileFormat
from podlab.sources.prometheus_client import QueryError, read_matrix

_MOST_SHOWN: Final = 40
_ESCAPE: Final = "\x1b"
#: InfluxDB 2 writes such lines above each table's header.
_ANNOTATIONS: Final = ("#group", "#datatype", "#default")


@dataclass(frozen=True)
class ForeignTable:
    """What a file holds."""

    rows: pd.DataFrame  # its columns as they are called there, by position
    lines: npt.NDArray[np.int64]  # where each row is, counted from 1 (n_rows,)
    #: What is counted: ``line``, or ``row`` or ``value`` where a file has no lines.
    unit: str
    where: str  # the file

    @classmethod
    def of(
        cls, rows: pd.DataFrame, lines: Sequence[int] | npt.NDArray[np.int64], unit: str, path: Path
    ) -> ForeignTable:
        """Make one; columns of one name become ``name (1)``, ``name (2)`` unless they are equal."""
        return cls(_name_apart(rows.reset_index(drop=True)), np.asarray(lines, dtype=np.int64), unit, str(path))

    def at(self, position: int) -> str:
        """Say where a row is, such as ``line 7``."""
        return f"{self.unit} {self.lines[position]}"

    def fault(self, column: object, position: int, what: str, hint: str | None = None) -> InputError:
        """Say what is wrong with a column's value in a row."""
        return InputError(f"column {column!r}, {self.at(position)}: {what}", where=self.where, hint=hint)


def read_text(path: Path) -> str:
    """Read a text file, in UTF-8 or as its byte order mark says.

    Raises ValueError, which says in which line, if it is no such text, or holds the control codes of a terminal.
    """
    content = path.read_bytes()
    if packed := packed_kind(content):
        raise ValueError(f"is not text, but {packed}")
    if b"\0" in content[:_MOST_SHOWN] and content[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise ValueError("line 1: holds zero bytes, as UTF-16 without a byte order mark; save it in UTF-8")
    try:
        text = decode_text(content)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line}: is not UTF-8 text") from error
    if (found := text.find(_ESCAPE)) >= 0:
        number = text.count("\n", 0, found) + 1
        begins = text[found - 1 : found] in ("", "\n")
        what = f"{'begins with' if begins else 'holds'} terminal control codes (docker stats without --no-stream?)"
        raise ValueError(f"line {number}: {what}")
    return text


def _begin_of(text: str, number: int, *, newline: str = "\n") -> str:
    """Show how a line begins, counted from 1; with ``newline=""`` a lone carriage return ends one too, as in CSV."""
    line = [*io.StringIO(text, newline=newline), ""][number - 1].rstrip("\r\n")
    return repr(line[:_MOST_SHOWN] + ("..." if len(line) > _MOST_SHOWN else ""))


def _from_rows(
    rows: Sequence[Sequence[str]], lines: Sequence[int], text: str, path: Path, default: Sequence[str] = ()
) -> ForeignTable:
    """Make a table of rows, of which the first names the columns; ValueError if one has more or fewer fields.

    ``default`` says what empty fields of a column stand for.
    """
    # An empty line has no field; editors and shells leave one at the end.
    filled = [(row, line) for row, line in zip(rows, lines, strict=True) if row]
    if not filled:
        return ForeignTable.of(pd.DataFrame(), [], "line", path)
    (header, _), *data = filled
    names = [name.strip() for name in header]
    if data and all(len(row) == len(names) + 1 and not row[-1] for row, _ in data):
        # A separator ends each row, and not the header.
        data = [(row[:-1], line) for row, line in data]
    for row, line in data:
        if len(row) != len(names):
            what = f"line {line} has {len(row)} fields, not {len(names)}: {_begin_of(text, line, newline='')}"
            raise ValueError(what)
    defaults = [*(value or None for value in default), *[None] * len(names)][: len(names)]
    # Of files that were written one behind the other, each has a header.
    data = [(row, line) for row, line in data if row != header]
    cells = [[field or default for field, default in zip(row, defaults, strict=True)] for row, _ in data]
    table = pd.DataFrame(cells, columns=pd.Index(names), dtype="object")
    return ForeignTable.of(table, [line for _, line in data], "line", path)


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
    if twice := [name for name in called if called.count(name) > 1]:
        raise ValueError(f"one column is called {twice[0]!r}, and of the same name there are several; rename one")
    return rows.iloc[:, kept].set_axis(called, axis=1)


_QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE: Final = re.compile(rf"@attribute\s+({_QUOTED}|[^\s{{]+)\s*(.*)", re.IGNORECASE)
#: A value in quotes, or the text up to the next comma.
_VALUE: Final = re.compile(rf"\s*(?:({_QUOTED})\s*|([^,]*))(,|$)")
_NUMBERS: Final = ("numeric", "real", "integer")
_MISSING: Final = "?"


class _Attribute(NamedTuple):
    """A column: its name, and the values that are allowed where they are declared."""

    name: str
    allowed: tuple[str, ...] | None


def read_arff(path: Path) -> ForeignTable:
    """Read a dense file; ValueError, with the line, if it is none, or a value is not as its attribute declares."""
    text = read_text(path)
    attributes: list[_Attribute] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    in_data = False
    for number, line in enumerate(text.split("\n"), 1):
        content = _without_comment(line).strip()
        if not content:
            continue
        if in_data:
            rows.append(_read_row(content, attributes, number, text))
            lines.append(number)
        elif content.lower().startswith("@attribute"):
            attributes.append(_read_attribute(content, number))
        elif content.lower().startswith("@data"):
            in_data = True
        elif not content.lower().startswith("@relation"):
            raise ValueError(f"line {number}: is not a part of a header: {_begin_of(text, number)}")
    if not in_data:
        raise ValueError("there is no @data")
    return _from_rows([[each.name for each in attributes], *rows], [0, *lines], text, path)


def _without_comment(line: str) -> str:
    """Remove a comment, which begins with ``%`` outside of quotes."""
    if "%" not in line:
        return line
    at = 0
    for found in re.finditer(rf"{_QUOTED}|%", line):
        at = found.start()
        if found[0] == "%":
            return line[:at]
    return line


def _read_attribute(content: str, number: int) -> _Attribute:
    found = _ATTRIBUTE.fullmatch(content)
    if found is None or not found[2]:
        raise ValueError(f"line {number}: {content[:60]!r} is not an attribute")
    name, kind = _unquote(found[1]), found[2].strip()
    if kind.startswith("{"):
        if not kind.endswith("}"):
            raise ValueError(f"line {number}: the values of {name!r} do not end with }}")
        return _Attribute(name, tuple(value for value, _ in _split(kind[1:-1], number)))
    word = kind.split()[0].lower()
    if word not in (*_NUMBERS, "string", "date"):
        raise ValueError(f"line {number}: {name!r} is of a type that is not read: {word!r}")
    return _Attribute(name, None)


def _read_row(content: str, attributes: list[_Attribute], number: int, text: str) -> list[str]:
    if content.startswith("{"):
        raise ValueError(f"line {number}: sparse data is not read; save it as dense ARFF")
    if len(attributes) > 1 and "," not in re.sub(_QUOTED, "", content):
        # Weka takes blanks and tabs between values, too.
        content = re.sub(rf"({_QUOTED})|\s+", lambda found: found[1] or ",", content)
    values = _split(content, number)
    if len(values) != len(attributes):
        shown = _begin_of(text, number)
        raise ValueError(f"line {number} has {len(values)} fields, not {len(attributes)}: {shown}")
    row = []
    for (value, quoted), attribute in zip(values, attributes, strict=True):
        missing = value == _MISSING and not quoted
        if attribute.allowed is not None and not missing and value not in attribute.allowed:
            known = ", ".join(attribute.allowed[:20])
            raise ValueError(f"line {number}: {value!r} is none of {known}, the values of {attribute.name!r}")
        row.append("" if missing else value)
    return row


def _split(content: str, number: int) -> list[tuple[str, bool]]:
    """Part values at commas, and say which stood in quotes."""
    values: list[tuple[str, bool]] = []
    at = 0
    while True:
        found = _VALUE.match(content, at)
        if found is None or (found[2] is not None and found[2][:1] in ("'", '"')):
            raise ValueError(f"line {number}: a quote that does not end: {content[at : at + 40]!r}")
        values.append((_unquote(found[1]), True) if found[1] is not None else (found[2].strip(), False))
        if not found[3]:
            return values
        at = found.end()


def _unquote(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name[:1] in ("'", '"') else name


#: Columns of a Prometheus answer beside its labels.
TIME_MS: Final = "time_ms"
VALUE: Final = "value"
_BY_ENDING: Final[dict[str, FileFormat]] = {
    ".csv": "csv", ".parquet": "parquet", ".jsonl": "json-lines", ".ndjson": "json-lines", ".arff": "arff",
    ".json": "prometheus",
}  # fmt: skip


def read_table(path: Path, file_format: FileFormat | None) -> ForeignTable:
    """Read a file, written as ``file_format`` says, or by the name's ending if it is not given.

    Raises InputError if it cannot be read, is written otherwise, or has no rows.
    """
    chosen = file_format or _BY_ENDING.get(path.suffix.lower())
    if chosen is None:
        with readable(path), path.open("rb") as file:
            packed = packed_kind(file.read(_MOST_SHOWN))
        raise InputError(
            "a file of unknown format" if packed is None else f"is not text, but {packed}",
            where=str(path), hint=None if packed else "say it in the mapping, such as format = 'csv'",
        )  # fmt: skip
    with readable(path):
        try:
            table = _READERS[chosen](path)
        except QueryError as error:
            raise InputError(f"holds no samples: {error}", where=str(path)) from error
        except PodlabError as error:
            hint = "save the answer of /api/v1/query_range again"
            raise InputError(error.message, where=str(path), hint=hint) from error
        except (ValueError, pa.ArrowException) as error:
            raise InputError(f"not a readable {chosen} file: {first_line(error)}", where=str(path)) from error
    if table.rows.empty:
        raise InputError("no rows", where=str(path))
    return table


def _read_csv(path: Path) -> ForeignTable:
    # As text: a pod may be named `1e5` or `null`, and guessed types lose digits of counters.
    text = read_text(path)
    separator, skipped = separator_of(text)
    rows: list[list[str]] = []
    lines = [1 + skipped]
    content = io.StringIO(text, newline="")
    for _ in range(skipped):
        content.readline()
    reader = csv.reader(content, strict=True, skipinitialspace=True, delimiter=separator)
    try:
        # A row in quotes may go over several lines: it is called by its first.
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num + skipped + 1)
    except csv.Error as error:
        raise ValueError(f"line {lines[-1]}: {error}: {_begin_of(text, lines[-1], newline='')}") from error
    if rows and rows[0][:1] and rows[0][0] in _ANNOTATIONS:
        return _from_annotated(rows, lines, text, path)
    return _from_rows(rows, lines[:-1], text, path)


def _from_annotated(rows: Sequence[list[str]], lines: Sequence[int], text: str, path: Path) -> ForeignTable:
    """Put the tables together that InfluxDB 2 writes one below the other, each with columns of its own."""
    begins = [n for n, row in enumerate(rows) if _annotation(row) and not (n and _annotation(rows[n - 1]))]
    parts = []
    for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True):
        defaults = next((row[1:] for row in rows[begin:end] if _annotation(row) == "#default"), [])
        own = [number for number in range(begin, end) if not _annotation(rows[number])]
        parts.append(_from_rows([rows[n] for n in own], [lines[n] for n in own], text, path, ["", *defaults]))
    table = pd.concat([part.rows for part in parts], ignore_index=True)
    return ForeignTable.of(table, np.concatenate([part.lines for part in parts]), "line", path)


def _annotation(row: Sequence[str]) -> str | None:
    return row[0] if row and row[0] in _ANNOTATIONS else None


def _read_parquet(path: Path) -> ForeignTable:
    # What pandas wrote beside the columns is left aside: its index is a column like others.
    # Read as one file: a folder's name such as ``pod=web`` beside it is no column.
    with pq.ParquetFile(path) as file:
        table = check_text(file.read())
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    # By position: of two columns of one name, pandas would read both as the type of one.
    frame = to_frame(table.rename_columns([str(number) for number in range(table.num_columns)]))
    frame = frame.set_axis(pd.Index(table.column_names), axis=1)
    return ForeignTable.of(frame, np.arange(1, table.num_rows + 1), "row", path)


def _read_json_lines(path: Path) -> ForeignTable:
    """Read an object a line, such as ``docker stats --format json`` writes."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    text = read_text(path)
    # Not by splitlines: a text may hold what Unicode calls a line's end.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            rows.append(_read_object(line, number, text))
            lines.append(number)
    return ForeignTable.of(pd.DataFrame(rows), lines, "line", path)


def _read_object(line: str, number: int, text: str) -> dict[str, str | None]:
    try:
        row = json.loads(line, object_pairs_hook=_once, parse_int=_integer)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not an object: {_begin_of(text, number)}")
        fields = {k: v if isinstance(v, str) or v is None else json.dumps(v) for k, v in row.items()}
        "".join([*fields, *(v for v in fields.values() if v is not None)]).encode()
    except json.JSONDecodeError as error:
        what = f"{error.msg.removesuffix(' at')} at column {error.colno}"
        raise ValueError(f"line {number}: {what}: {_begin_of(text, number)}") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"line {number}: holds half a character: {_begin_of(text, number)}") from error
    except KeyError as error:
        raise ValueError(f"line {number}: {error} is there twice: {_begin_of(text, number)}") from error
    except RecursionError as error:
        raise ValueError(f"line {number}: is nested too deeply: {_begin_of(text, number)}") from error
    return fields


def _integer(digits: str) -> int | str:
    """Read a number; one of thousands of digits, which takes Python long, stays a text, which is no number."""
    return int(digits) if len(digits) < _MOST_SHOWN else digits


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise KeyError(twice)
    return row


def _read_prometheus(path: Path) -> ForeignTable:
    """Read the answer of ``/api/v1/query_range``: a row for each value, with its series' labels."""
    content = path.read_bytes()
    raw = read_matrix(content if content.startswith(b"{") else read_text(path).encode(), where=str(path))
    table = pd.DataFrame(raw.labels, dtype="object").take(raw.series).reset_index(drop=True)
    for name in (TIME_MS, VALUE):
        if name in table:
            raise ValueError(f"a label is named {name!r}")
    rows = table.assign(**{TIME_MS: raw.time_ms, VALUE: raw.value})
    return ForeignTable.of(rows, np.arange(1, len(rows) + 1), "value", path)


_READERS: Final[dict[FileFormat, Callable[[Path], ForeignTable]]] = {
    "csv": _read_csv, "parquet": _read_parquet, "json-lines": _read_json_lines, "arff": read_arff,
    "prometheus": _read_prometheus,
}  # fmt: skip
