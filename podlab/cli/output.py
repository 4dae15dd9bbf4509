"""What commands print: JSON lines, and tables on the terminal, as CSV or as a page."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from podlab.cli.options import Form
from podlab.data.units import format_count
from podlab.progress import show_progress as show_progress

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

#: Words that stand out at a terminal; rich leaves colours out where NO_COLOR is set.
_COLOURS: Final = {
    "mismatch": "bold red", "WRONG": "bold red", "stops": "bold red", "FAILS": "bold red", "warning": "yellow",
    "warns": "yellow",
    "unknown": "yellow", "cannot tell": "yellow", "consistent": "green", "ok": "green",
}  # fmt: skip
#: What in a name would end a row, or command the terminal.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def escape_what_cannot_be_shown() -> None:
    """Let text that a terminal or file cannot take (ASCII in cron, names that are no UTF-8) be escaped, not lost.

    What was closed (``>&-``) gives way to what discards everything, so that no file gets its number.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    # NaN is no JSON; allow_nan=False turns a mistake of ours into an error instead of a line nobody can read.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    sys.stdout.write(text + "\n")


def describe_recording(samples: pd.DataFrame, path: Path) -> dict[str, object]:
    """Describe a recording that was written, as JSON values."""
    from podlab.data.samples import INSTANCE_KEY

    return {
        "file": str(path),
        "rows": len(samples),
        "containers": int(samples.groupby(list(INSTANCE_KEY), dropna=False).ngroups),
        "since": samples["time"].min().isoformat(),
        "until": samples["time"].max().isoformat(),
    }


def recording_in_words(described: Mapping[str, Any]) -> str:
    """Write in a line what :func:`describe_recording` gives."""
    counted = f"{format_count(described['rows'], 'row')} of {format_count(described['containers'], 'container')}"
    return f"{described['file']}: {counted}, {described['since']} to {described['until']}"


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    form: Form = Form.TABLE,
    page: str = "podlab",
) -> None:
    """Print a table that fits the terminal, with numbers to the right; or, unrounded, CSV or a page of that title."""
    from rich.console import Console
    from rich.table import Table

    listed = [tuple(row) for row in rows]
    if form is Form.CSV:
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *listed])
        return
    if form is Form.HTML:
        _print_page(columns, listed, title or page)
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        numeric = bool(listed) and all(isinstance(row[position], int | float) for row in listed)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*(_cell(value) for value in row))
    # Piped into a file a row stays one line, however long.
    width = None if sys.stdout.isatty() else 1_000
    Console(width=width, markup=False, highlight=False).print(table)


def _cell(value: object) -> Text:
    from rich.text import Text

    shown = "-" if value is None else str(value)
    if isinstance(value, float):
        shown = f"{value:.1g}" if 0 < abs(value) < 0.001 else f"{value:.3f}"
    shown = _CONTROL.sub(lambda found: repr(found[0])[1:-1], shown)
    return Text(shown, style=_COLOURS.get(shown, ""))


def _print_page(columns: Sequence[str], rows: list[tuple[object, ...]], title: str) -> None:
    """Print a page that sorts and filters."""
    import pandas as pd

    from podlab.inventory import make_page

    sys.stdout.write(make_page(pd.DataFrame(rows, columns=list(columns)), title=title))
