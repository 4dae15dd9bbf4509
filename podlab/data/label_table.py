"""An explicit table of services: which container is what, as somebody wrote it down."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from podlab.data.samples import to_frame
from podlab.errors import InputError

#: What a row can name containers by; an empty cell stands for all.
TABLE_KEY: Final = ("namespace", "pod", "container")
_PARQUET_MAGIC: Final = b"PAR1"

#: Services by what the rows of a table give of :data:`TABLE_KEY`; None for an empty cell.
Answers = dict[tuple[str | None, ...], set[str]]


def read_label_table(path: Path) -> pd.DataFrame:
    """Read a table that says which container is which service.

    Parameters
    ----------
    path : Path
        CSV or Parquet with the column ``service`` and any of :data:`TABLE_KEY`; an empty cell stands for all.

    Returns
    -------
    DataFrame
        For ``LabelRules(table=...)``.

    Raises
    ------
    InputError
        If the file cannot be read, or is no such table.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
        table = _read_parquet(path) if is_parquet else _read_csv(path)
    except FileNotFoundError:
        raise InputError("no such file", where=where) from None
    except pa.ArrowInvalid as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"is neither CSV nor Parquet: {reason}", where=where) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from None
    index_table(table, where)
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    # What pandas wrote beside the columns is left aside: names that are its index are columns like others, a count is
    # none.
    table = pq.read_table(path)
    return to_frame(table.drop_columns([name for name in table.column_names if name.startswith("__index_level_")]))


def _read_csv(path: Path) -> pd.DataFrame:
    # Nothing is read as a missing value or a number: a pod may be called NA or 007.
    types = dict.fromkeys((*TABLE_KEY, "service"), pa.string())
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    table: pd.DataFrame = pyarrow.csv.read_csv(path, convert_options=options).to_pandas()
    return table


def index_table(table: pd.DataFrame, where: str = "label table") -> Answers:
    """Make a table quick to ask.

    Parameters
    ----------
    table : DataFrame
        Column ``service`` and any of :data:`TABLE_KEY`.
    where : str
        The file it came from, for errors.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If a column is unknown or missing, or a row has no service or names no container.
    """
    unknown = [str(column) for column in table.columns if column not in (*TABLE_KEY, "service")]
    if unknown or "service" not in table:
        what = f"unknown column {unknown[0]!r}" if unknown else "column 'service' is missing"
        raise InputError(what, where=where, hint=f"columns are {', '.join((*TABLE_KEY, 'service'))}")
    cells = table.reindex(columns=[*TABLE_KEY, "service"])
    answers: Answers = {}
    for number, row in enumerate(cells.itertuples(index=False)):
        *key, service = (str(cell).strip() or None if not pd.isna(cell) else None for cell in row)
        if service is None:
            raise InputError(f"row {number}: the service is empty", where=where)
        if not any(key):
            raise InputError(f"row {number}: names no {', '.join(TABLE_KEY)}", where=where)
        answers.setdefault(tuple(key), set()).add(service)
    return answers


def look_up(row: Mapping[Any, Any], answers: Answers) -> set[str]:
    """Return what the rows say that give most of a container's names; several services if they contradict."""
    for size in range(len(TABLE_KEY), 0, -1):
        found: set[str] = set()
        for given in combinations(TABLE_KEY, size):
            found |= answers.get(tuple(row[column] if column in given else None for column in TABLE_KEY), set())
        if found:
            return found
    return set()
