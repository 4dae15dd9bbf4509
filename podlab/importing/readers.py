"""Reading foreign files as they are: a table of texts and numbers, whatever the columns mean."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podlab.errors import InputError, PodlabError
from podlab.importing.mapping import FileFormat
from podlab.telemetry.prometheus_wire import RefusedError, read_matrix

#: Columns of a Prometheus answer beside its labels.
TIME_MS: Final = "time_ms"
VALUE: Final = "value"
_BY_ENDING: Final[dict[str, FileFormat]] = {
    ".csv": "csv", ".parquet": "parquet", ".jsonl": "json-lines", ".ndjson": "json-lines", ".arff": "arff",
    ".json": "prometheus",
}  # fmt: skip
_ATTRIBUTE: Final = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+)\s+(.+)", re.IGNORECASE)


def read_table(path: Path, file_format: FileFormat | None) -> pd.DataFrame:
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
            "a file of unknown format", where=str(path), todo="say it in the mapping, such as format = 'csv'"
        )
    try:
        table = _READERS[chosen](path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except RefusedError as error:
        raise InputError(f"holds no samples: {error}", where=str(path)) from error
    except PodlabError as error:
        raise InputError("not the answer of a Prometheus range query", where=str(path)) from error
    except (ValueError, csv.Error, pa.ArrowException) as error:
        what = (str(error).splitlines() or [""])[0][:200]
        raise InputError(f"not a readable {chosen} file: {what}", where=str(path)) from error
    if table.empty:
        raise InputError("no rows", where=str(path))
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise InputError(f"column {repeated[0]!r} is there twice", where=str(path))
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    # As text: a pod may be named `1e5` or `null`, and guessed types lose digits of counters.
    with path.open(encoding="utf-8-sig", newline="") as file:
        return _from_rows(list(csv.reader(file, strict=True)))


def _read_parquet(path: Path) -> pd.DataFrame:
    table: pd.DataFrame = pq.read_table(path).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return table


def _read_json_lines(path: Path) -> pd.DataFrame:
    """Read an object a line, such as ``docker stats --format json`` writes."""
    rows: list[dict[str, Any]] = []
    # Not by splitlines: a text may hold what Unicode calls a line's end.
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not an object")
            rows.append({k: v if isinstance(v, str) or v is None else json.dumps(v) for k, v in row.items()})
    return pd.DataFrame(rows)


def _read_arff(path: Path) -> pd.DataFrame:
    """Read Weka's format: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/."""
    names: list[str] = []
    lines = iter(path.read_text(encoding="utf-8-sig").split("\n"))
    for line in lines:
        text = line.strip()
        if text.lower().startswith("@attribute"):
            found = _ATTRIBUTE.fullmatch(text)
            if found is None:
                raise ValueError(f"{text[:60]!r} is no attribute")
            names.append(_unquote(found[1]))
        elif text.lower().startswith("@data"):
            break
    else:
        raise ValueError("there is no @data")
    return _from_rows([names, *_arff_rows(lines)]).replace("?", None)


def _arff_rows(lines: Iterator[str]) -> Iterator[list[str]]:
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("%")]
    if any(line.lstrip().startswith("{") for line in kept):
        raise ValueError("sparse data is not read; save it as dense ARFF")
    for line in kept:
        quote = '"' if '"' in line and "'" not in line else "'"
        yield from csv.reader([line], quotechar=quote, escapechar="\\", skipinitialspace=True, strict=True)


def _read_prometheus(path: Path) -> pd.DataFrame:
    """Read the answer of ``/api/v1/query_range``: a row for each value, with its series' labels."""
    raw = read_matrix(path.read_bytes(), where=str(path))
    table = pd.DataFrame(raw.labels, dtype="object").take(raw.series).reset_index(drop=True)
    for name in (TIME_MS, VALUE):
        if name in table:
            raise ValueError(f"a label is named {name!r}")
    return table.assign(**{TIME_MS: raw.time_ms, VALUE: raw.value})


def _from_rows(rows: list[list[str]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame()
    names, *data = rows
    for number, row in enumerate(data, 2):
        # An empty line has no field; editors and shells leave one at the end.
        if row and len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} fields, not {len(names)}")
    return pd.DataFrame(
        [[field or None for field in row] for row in data if row], columns=pd.Index(names), dtype="object"
    )


def _unquote(name: str) -> str:
    if name[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


_READERS: Final[dict[FileFormat, Callable[[Path], pd.DataFrame]]] = {
    "csv": _read_csv, "parquet": _read_parquet, "json-lines": _read_json_lines, "arff": _read_arff,
    "prometheus": _read_prometheus,
}  # fmt: skip
