"""Reading foreign files as they are: a table of texts and numbers, whatever the columns mean."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podlab.data.store.rows import to_frame
from podlab.errors import InputError, PodlabError
from podlab.importing.arff import read_arff
from podlab.importing.mapping import FileFormat
from podlab.importing.table import ForeignTable, begin_of, from_rows, read_text
from podlab.sources.prometheus_wire import RefusedError, read_matrix

#: Columns of a Prometheus answer beside its labels.
TIME_MS: Final = "time_ms"
VALUE: Final = "value"
_BY_ENDING: Final[dict[str, FileFormat]] = {
    ".csv": "csv", ".parquet": "parquet", ".jsonl": "json-lines", ".ndjson": "json-lines", ".arff": "arff",
    ".json": "prometheus",
}  # fmt: skip


def read_table(path: Path, file_format: FileFormat | None) -> ForeignTable:
    """Read a file.

    Parameters
    ----------
    path : Path
    file_format : str, optional
        How it is written; by the name's ending if not given.

    Raises
    ------
    InputError
        If it cannot be read, is written otherwise, or has no rows.
    """
    chosen = file_format or _BY_ENDING.get(path.suffix.lower())
    if chosen is None:
        raise InputError(
            "a file of unknown format", where=str(path), hint="say it in the mapping, such as format = 'csv'"
        )
    try:
        table = _READERS[chosen](path)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except RefusedError as error:
        raise InputError(f"holds no samples: {error}", where=str(path)) from error
    except PodlabError as error:
        hint = "save the answer of /api/v1/query_range again"
        raise InputError(error.message, where=str(path), hint=hint) from error
    except (ValueError, pa.ArrowException) as error:
        what = (str(error).splitlines() or [""])[0][:300]
        raise InputError(f"not a readable {chosen} file: {what}", where=str(path)) from error
    if table.rows.empty:
        raise InputError("no rows", where=str(path))
    return table


def _read_csv(path: Path) -> ForeignTable:
    # As text: a pod may be named `1e5` or `null`, and guessed types lose digits of counters.
    text = read_text(path)
    rows: list[list[str]] = []
    lines = [1]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        # A row in quotes may go over several lines: it is called by its first.
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num + 1)
    except csv.Error as error:
        raise ValueError(f"line {lines[-1]}: {error}: {begin_of(text, lines[-1])}") from error
    return from_rows(rows, lines[:-1], text)


def _read_parquet(path: Path) -> ForeignTable:
    # What pandas wrote beside the columns is left aside: its index is a column like others.
    table = pq.read_table(path)
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    return ForeignTable.of(to_frame(table), np.arange(1, table.num_rows + 1), "row")


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
    return ForeignTable.of(pd.DataFrame(rows), lines, "line")


def _read_object(line: str, number: int, text: str) -> dict[str, str | None]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not an object: {begin_of(text, number)}")
        told = {k: v if isinstance(v, str) or v is None else json.dumps(v) for k, v in row.items()}
        "".join([*told, *(v for v in told.values() if v is not None)]).encode()
    except json.JSONDecodeError as error:
        what = f"{error.msg.removesuffix(' at')} at column {error.colno}"
        raise ValueError(f"line {number}: {what}: {begin_of(text, number)}") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"line {number}: holds half a character: {begin_of(text, number)}") from error
    except RecursionError as error:
        raise ValueError(f"line {number}: is nested too deeply: {begin_of(text, number)}") from error
    return told


def _read_prometheus(path: Path) -> ForeignTable:
    """Read the answer of ``/api/v1/query_range``: a row for each value, with its series' labels."""
    content = path.read_bytes()
    raw = read_matrix(content if content.startswith(b"{") else read_text(path).encode(), where=str(path))
    table = pd.DataFrame(raw.labels, dtype="object").take(raw.series).reset_index(drop=True)
    for name in (TIME_MS, VALUE):
        if name in table:
            raise ValueError(f"a label is named {name!r}")
    rows = table.assign(**{TIME_MS: raw.time_ms, VALUE: raw.value})
    return ForeignTable.of(rows, np.arange(1, len(rows) + 1), "value")


_READERS: Final[dict[FileFormat, Callable[[Path], ForeignTable]]] = {
    "csv": _read_csv, "parquet": _read_parquet, "json-lines": _read_json_lines, "arff": read_arff,
    "prometheus": _read_prometheus,
}  # fmt: skip
