"""Put the tables of the last `make train` into docs/results.md, so that its figures are those of a run.

A comment such as ``<!-- figures: 03_evaluate/scores -->`` stands before each table that comes from a run: the notebook,
the table's name, and where only some columns are shown, these (``03_evaluate/scores: macro-F1, accuracy``). Several
tables of the same columns, joined by ``+``, become one. What stands between tables is written by hand, and to be read
again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from podlab.data.units import format_number

_PLACE = re.compile(r"(<!-- figures: (?P<tables>[^:>]+?)(?:: (?P<columns>[^>]+?))? -->\n\n)(?P<table>(?:\|.*\n)+)")


def main(words: Sequence[str] | None = None) -> int:
    """Rewrite the files; 2 where a table that is asked for is not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    parser.add_argument("files", type=Path, nargs="*", default=[Path("docs/results.md")])
    options = parser.parse_args(words)
    try:
        texts = {file: fill_in(file.read_text(encoding="utf-8"), options.reports) for file in options.files}
    except (OSError, KeyError, ValueError) as error:
        print(f"{error}; run make train first", file=sys.stderr)
        return 2
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    return 0


def fill_in(text: str, reports: Path) -> str:
    """Replace the tables behind such comments."""

    def table(place: re.Match[str]) -> str:
        tables = [read_table(reports, name.strip()) for name in place["tables"].split("+")]
        columns = [each.strip() for each in place["columns"].split(",")] if place["columns"] else tables[0]["columns"]
        rows = [[row[each["columns"].index(name)] for name in columns] for each in tables for row in each["rows"]]
        lines = [columns, *(list(map(in_words, row)) for row in rows)]
        head, *body = [f"| {' | '.join(cells)} |\n" for cells in lines]
        return place[1] + head + "|---" * len(columns) + "|\n" + "".join(body)

    return _PLACE.sub(table, text)


def read_table(reports: Path, name: str) -> dict[str, Any]:
    """Read ``notebook/table`` from the notebook's results."""
    notebook, _, table = name.partition("/")
    path = reports / "results" / f"{notebook}.json"
    tables: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["tables"]
    if table not in tables:
        raise ValueError(f"{path} has no table {table!r}")
    return tables[table]


def in_words(cell: Any) -> str:
    """Write a cell as the report does."""
    if isinstance(cell, float):
        return format_number(cell)
    return "-" if cell is None else str(cell).replace("\N{NO-BREAK SPACE}", " ")


if __name__ == "__main__":
    sys.exit(main())
